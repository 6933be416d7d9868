"""``weft run`` against a board in Python: what it prints, and its exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.boards.fake_board import FakeBoard, port_that
from weft.boards.device import Device
from weft.cli.main import main
from weft.gen import hardware, soc
from weft.gen.build_dir import Build, read_build
from weft.gen.data import load_inputs
from weft.hw.link.protocol import Command
from weft.machine import timing
from weft.nn.ir import host
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import encode_inputs, reference_model

Captured = pytest.CaptureFixture[str]
CLOCK_MHZ = 50  # what designs for an ECP5 are planned for
N_SAMPLES = 5


@pytest.fixture(scope="module")
def build(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The digits network on a small engine, with no Verilog."""
    folder = tmp_path_factory.mktemp("run") / "build"
    words = ["compile", str(root / "examples/digits/digits.onnx"), "--board", "ulx3s-25f"]
    words += ["-o", str(folder), "--lanes", "4", "--columns", "4", "--requant-lanes", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardware, "verilog_text", lambda plan: "module weft_top;\nendmodule\n")
        patch.setattr(soc, "soc_verilog", lambda params: "module weft_soc;\nendmodule\n")
        assert main([*words, "--json"]) == 0
    return read_build(folder)


@pytest.fixture(scope="module")
def data(root: Path) -> Path:
    return root / "examples/digits/digits_test.npz"


@pytest.fixture
def board(build: Build, data: Path) -> FakeBoard:
    inputs = load_inputs(data, build.graph, N_SAMPLES)
    return FakeBoard(build, encode_inputs(build.graph, inputs))


def words(build: Build, port: str, data: Path, *more: str) -> list[str]:
    line = ["run", build.folder, "--port", port, "--inputs", data, "--samples", N_SAMPLES]
    return [*map(str, line), *more]


def test_json_and_outputs(
    build: Build, data: Path, board: FakeBoard, tmp_path: Path, capsys: Captured
) -> None:
    scores = tmp_path / "scores.npz"
    with port_that(board.answer) as port:
        assert main(words(build, port, data, "-o", str(scores), "--json")) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert printed.err == ""
    cycles = timing.cycles(build.plan)
    (expected,) = reference_model(build.graph, load_inputs(data, build.graph, N_SAMPLES)).values()
    assert result.pop("seconds") >= 0
    labels = np.load(data)["labels"][:N_SAMPLES]
    right = round(float(np.mean(np.argmax(expected, axis=1) == labels)), 4)
    assert result == {
        "samples": N_SAMPLES,
        "cycles": cycles,
        "predicted_cycles": cycles,
        "microseconds": round(cycles / CLOCK_MHZ, 2),
        "labels": np.argmax(expected, axis=1).tolist(),
        "top1": right,
    }
    with np.load(scores) as outputs:
        np.testing.assert_array_equal(outputs["y"], expected)
    assert max(board.commands) < Command.IMAGE


def test_table(build: Build, data: Path, board: FakeBoard, capsys: Captured) -> None:
    with port_that(board.answer) as port:
        assert main(words(build, port, data, "--upload", "--baud", "115200")) == 0
    shown = capsys.readouterr().out
    assert f"{timing.cycles(build.plan):,}" in shown
    assert "labels" in shown
    assert set(board.images) == {1, 2, 3, 4, 5}


def test_cycles_that_were_not_predicted(
    build: Build, data: Path, board: FakeBoard, capsys: Captured
) -> None:
    board.extra_cycles = 1
    cycles = timing.cycles(build.plan)
    with port_that(board.answer) as port:
        assert main(words(build, port, data)) == 1
    assert f"cycles: predicted {cycles}, counted [{cycles + 1}]" in capsys.readouterr().err


def test_check(
    build: Build,
    data: Path,
    board: FakeBoard,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with port_that(board.answer) as port:
        assert main(words(build, port, data, "--check", "--json")) == 0
        assert json.loads(capsys.readouterr().out)["bit_exact"] is True

        def other(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            (item,) = reference_model(graph, inputs).items()
            return {item[0]: item[1] + np.eye(*item[1].shape, dtype=item[1].dtype)}

        monkeypatch.setattr(host, "reference_model", other)
        assert main(words(build, port, data, "--check", "--json")) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["bit_exact"] is False
    (name,) = (edge.name for edge in build.graph.outputs)
    assert f"output '{name}': {N_SAMPLES} of {10 * N_SAMPLES} values differ, " in printed.err


def test_exit_codes(
    build: Build,
    data: Path,
    board: FakeBoard,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(words(build, "/dev/no_such_port", data)) == 3
    assert capsys.readouterr().err == (
        "weft run: port /dev/no_such_port cannot be opened: No such file or directory\n"
    )
    with port_that(lambda command, payload: None) as port:
        assert main(words(build, port, data)) == 3
        assert capsys.readouterr().err.endswith("; is the cable in?\n")
    board.identity = bytes(15)
    with port_that(board.answer) as port:
        assert main(words(build, port, data)) == 1
        assert capsys.readouterr().err.startswith(f"weft run: port {port}: the board has another")
    assert main(words(build, "sim", data.with_name("none.npz"))) == 1
    assert "none.npz: cannot be read: No such file or directory\n" in capsys.readouterr().err

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Device, "__init__", interrupted)
    building = "building the simulation (takes a few minutes the first time)\n"
    for port in ("sim", "netlist"):
        assert main(words(build, port, data)) == 130
        assert capsys.readouterr().err == f"{building}weft run: interrupted\n"
