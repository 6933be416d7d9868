"""The folders and the links in weft/ say the same, and builds hold every file."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import weft

TOP = ("boards", "engines", "gen", "hw", "machine", "mapper", "nn", "report", "sim_tb")


@pytest.fixture(scope="module")
def config(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def package_folders(root: Path) -> dict[str, str]:
    """Import name -> folder (relative, with slashes) of every package in the tree."""
    found = {"weft": "weft", "weft.cli": "weft/cli"}
    for top in TOP:
        for init in (root / top).rglob("__init__.py"):
            folder = init.parent.relative_to(root).as_posix()
            found[f"weft.{folder.replace('/', '.')}"] = folder
    return found


def source_files(root: Path, folder: str) -> list[Path]:
    """Every file of a package's top folder, without caches."""
    return [
        path
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    ]


def test_every_module_is_in_a_package(root: Path) -> None:
    modules = [path for top in TOP for path in source_files(root, top) if path.suffix == ".py"]
    assert [path for path in modules if not (path.parent / "__init__.py").is_file()] == []


def test_links_are_relative_and_complete(root: Path) -> None:
    links = [path for path in (root / "weft").iterdir() if path.is_symlink()]
    assert {path.name: os.readlink(path) for path in links} == {top: f"../{top}" for top in TOP}


def test_data_files_are_covered(root: Path, config: dict[str, Any]) -> None:
    patterns = config["tool"]["setuptools"]["package-data"]
    covered = {
        path
        for name, folder in package_folders(root).items()
        for pattern in patterns.get(name, [])
        for path in (root / folder).glob(pattern)
    }
    data = [path for top in TOP for path in source_files(root, top) if path.suffix != ".py"]
    assert [path for path in data if path not in covered and path.suffix != ".md"] == []


def test_bare_names_are_banned(config: dict[str, Any]) -> None:
    banned = config["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert {name: banned[name]["msg"] for name in TOP} == {t: f"import weft.{t}" for t in TOP}


def test_changelog_knows_the_version(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (.*)", text, re.M)[0] == "[Unreleased]"
    assert weft.__version__ in text


def test_console_script_exists(config: dict[str, Any]) -> None:
    module, _, name = config["project"]["scripts"]["weft"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


BUILD = """
import os, sys
from setuptools import build_meta
if sys.argv[1] == "sdist":
    build_meta.build_sdist(sys.argv[2])
else:
    build_meta.build_wheel(sys.argv[2])
"""


def build(kind: str, source: Path, target: Path) -> Path:
    """Run the build back end as pip does, in the tree ``source``, with this environment."""
    target.mkdir()
    command = [sys.executable, "-c", BUILD, kind, str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    (result,) = target.iterdir()
    return result


def test_sdist_then_wheel_holds_every_file(root: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    skip = shutil.ignore_patterns("__pycache__", ".*")
    for top in (*TOP, "weft"):
        shutil.copytree(root / top, tree / top, symlinks=True, ignore=skip)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(root / name, tree / name)
    sdist = build("sdist", tree, tmp_path / "sdist")
    shutil.unpack_archive(sdist, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", unpacked, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for top in TOP for path in source_files(root, top) if path.suffix != ".md"]
    expected = {f"weft/{path.relative_to(root).as_posix()}" for path in files}
    own = [*(root / "weft").glob("[!.]*.*"), *(root / "weft" / "cli").glob("*.py")]
    assert packed == expected | {path.relative_to(root).as_posix() for path in own}
