"""What a new build takes over from the one it replaces: everything that is not weft's, or fits."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.errors import ConfigError
from weft.gen.drafts import DRAFT

MANIFEST, REPORT, PAGE = "manifest.json", "report.json", "report.html"
# What synthesis and simulation add to a build, by name.
DERIVED = re.compile(
    r"bitstream\.\w+"  # as the family's packer has it
    r"|synth/(weft_top\.\w+|yosys\.\w+|stat\.json|nextpnr\.json|[\w-]+\.log|cells/weft_\w+\.v)"
    r"|sim/(board_top\.v|netlist\.\w+|(run(-\d+)?|cache)/.*)"
)
FOUND_OUT = ("synthesis", "simulation", "run", "evaluation", "commands")
"""Parts of the report that stay with the design that they are about."""

SOURCES = ("rtl/", "images/")


@dataclass(frozen=True, kw_only=True)
class _Build:
    """A build's folder, its manifest and the checksums of the files that the manifest lists."""

    folder: Path
    manifest: dict[str, Any]
    checksum: Callable[[Path], str]

    @property
    def sums(self) -> dict[str, str]:
        sums = self.manifest.get("files")
        return sums if isinstance(sums, dict) else {}

    @property
    def design(self) -> tuple[object, ...]:
        """What bitstreams and simulations depend on."""
        names = ("plan_hash", "board_file", "image_limits")
        sums = {name: value for name, value in self.sums.items() if name.startswith(SOURCES)}
        return (*(self.manifest.get(name) for name in names), sums)

    @property
    def edited(self) -> list[str]:
        """The manifest's files that somebody else has written to since."""
        files = ((name, self.folder / name) for name in self.sums if name != REPORT)
        return [n for n, path in files if path.is_file() and self.checksum(path) != self.sums[n]]


def take_over(old: Path, new: Path, checksum: Callable[[Path], str]) -> list[str]:
    """Bring into ``new``, a complete build, what of ``old`` stays; the lines that the user reads.

    Files that weft did not make stay, and so do bitstreams and simulations of the same design.
    ``old`` is not changed. Raises ConfigError where a file that weft did not make is in the way.
    """
    builds = [
        _Build(folder=folder, manifest=_object(folder / MANIFEST), checksum=checksum)
        for folder in (old, new)
    ]
    same = builds[0].design == builds[1].design
    made = {*builds[0].sums, MANIFEST}
    derived: set[str] = set()
    for name in _entries(old):
        if name == PAGE:  # made anew of the new report
            continue
        if name in made:
            if (new / name).is_file():
                shutil.copymode(old / name, new / name)
            continue
        if DERIVED.fullmatch(name):
            derived.add(name.partition("/")[0])
            if not same:
                continue
        _keep(old, new, name)
    for folder, _, _ in os.walk(new):
        if (old / Path(folder).relative_to(new)).is_dir():
            shutil.copymode(old / Path(folder).relative_to(new), folder)
    if same:
        _keep_report(old / REPORT, new / REPORT)
    return _lines(sorted(derived), same, builds[0].edited)


def _lines(derived: list[str], same: bool, edited: list[str]) -> list[str]:
    lines = []
    if derived and same:
        lines.append(f"kept, as the design is the same: {', '.join(derived)}")
    elif derived:
        lines.append(f"removed, as they belong to another design: {', '.join(derived)}")
    if edited:
        lines.append(f"replaced, though edited since weft wrote them: {', '.join(edited)}")
    return lines


def _entries(folder: Path) -> Iterator[str]:
    """Files, links and empty folders below ``folder``, with slashes; no drafts."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in sorted(folders) if not DRAFT.fullmatch(name)]
        links = [name for name in folders if Path(place, name).is_symlink()]
        names = [*links, *(name for name in sorted(files) if not DRAFT.fullmatch(name))]
        if not names and not folders and place != str(folder):
            yield Path(place).relative_to(folder).as_posix()
        yield from (Path(place, name).relative_to(folder).as_posix() for name in names)


def _keep(old: Path, new: Path, name: str) -> None:
    """The same file under the same name, without a copy where the file system can."""
    source, target = old / name, new / name
    try:
        if source.is_dir() and not source.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:  # another file system, or one without links
            if not source.is_symlink() and not source.is_file():
                raise ConfigError(f"{source} cannot be kept ({error.strerror}); move it") from error
            shutil.copy2(source, target, follow_symlinks=False)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(
            f"{source} was not made by weft and has the name of a file of the build; move it"
        ) from error


def _keep_report(old: Path, new: Path) -> None:
    """What was found out about the design that stays."""
    kept = {key: value for key, value in _object(old).items() if key in FOUND_OUT}
    if kept:
        new.write_text(json.dumps(_object(new) | kept, indent=2) + "\n", encoding="utf-8")


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
