"""The command line: words, exit codes, one JSON object on stdout and nothing else."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import weft
from weft.boards.board import list_boards
from weft.cli import main as cli
from weft.cli.main import main
from weft.errors import REPORT
from weft.nn.ir.graph import Graph
from weft.nn.onnx.table import SUPPORTED
from weft.nn.passes import simplify
from weft.nn.passes.rewriting import with_operators

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def build(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network on a small pinned engine."""
    folder = tmp_path_factory.mktemp("cli") / "build"
    words = ["compile", str(root / "examples/digits/digits.onnx"), "--board", "ulx3s-25f"]
    words += ["-o", str(folder), "--lanes", "4", "--columns", "4", "--requant-lanes", "2"]
    assert main([*words, "--json"]) == 0
    return folder


def usage(capsys: Captured, *words: str) -> str:
    """The error line of words that are refused."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    # 2 would say that the network does not fit.
    assert caught.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: weft")
    return shown.err.splitlines()[-1]


def test_usage_errors(capsys: Captured) -> None:
    assert usage(capsys) == "weft: error: the following arguments are required: COMMAND"
    assert usage(capsys, "fly").startswith("weft: error: argument COMMAND: invalid choice: 'fly'")
    assert usage(capsys, "compile", "m.onnx", "-o", "b") == (
        "weft compile: error: the following arguments are required: --board"
    )
    assert usage(capsys, "compile", "m.onnx", "--board", "b") == (
        "weft compile: error: the following arguments are required: -o/--output"
    )
    assert usage(capsys, "reference", "b") == (
        "weft reference: error: the following arguments are required: --inputs, -o/--output"
    )
    line = ("compile", "m.onnx", "--board", "b", "-o", "b")
    for option, most in (("--lanes", 4096), ("--columns", 4096), ("--cycles", 4294967295)):
        start = f"weft compile: error: argument {option}: "
        for text in ("0", "-3", "x", "1.5", "99999999999"):
            assert usage(capsys, *line, option, text) == (
                f"{start}must be a whole number from 1 to {most}, not {text!r}"
            )
    for option, most in (("--clock", "1000"), ("--timeout", "604800")):
        for text in ("0", "nan", "inf", "x"):
            assert usage(capsys, "synth", "b", option, text) == (
                f"weft synth: error: argument {option}: "
                f"must be a number from 0.001 to {most}, not {text!r}"
            )
    for option, limits in (("--seed", "0 to 2147483647"), ("--placements", "1 to 100")):
        assert usage(capsys, "synth", "b", option, "99999999999") == (
            f"weft synth: error: argument {option}: "
            f"must be a whole number from {limits}, not '99999999999'"
        )
    for text in ("0", "8+0", "+2", "8+", "1.5", "8+2+2", "x", "99999999"):
        assert usage(capsys, *line, "--requant-lanes", text) == (
            "weft compile: error: argument --requant-lanes: "
            f"must be a whole number from 1 to 4096, or two as in 8+2, not {text!r}"
        )
    assert usage(capsys, "run", "b") == (
        "weft run: error: the following arguments are required: --port, --inputs"
    )
    assert usage(capsys, "run", "b", "--port", "p", "--inputs", "x", "--baud", "0") == (
        "weft run: error: argument --baud: must be a whole number from 1 to 100000000, not '0'"
    )
    assert usage(capsys, "simulate", "b", "--samples", "0") == (
        "weft simulate: error: argument --samples: "
        "must be a whole number from 1 to 1000000, not '0'"
    )
    assert usage(capsys, "ops", "--fast") == "weft: error: unrecognized arguments: --fast"


def test_help_and_version(capsys: Captured) -> None:
    for words, expected in ((["--version"], f"weft {weft.__version__}\n"), (["--help"], "usage:")):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith(expected)


def figures(capsys: Captured, *words: str) -> dict:
    """The one JSON object on stdout."""
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("weft.cli.main", "numpy onnx onnxruntime amaranth ortools pandas"),
        ("weft.mapper.search", "onnxruntime amaranth ortools pandas"),
        ("weft.boards.board", "onnx onnxruntime amaranth ortools pandas"),
    ],
)
def test_nothing_slow_is_imported_before_it_is_needed(module: str, heavy: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({heavy.split()}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_boards(capsys: Captured) -> None:
    found = figures(capsys, "boards")
    assert list(found) == list_boards()
    assert found["ulx3s-85f"]["budget"]["dsp"] == 156
    assert found["ulx3s-85f"]["design_hz"] == 50_000_000  # what designs get, not the oscillator
    assert main(["boards"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"ulx3s-85f +│ LFE5U-85F +│ 50 +│ 25 +│ 83640 │ 156 │ 208", shown.out)
    assert shown.err == ""


def test_ops(capsys: Captured) -> None:
    found = figures(capsys, "ops")
    assert list(found) == [row.name for row in SUPPORTED]
    assert found["Softmax"] == {
        "form": "QDQ", "runs": "host", "limits": "at the end of the network",
    }  # fmt: skip
    assert main(["ops"]) == 0
    words = set(capsys.readouterr().out.split())
    assert {row.name for row in SUPPORTED} <= words


def test_operators_page_is_in_step(capsys: Captured, root: Path) -> None:
    assert main(["ops", "--markdown"]) == 0
    assert capsys.readouterr().out == (root / "docs/operators.md").read_text("utf-8")


def test_explain(capsys: Captured, build: Path) -> None:
    found = figures(capsys, "explain", str(build))
    steps = found["steps"]
    assert [step["name"] for step in steps][:3] == ["stem", "depthwise", "pointwise"]
    assert sum(step["cycles"] for step in steps) == found["cycles"]
    assert all(0 < step["floor"] <= step["end"] - step["begin"] for step in steps)
    assert any(step["cycles"] < step["floor"] for step in steps)  # beside another one
    assert found["multipliers"] == 16
    utilisation = found["macs"] / found["cycles"] / 16
    assert found["mac_utilisation"] == pytest.approx(utilisation, abs=1e-4)
    assert main(["explain", str(build)]) == 0
    shown = capsys.readouterr().out
    assert f"digits: {found['cycles']:,} cycles" in shown
    for step in steps:
        row = next(line for line in shown.splitlines() if f" {step['name']} " in line)
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        assert cells == [str(step[key]) for key in step]


def test_compile_prints_what_the_build_holds(capsys: Captured, root: Path, build: Path) -> None:
    words = ["compile", str(root / "examples/digits/digits.onnx"), "--board", "ulx3s-25f"]
    words += ["-o", str(build), "--lanes", "4", "--columns", "4", "--requant-lanes", "2"]
    found = figures(capsys, *words)
    report = json.loads((build / "report.json").read_text())["prediction"]
    assert {name: found[name] for name in report} == report
    sizes = ("lanes", "columns", "array_requant", "vector_requant", "vector_taps")
    assert [found[name] for name in sizes] == [4, 4, 2, 2, 3]
    assert (found["board"], found["build"]) == ("ulx3s-25f", str(build))
    assert main(words) == 0
    shown = capsys.readouterr()
    assert f"cycles          │ {found['cycles']:,}" in shown.out
    assert shown.err.endswith("digits.onnx: 8 operators, 256,320 MACs\n")


def test_reference(capsys: Captured, root: Path, build: Path, tmp_path: Path) -> None:
    inputs, output = root / "examples/digits/digits_test.npz", tmp_path / "y.npz"
    words = ["reference", str(build), "--inputs", str(inputs), "-o", str(output)]
    found = figures(capsys, *words, "--samples", "12")
    with np.load(output) as file:
        names = [name for name in file.files if name != "y"]
        assert found == {"output": str(output), names[0]: [12, 10], "top1": 1.0}
        np.testing.assert_array_equal(file["y"], file[names[0]])
        assert file["y"].dtype == np.float32


def test_names_are_printed_as_they_are(capsys: Captured, tmp_path: Path) -> None:
    """Square brackets and colons in names are not markup."""
    odd = tmp_path / "[red]:x:[" / "m[/b].onnx"
    assert main(["compile", str(odd), "--board", "ulx3s-25f", "-o", str(tmp_path / "b")]) == 1
    assert capsys.readouterr().err == (
        f"weft compile: {odd}: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ended_from_outside(number: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-C: what a command has started ends with it."""
    before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored
    ended = []

    def wait(args: object) -> int:
        try:
            signal.raise_signal(number)
            return 0
        finally:
            ended.append(args)

    monkeypatch.setitem(cli.COMMANDS, "boards", wait)
    try:
        assert main(["boards"]) == 130
    finally:
        signal.signal(number, before)
    assert ended
    assert capsys.readouterr().err == "weft boards: interrupted\n"


def test_interrupt(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "boards", stop)
    assert main(["boards"]) == 130
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "weft boards: interrupted\n")


def test_compile_refuses_a_build_that_simplification_changed(
    root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(graph: Graph) -> Graph:
        operators = [op.replace(high=9) if op.type == "Conv" else op for op in graph.operators]
        return with_operators(graph, operators)

    monkeypatch.setattr(simplify, "SIMPLIFICATIONS", (*simplify.SIMPLIFICATIONS, wrong))
    folder = tmp_path / "build"
    words = ["compile", str(root / "examples/digits/digits.onnx"), "--board", "ulx3s-25f"]
    words += ["--lanes", "4", "--columns", "4"]
    assert main([*words, "-o", str(folder)]) == 70
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(
        "weft compile: network 'digits': rewriting step wrong changes output '.*; "
        + re.escape(REPORT),
        shown.err.splitlines()[-1],
    )
    assert not folder.exists()
