"""Drafts: files and folders under a name of weft's own until they are complete.

They lie beside their target, so that one renaming puts them in place. Each is locked while its
process lives: what a killed process left is removed by the next one that makes a draft there.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft.gen.locks import try_lock

DRAFT = re.compile(r"\.weft-[0-9a-f]{16}")
NEW, OLD, PLACE = "new", "old", "place"
"""In a draft folder that replaces another: see ``output.put_folder``."""


@contextmanager
def draft_folder(parent: Path) -> Iterator[Path]:
    """A new, empty folder in ``parent``, removed at the block's end with all that is in it then."""
    sweep(parent)
    path, descriptor = _locked(parent, Path.mkdir)
    try:
        yield path
    finally:
        remove(path)
        os.close(descriptor)


@contextmanager
def draft_file(parent: Path) -> Iterator[Path]:
    """A new, empty file in ``parent``, removed at the block's end unless it was moved away."""
    sweep(parent)
    path, descriptor = _locked(parent, lambda path: path.touch(exist_ok=False))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the drafts of this user in ``folder`` whose process has ended."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if DRAFT.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_stale(Path(entry.path))


def tidy(build: Path | None, output: Path | None) -> None:
    """Sweep where commands with this build and this output leave drafts."""
    folders = [Path(tempfile.gettempdir())]
    folders += [Path(os.path.realpath(path)).parent for path in (build, output) if path]
    if build:
        folders += [build / name for name in (".", "synth", "synth/cells", "sim", "sim/cache")]
    for folder in folders:
        sweep(folder)


def _remove_stale(path: Path) -> None:
    if path.lstat().st_uid != os.geteuid():
        return
    descriptor = try_lock(path)
    if descriptor is None:
        return
    try:
        if (path / OLD).is_dir():  # killed half-way, see put_folder
            place = path.parent / os.fsdecode((path / PLACE).read_bytes())
            if not place.exists():
                (path / OLD).rename(place)
        remove(path)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, as far as that is possible."""
    if path.is_file():
        path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.is_dir():  # folders that may not be written
        for folder, _, _ in os.walk(path):
            with suppress(OSError):
                os.chmod(folder, 0o700)
        shutil.rmtree(path, ignore_errors=True)


def _locked(parent: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    """Path and lock of a new draft that ``make`` makes."""
    while True:
        path = parent / f".weft-{secrets.token_hex(8)}"
        make(path)
        with suppress(FileNotFoundError):  # swept before it was locked
            try:
                descriptor = try_lock(path)
            except FileNotFoundError:
                raise
            except OSError:  # no locks here: nothing is swept either
                descriptor = os.open(path, os.O_RDONLY)
            if descriptor is not None:
                return path, descriptor
