"""How weft writes: complete and checked before it is put in place, or not at all."""

import ctypes
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft.errors import ConfigError
from weft.gen.drafts import NEW, OLD, PLACE, draft_file, draft_folder

RENAME_EXCHANGE, AT_FDCWD = 2, -100  # of Linux' renameat2


@contextmanager
def output_file(path: Path, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A draft, which becomes ``path`` if the block ends without an exception.

    Until then ``path`` stays as it is. Its mode is kept, a new file's is what the umask says. A
    link is followed: the file that it names is replaced. A device or a pipe is written through.
    inputs: files that the command reads; none of them is overwritten. Raises ConfigError.
    """
    check_file(path, inputs)
    made: list[Path] = []
    try:
        if path.exists() and not path.is_file():
            with scratch_folder() as folder:
                yield folder / "draft"
                _write_through(folder / "draft", path)
            return
        place = Path(os.path.realpath(path))
        made = _make_parents(place)
        with draft_file(place.parent) as draft:
            mode = stat.S_IMODE((place if place.exists() else draft).stat().st_mode)
            yield draft
            draft.chmod(mode)  # of what lies there now: it may be another file
            draft.replace(place)
            made = []
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _write_through(draft: Path, path: Path) -> None:
    """Copy a draft into a device or a pipe, whose errors are not those of the scratch folder."""
    try:
        with draft.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file. Raises ConfigError."""
    with output_file(path) as draft:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())


def check_file(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Raise ConfigError where ``output_file`` must not write, before work is done for it."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file")
    if os.path.islink(os.path.realpath(path)):
        raise ConfigError(f"{path} cannot be written: {os.strerror(errno.ELOOP)}")
    if not path.exists():
        return
    for item in inputs:
        if item.exists() and path.samefile(item):
            raise ConfigError(f"{path} is what this command reads ({item}); name another file")
    if not os.access(path, os.W_OK):
        raise ConfigError(f"{path} cannot be written: {os.strerror(errno.EACCES)}")


def _make_parents(place: Path) -> list[Path]:
    """Make the folders above a file; those that were made, deepest first."""
    missing = [folder for folder in place.parents if not folder.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
    return missing


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for intermediate files, away from the user's; private, as long as the block.

    Raises ConfigError where there is no room.
    """
    parent = Path(tempfile.gettempdir())
    try:
        with draft_folder(parent) as folder:
            folder.chmod(0o700)
            yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise ConfigError(f"{parent} cannot be written: {error.strerror}") from error


def put_folder(draft: Path, place: Path) -> None:
    """Let ``draft``, the folder NEW of a draft folder, be at ``place``; what was there goes with
    the draft folder.

    Whoever looks sees one or the other. Where the file system cannot exchange two folders in one
    step, a process killed between the two leaves the old one to be put back by the next sweep.
    Raises OSError: FileExistsError where ``place`` came into being meanwhile.
    """
    holder = draft.parent
    assert draft.name == NEW
    if not place.exists():
        try:
            draft.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        return
    if _exchange(draft, place):
        return
    (holder / PLACE).write_bytes(os.fsencode(place.name))
    place.rename(holder / OLD)
    try:
        draft.rename(place)
    except BaseException:
        (holder / OLD).rename(place)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where system or file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    paths = [os.fsencode(path) for path in (one, other)]
    if renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(code, os.strerror(code), str(other))
