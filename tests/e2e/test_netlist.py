"""``weft run --port netlist``: networks on the netlists that go to nextpnr, bit for bit."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.mapper.support import conv_graph
from weft.boards.board import load_board
from weft.boards.device import Device
from weft.boards.families.lookup import design_hz
from weft.boards.synth import synthesise
from weft.cli.main import main
from weft.gen.build_dir import write_build
from weft.machine import timing
from weft.machine.target import Target
from weft.mapper.search import plan
from weft.nn.ir.host import reference_model
from weft.nn.ir.window import Window

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
N_SAMPLES = 3


@pytest.mark.parametrize(
    ("name", "fixed"), [("ulx3s-25f", False), ("ulx3s-25f", True), ("icebreaker", False)]
)
def test_a_convolution(name: str, fixed: bool, tmp_path: Path) -> None:
    """The smallest engine there is; on iCE40 it is a compact one, with its store uploaded."""
    board, shape = load_board(name), (2, 4, 4)
    budget = {kind: getattr(board.budget, kind) for kind in ("lut", "ff", "dsp", "bram", "spram")}
    family, clock_hz = board.device.family, design_hz(board)
    target = Target(name=name, family=family, clock_hz=clock_hz, **budget)
    graph = conv_graph(shape, 3, Window(kernel=(2, 2)))
    (first,), (last,) = graph.inputs, graph.outputs
    graph = graph.replace(
        inputs=(first.replace(shape=shape),), outputs=(last.replace(shape=(3, 3, 3)),)
    )
    made = plan(graph, target, lanes=2, columns=2, requant_lanes=1)
    write_build(tmp_path / "build", graph, made, board.to_json(), fixed=fixed)
    synthesise(tmp_path / "build", place_and_route=False)
    rng = np.random.default_rng(1)
    inputs = {first.name: rng.integers(-128, 128, (N_SAMPLES, *shape)).astype(first.dtype)}
    with Device(tmp_path / "build", "netlist") as device:
        result = device.run(inputs)
    expected = reference_model(graph, inputs)
    assert list(result.outputs) == list(expected)
    for output, array in expected.items():
        np.testing.assert_array_equal(result.outputs[output], array)
    assert result.cycles.tolist() == [timing.cycles(made)] * N_SAMPLES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("ulx3s-25f", ["--lanes", "4", "--columns", "4", "--requant-lanes", "1"]),
        ("icebreaker", []),
    ],
)
def test_digits(
    name: str, engine: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Minutes: yosys, g++, and on iCE40 an upload of 35 kB."""
    build, model = str(tmp_path / "build"), str(DIGITS / "digits.onnx")
    assert main(["compile", model, "--board", name, "-o", build, *engine]) == 0
    assert main(["synth", build, "--yosys-only"]) == 0
    capsys.readouterr()
    line = ["run", build, "--port", "netlist", "--inputs", str(DIGITS / "digits_test.npz")]
    assert main([*line, "--samples", "10", "--check", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["bit_exact"], result["samples"]) == (True, 10)
    assert result["cycles"] == result["predicted_cycles"]
