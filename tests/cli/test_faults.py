"""How commands end: one message and one exit code, whatever was raised."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

import weft
from weft.cli import faults
from weft.cli import main as cli
from weft.cli.main import main
from weft.errors import FitError, InternalError

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """``raising(error)``: what ``weft ops`` prints on stderr and returns, if it raises that."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def end(error: BaseException, capsys: Captured) -> tuple[str, int]:
        def act(args: object) -> NoReturn:
            raise error

        monkeypatch.setitem(cli.COMMANDS, "ops", act)
        code = main(["ops", "--json"])
        return capsys.readouterr().err, code

    return end


def interrupted(error: Exception, *, within: bool) -> Exception:
    """An error that a library makes of an interruption, on purpose or while it handles it."""
    made = ImportError("initialization failed")
    made.__cause__, made.__context__ = (None, error) if within else (error, None)
    error.__context__ = KeyboardInterrupt()
    return made


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (FitError("too large"), "weft ops: too large\n", 2),
        (KeyboardInterrupt(), "weft ops: interrupted\n", 130),
        (interrupted(SystemError("x"), within=False), "weft ops: interrupted\n", 130),
        (interrupted(FitError("x"), within=True), "weft ops: interrupted\n", 130),
        (BrokenPipeError(), "", 141),
        (MemoryError(), f"weft ops: {faults.MEMORY}\n", 1),
        (PermissionError(13, "Permission denied", "a/b"), "weft ops: a/b: Permission denied\n", 1),
        (
            OSError(36, "File name too long", b"n\xff"),
            "weft ops: n\\udcff: File name too long\n",
            1,
        ),
        (OSError("odd"), "weft ops: odd\n", 1),
    ],
)
def test_endings(
    raising: Any, capsys: Captured, tmp_path: Path, error: Exception, message: str, code: int
) -> None:
    text, found = raising(error, capsys)
    assert (text, found) == (message, code)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (IndexError("tuple index out of range"), "IndexError: tuple index out of range"),
        (RecursionError("maximum depth"), "RecursionError: maximum depth"),
        (AssertionError(), "AssertionError"),
        (ValueError("one\ntwo"), "ValueError: one two"),
    ],
)
def test_a_fault(
    raising: Any, capsys: Captured, tmp_path: Path, error: Exception, line: str
) -> None:
    """One line, and a file with all that a report needs."""
    text, code = raising(error, capsys)
    (report,) = tmp_path.iterdir()
    assert code == InternalError.exit_code == 70
    assert text == (
        f"weft ops: {line}\nthis is a fault of weft, not of your files or options: please report "
        f"it, if you can with the model and the board, and with the file {report}\n"
    )
    content = report.read_text()
    assert content.startswith(f"weft {weft.__version__}, Python 3.")
    assert "\ncommand: weft 'ops' '--json'\n" in content
    assert "Traceback (most recent call last)" in content
    assert type(error).__name__ in content


def test_a_fault_without_room(
    raising: Any, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    text, code = raising(IndexError("x"), capsys)
    assert code == 70
    assert "and with what follows\nweft " in text
    assert re.search(r"IndexError: x\n$", text)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_output_that_cannot_be_written() -> None:
    """Nothing but one line, also from the interpreter's own last flush."""
    command = [sys.executable, "-m", "weft", "boards", "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "weft boards: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
