"""Who is at work in a folder: locks that end with the process that holds them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft.errors import ConfigError


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock a file or folder: the descriptor that holds the lock, or None if another one has it.

    Any number of shared locks go together. No file is made; a lock of a path is one of what is
    there now, even if another program puts something else in its place while this one asks. Raises
    OSError where nothing is there, a link is, or the file system has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextmanager
def using(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Keep other commands from replacing ``folder`` in this block; with ``alone``, from using it.

    A folder that is not there, and a file system without locks, are left to what comes next.
    Raises ConfigError if another command is at work there.
    """
    descriptor = None
    with suppress(OSError):
        descriptor = try_lock(Path(os.path.realpath(folder)), shared=not alone)
        if descriptor is None:
            raise ConfigError(
                f"{folder} is in use by another weft command; try again when that has ended"
            )
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
