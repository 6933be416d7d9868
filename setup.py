"""The sub-packages of weft: the folders of the root, each under ``weft.`` with all below it.

weft/ holds a symbolic link to each, for tools that read the tree without installing it; builds take
this map and never follow the links.
"""

from pathlib import Path

from setuptools import setup

ROOTS = ("boards", "engines", "gen", "hw", "machine", "mapper", "nn", "report", "sim_tb")


def packages() -> dict[str, str]:
    """Import name -> folder, for every folder with an ``__init__.py``."""
    found = {path.parent.as_posix() for path in Path("weft").rglob("__init__.py")}
    folders = {path.parent.as_posix() for root in ROOTS for path in Path(root).rglob("__init__.py")}
    names = {folder.replace("/", "."): folder for folder in found}
    names |= {f"weft.{folder.replace('/', '.')}": folder for folder in folders}
    return dict(sorted(names.items()))


setup(packages=list(packages()), package_dir=packages())
