"""Files and folders appear complete, or nothing changes; what a dead process left goes away."""

import errno
import fcntl
import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from weft.errors import ConfigError
from weft.gen import output
from weft.gen.drafts import DRAFT, NEW, OLD, PLACE, draft_file, draft_folder, sweep
from weft.gen.locks import try_lock, using
from weft.gen.output import check_file, output_file, put_folder, scratch_folder, write_file

STALE = ".weft-0123456789abcdef"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_modes(tmp_path: Path, umask: int) -> None:
    """A new file's is what the umask says, an old one's stays."""
    before = os.umask(umask)
    try:
        write_file(tmp_path / "new", "a")
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o640)
        write_file(tmp_path / "old", b"b")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o666 & ~umask
    assert mode(tmp_path / "old") == 0o640
    assert names(tmp_path) == ["new", "old"]


def test_nothing_changes_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    (tmp_path / ".file.new").write_text("of the user")

    def half(place: Path) -> None:
        with output_file(place) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    for place in (path, tmp_path / "a" / "b" / "file"):
        with pytest.raises(KeyboardInterrupt):
            half(place)
    assert path.read_text() == "old"
    assert (tmp_path / ".file.new").read_text() == "of the user"
    assert names(tmp_path) == [".file.new", "file"]


def test_the_draft_lies_beside_its_target(tmp_path: Path) -> None:
    with output_file(tmp_path / "file") as draft, output_file(tmp_path / "file") as other:
        assert draft.parent == tmp_path
        assert DRAFT.fullmatch(draft.name)
        assert draft != other
        assert not (tmp_path / "file").exists()


def test_a_name_of_255_bytes(tmp_path: Path) -> None:
    write_file(tmp_path / ("n" * 255), "a")
    assert names(tmp_path) == ["n" * 255]


def test_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("old")
    for name, target in (("there", "file"), ("dangling", "other")):
        (tmp_path / name).symlink_to(Path("real", target))
        write_file(tmp_path / name, name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "real" / target).read_text() == name
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError) as caught:
        write_file(tmp_path / "loop", "")
    assert str(caught.value) == (
        f"{tmp_path / 'loop'} cannot be written: Too many levels of symbolic links"
    )


def test_devices_and_pipes_are_written_through(tmp_path: Path) -> None:
    write_file(Path("/dev/null"), "a")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "through")
    reader.join()
    assert found == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_device_that_takes_nothing() -> None:
    """It is named, not the folder of the draft."""
    with pytest.raises(ConfigError) as error:
        write_file(Path("/dev/full"), "a")
    assert str(error.value) == f"/dev/full cannot be written: {os.strerror(errno.ENOSPC)}"


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("mine")
    (tmp_path / "link").symlink_to("input")
    os.link(path, tmp_path / "hard")
    for name in ("input", "link", "hard"):
        with pytest.raises(ConfigError) as caught, output_file(tmp_path / name, [path]):
            raise AssertionError
        assert str(caught.value) == (
            f"{tmp_path / name} is what this command reads ({path}); name another file"
        )
    assert path.read_text() == "mine"


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "access", lambda path, kind: False)  # root may write everything
    for path, text in (
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "file", "cannot be written: Permission denied"),
    ):
        with pytest.raises(ConfigError) as caught:
            check_file(path)
        assert str(caught.value) == f"{path} {text}"
    with pytest.raises(ConfigError) as caught:
        write_file(tmp_path / "file" / "below", "")
    assert str(caught.value) == f"{tmp_path / 'file' / 'below'} cannot be written: Not a directory"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def fill() -> None:
        with scratch_folder() as folder:
            assert folder.parent == tmp_path
            assert mode(folder) == 0o700
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ConfigError) as caught:
        fill()
    assert str(caught.value) == f"{tmp_path} cannot be written: No space left on device"
    assert names(tmp_path) == []


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    """But nothing that a live one has, nor what only looks alike."""
    for name in (STALE, ".weft-1", ".file-abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").touch()
    (tmp_path / STALE / "locked").mkdir(0o500)
    (tmp_path / f"{STALE[:-1]}0").touch()
    (tmp_path / f"{STALE[:-1]}1").symlink_to(tmp_path / ".weft-1")
    with draft_folder(tmp_path) as folder, draft_file(tmp_path) as file:
        sweep(tmp_path)
        assert folder.is_dir()
        assert file.is_file()
    assert names(tmp_path) == [".file-abc", f"{STALE[:-1]}1", ".weft-1"]
    assert names(tmp_path / ".weft-1") == ["content"]


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two steps"])
def test_put_folder(tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(output, "_exchange", lambda one, other: False)
    place = tmp_path / "place"
    for text in ("first", "second"):
        with draft_folder(tmp_path) as holder:
            (holder / NEW).mkdir()
            (holder / NEW / text).touch()
            put_folder(holder / NEW, place)
        assert names(place) == [text]
        assert names(tmp_path) == ["place"]


def test_killed_between_the_two_steps(tmp_path: Path) -> None:
    """The next command finds the old folder where it was."""
    holder = tmp_path / STALE
    for name in (OLD, NEW):
        (holder / name).mkdir(parents=True)
    (holder / OLD / "mine").touch()
    (holder / PLACE).write_text("place")
    sweep(tmp_path)
    assert names(tmp_path) == ["place"]
    assert names(tmp_path / "place") == ["mine"]


def test_a_place_that_another_one_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    (place / "theirs").mkdir(parents=True)
    with draft_folder(tmp_path) as holder:
        (holder / NEW).mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "exists", lambda path: False)  # as it was a moment ago
            with pytest.raises(FileExistsError):
                put_folder(holder / NEW, place)
    assert names(place) == ["theirs"]


def test_locks(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with using(tmp_path), using(tmp_path / "link"):
        with pytest.raises(ConfigError) as caught, using(tmp_path / "link", alone=True):
            raise AssertionError
    assert str(caught.value) == (
        f"{tmp_path / 'link'} is in use by another weft command; try again when that has ended"
    )
    with using(tmp_path, alone=True):
        with pytest.raises(ConfigError, match="is in use"), using(tmp_path):
            raise AssertionError
        with using(tmp_path / "none", alone=True):
            pass
    with using(tmp_path, alone=True):
        pass


def test_a_lock_is_of_what_is_there_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is replaced between opening and locking."""
    place, flock = tmp_path / "place", fcntl.flock
    place.mkdir()

    def replaced(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        place.rename(tmp_path / "old")
        place.mkdir()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replaced)
    descriptor = try_lock(place)
    assert descriptor is not None
    assert os.path.samestat(os.fstat(descriptor), place.stat())
    os.close(descriptor)


def test_no_locks_in_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes on without them, and nothing is swept."""

    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / STALE).mkdir()
    monkeypatch.setattr(fcntl, "flock", refused)
    with using(tmp_path, alone=True):
        write_file(tmp_path / "file", "a")
    assert names(tmp_path) == [STALE, "file"]


def test_a_killed_process_frees_its_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(["flock", "-o", str(tmp_path), "sleep", "60"], start_new_session=True)
    try:
        while (descriptor := try_lock(tmp_path)) is not None:
            os.close(descriptor)
    finally:
        os.killpg(holder.pid, 9)
        holder.wait()
    for _ in range(100):  # its child is killed as well, but nobody waits for that one
        if (descriptor := try_lock(tmp_path)) is not None:
            os.close(descriptor)
            break
        time.sleep(0.05)
    with using(tmp_path, alone=True):
        pass
