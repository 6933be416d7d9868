"""Where one run of the simulator has its files: a folder of its own, even beside other runs."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft.gen.drafts import remove
from weft.gen.locks import try_lock


@contextmanager
def run_folder(workdir: Path) -> Iterator[Path]:
    """An empty folder: ``run``, or ``run-2`` and so on while other runs have those before it.

    ``run`` stays behind for those who look for the reason of a failure, and so does the folder of
    any run that fails, until the next run.
    """
    path, descriptor = _take(workdir)
    try:
        for other in workdir.glob("run-[0-9]*"):
            with suppress(OSError):
                _clear(other)
        for item in path.iterdir():
            item.unlink() if item.is_symlink() else remove(item)
        yield path
        if path.name != "run":
            remove(path)
    finally:
        os.close(descriptor)


def _take(workdir: Path) -> tuple[Path, int]:
    """The first folder that no run has, and its lock."""
    for number in itertools.count(1):
        path = workdir / (f"run-{number}" if number > 1 else "run")
        while True:
            path.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # cleared meanwhile
                descriptor = try_lock(path)
                break
        if descriptor is not None:
            return path, descriptor
    raise AssertionError


def _clear(path: Path) -> None:
    descriptor = try_lock(path)
    if descriptor is not None:
        remove(path)
        os.close(descriptor)
