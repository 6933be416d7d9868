"""No tool outlives the block that started it, nor weft, however that ends."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from weft.cli import interrupt
from weft.gen.process import call, libraries_tools, tool_group

TREE = "sleep 600 & echo $! > child; sleep 600"
PROGRAM = """
import subprocess, sys
from weft.gen.process import call, libraries_tools
if sys.argv[1] == "own":
    call(["sh", "-c", sys.argv[2]])
else:
    with libraries_tools():
        subprocess.run(["sh", "-c", sys.argv[2]])
"""


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def child(folder: Path) -> int:
    """The process number that TREE leaves."""
    while not (folder / "child").exists() or not (folder / "child").read_text().strip():
        time.sleep(0.01)
    return int((folder / "child").read_text())


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 30  # at once; but machines can be busy
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_call(tmp_path: Path) -> None:
    done = call(["sh", "-c", "cat; exit 3"], input="text", stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (3, "text")
    call(["sh", "-c", "sleep 600 & echo $! > child"], cwd=tmp_path)
    assert ends(child(tmp_path))
    with pytest.raises(FileNotFoundError):
        call(["/no/such/tool"])


def test_time_out(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        call(["sh", "-c", TREE], cwd=tmp_path, timeout=1)
    assert ends(child(tmp_path))


def test_libraries_tools(tmp_path: Path) -> None:
    plain = subprocess.Popen
    with pytest.raises(subprocess.TimeoutExpired), libraries_tools():
        subprocess.run(["sh", "-c", TREE], cwd=tmp_path, timeout=1)
    assert subprocess.Popen is plain
    with libraries_tools():
        assert call(["true"]).returncode == 0  # a group of its own
    assert ends(child(tmp_path))


def test_the_group_ends_with_the_block() -> None:
    with tool_group() as group:
        process = subprocess.Popen(["sleep", "600"], process_group=group)
    assert process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("way", ["own", "library"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_weft_leaves_no_tool(
    root: Path, tmp_path: Path, way: str, number: signal.Signals
) -> None:
    """Even where it could do nothing about it."""
    code = f"import sys; sys.path.insert(0, {str(root)!r})\n{PROGRAM}"
    weft = subprocess.Popen([sys.executable, "-c", code, way, TREE], cwd=tmp_path)
    pid = child(tmp_path)
    assert is_running(pid)
    weft.send_signal(number)
    weft.wait()
    assert ends(pid)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_no_temporary_file_stays(temporary: Path) -> None:
    """Compilers leave theirs when they are killed. What else the environment says is kept."""
    left = ["sh", "-c", "echo $A > $TMPDIR/left; cat $TMPDIR/left; kill -KILL $$"]
    done = call(left, env=os.environ | {"A": "1"}, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"1\n")
    with libraries_tools():
        done = subprocess.run(left, env=os.environ | {"A": "2"}, stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"2\n")
        assert subprocess.run(left).returncode == -signal.SIGKILL
    assert not list(temporary.iterdir())
    with pytest.raises(PermissionError, match=re.escape(str(temporary))):
        call([str(temporary)])  # not said of the temporary files


@pytest.mark.parametrize("way", ["own", "library"])
def test_the_next_command_removes_temporary_files(root: Path, temporary: Path, way: str) -> None:
    """After a kill."""
    code = f"import sys; sys.path.insert(0, {str(root)!r})\n{PROGRAM}"
    words = [sys.executable, "-c", code, way, "touch $TMPDIR/cc.s; " + TREE]
    weft = subprocess.Popen(words, cwd=temporary)
    pid = child(temporary)
    weft.kill()
    weft.wait()
    assert ends(pid)
    assert list(temporary.glob("*/cc.s"))
    call(["true"])
    assert [path.name for path in temporary.iterdir()] == ["child"]


def ended(root: Path, number: signal.Signals, body: str) -> tuple[int, str]:
    """A program's exit code and stderr, if this signal comes while it sleeps."""
    code = (
        f"import sys, time, signal; sys.path.insert(0, {str(root)!r})\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # the tests may run under nohup
        f"from weft.cli import interrupt\n{body}\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    time.sleep(0.3)  # what comes after "ready" has begun
    program.send_signal(number)
    shown = program.communicate(timeout=60)[1]
    return program.returncode, shown


def test_signals_while_importing(root: Path) -> None:
    line = (interrupt.INTERRUPTED, "weft: interrupted\n")
    assert ended(root, signal.SIGINT, "interrupt.with_nothing_begun()") == line
    for number in (signal.SIGTERM, signal.SIGHUP):
        assert ended(root, number, "interrupt.with_nothing_begun()") == (-number, "")


@pytest.mark.parametrize("number", interrupt.ENDINGS)
def test_signals_while_a_command_imports(
    root: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Nothing is raised into a library that loads: those in C++ abort."""
    (tmp_path / "slow.py").write_text(
        "import time\nprint('ready', flush=True)\nfor _ in range(600): time.sleep(0.1)\n"
    )
    body = (
        f"sys.path.insert(0, {str(tmp_path)!r})\ninterrupt.while_running()\n"
        "try: import slow\nexcept BaseException: print('raised', file=sys.stderr)"
    )
    assert ended(root, number, body) == (interrupt.INTERRUPTED, "weft: interrupted\n")


@pytest.mark.parametrize("number", interrupt.ENDINGS)
def test_signals_that_nobody_takes(root: Path, number: signal.Signals) -> None:
    """As in a solver's call that does not come back."""
    body = f"signal.signal({int(number)}, lambda *_: None); interrupt.insist()"
    assert ended(root, number, body) == (interrupt.INTERRUPTED, "weft: interrupted\n")


def test_signals_while_no_thread_runs(root: Path) -> None:
    """As while a large library is loaded; so does a long call of Python itself."""
    body = (
        "interrupt.while_running(); interrupt.insist()\n"
        "print('ready', flush=True); sum(range(10**12))"
    )
    assert ended(root, signal.SIGTERM, body) == (-signal.SIGKILL, "")


def test_ignored_signals_stay_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup."""
    before = {number: signal.getsignal(number) for number in interrupt.ENDINGS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupt.with_nothing_begun()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is interrupt.end_at_once
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        interrupt.while_running()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is interrupt.interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
