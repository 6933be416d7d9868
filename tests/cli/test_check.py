"""``weft check``: the answer, its figures and the exit codes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.nn.qdq_builder import Net
from weft.cli.check import MADE_UP
from weft.cli.main import main

Captured = pytest.CaptureFixture[str]
SMALL = ("--lanes", "4", "--columns", "4", "--requant-lanes", "2")


@pytest.fixture(autouse=True)
def with_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this computer's CPU is; tests/cli/test_saturation.py has the others."""
    monkeypatch.setattr("weft.cli.saturation.cpu_flags", lambda: {"avx2", "avx512_vnni"})


@pytest.fixture(scope="module")
def digits(root: Path) -> Path:
    return root / "examples/digits"


def answer(capsys: Captured, code: int, *words: str) -> tuple[dict, str]:
    """The JSON object and the log."""
    assert main(["check", *words, "--json"]) == code
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    return json.loads(line), shown.err


def float_net(tmp_path: Path, op: str, **attributes: object) -> Path:
    net = Net()
    x = net.input("x", ("n", 3, 6, 6), "float32")
    weight = net.constant(np.full((4, 3, 3, 3), 0.1), "float32")
    y = net.node(op, net.node("Relu", net.node("Conv", x, weight)), **attributes)
    net.output(net.node("GlobalAveragePool", y), 4, "float32")
    return net.save(tmp_path)


def test_fits_and_says_what_compile_says(digits: Path, tmp_path: Path, capsys: Captured) -> None:
    words = (str(digits / "digits.onnx"), "--board", "ulx3s-25f", *SMALL)
    found, log = answer(capsys, 0, *words)
    assert log == ""
    assert (found["supported"], found["problems"], found["notes"]) == (True, [], [])
    assert main(["compile", *words, "-o", str(tmp_path / "b"), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    board = found["board"]
    assert board["fits"] is True
    for name in ("lanes", "columns", "multipliers", "cycles"):
        assert board[name] == built[name]
    needs = {name: share["needed"] for name, share in board["resources"].items()}
    assert needs == {
        "block RAMs": built["bram"],
        "DSP multipliers": built["dsp"],
        "single-ported RAMs": 0,
        "LUTs": built["lut"],
        "flip-flops": built["ff"],
    }
    assert board["microseconds"] == pytest.approx(built["cycles"] / 50, abs=0.01)


def test_says_what_each_node_costs(tmp_path: Path, capsys: Captured) -> None:
    """A function is made of several operators; all of their cycles are its node's."""
    net = Net()
    x = net.dq(net.input("x", ("n", 4, 12, 12)), 0.05, 3)
    weight = net.dq(net.constant(np.arange(64).reshape(4, 4, 2, 2), "int8"), 0.01, 0)
    y = net.node("Conv", x, weight)
    y = net.dq(net.q(y, 0.05, -20), 0.05, -20)
    y = net.node("HardSwish", y)
    net.opset = 14
    net.output(net.q(y, 0.03, -100), 4)
    path = str(net.save(tmp_path))
    words = (path, "--board", "ulx3s-25f", *SMALL)
    found, _ = answer(capsys, 0, *words)
    board = found["board"]
    costs = {row["node"]: row["cycles"] for row in board["nodes"]}
    assert list(costs) == ["hardswish5", "conv2"]
    assert sum(costs.values()) == board["cycles"]
    assert main(["compile", *words, "-o", str(tmp_path / "b"), "--json"]) == 0
    steps = json.loads((tmp_path / "b/report.json").read_text())["prediction"]["steps"]
    assert costs["hardswish5"] == sum(s["cycles"] for s in steps if s["name"] != "conv2")
    capsys.readouterr()
    assert main(["check", *words]) == 0
    shown = capsys.readouterr().out
    text = f"{costs['hardswish5']:,} of {board['cycles']:,} cycles (node 'hardswish5')"
    assert "│   HardSwish " in shown
    assert text in shown


def test_names_only_the_nodes_of_a_float_model(digits: Path, capsys: Captured) -> None:
    found, _ = answer(capsys, 0, str(digits / "digits_float.onnx"), "--board", "ulx3s-25f")
    assert not {row["operator"] for row in found["operators"]} & {
        "QuantizeLinear", "DequantizeLinear",
    }  # fmt: skip
    assert sum(row["cycles"] for row in found["board"]["nodes"]) == found["board"]["cycles"]


def test_accumulators(digits: Path, capsys: Captured) -> None:
    found, _ = answer(capsys, 0, str(digits / "digits.onnx"))
    assert "board" not in found
    largest = found["accumulators"]
    assert largest["exact"] is True
    assert largest["node"] == "reduce"
    assert 2 ** (largest["bits"] - 2) <= largest["worst_case"] < 2 ** (largest["bits"] - 1)


def test_inexact_accumulators(tmp_path: Path, capsys: Captured) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4096)), 0.1, -128)
    weight = net.dq(net.constant(np.full((4096, 2), 100), "int8"), 1e-5, 0)
    net.output(net.q(net.node("Gemm", x, weight), 1.0, 0), 2)
    path = str(net.save(tmp_path))
    found, _ = answer(capsys, 0, path)
    assert found["accumulators"] == {
        "worst_case": 4096 * 255 * 100, "bits": 28, "node": "gemm2", "exact": False,
    }  # fmt: skip
    assert found["notes"] == [
        "gemm2: worst-case accumulator 2^26.6 exceeds float32's 24 bits; exact unless reached"
    ]
    assert main(["check", path]) == 0
    assert "beyond float32's 24 bits: see the notes" in capsys.readouterr().out


def test_does_not_fit(digits: Path, capsys: Captured) -> None:
    words = (str(digits / "digits.onnx"), "--board", "icebreaker", "--lanes", "8")
    found, log = answer(capsys, 2, *words, "--columns", "16")
    assert found["supported"] is True
    assert found["board"]["fits"] is False
    assert found["board"]["short"].startswith("digits does not fit icebreaker: it needs ")
    assert log == f"weft check: {found['board']['short']}\n"
    assert main(["check", *words, "--columns", "16"]) == 2
    assert f"short │ {found['board']['short']}" in capsys.readouterr().out


def test_not_supported(tmp_path: Path, capsys: Captured) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4, 6, 6)), 0.1, 3)
    y = net.node("Sin", net.dq(net.q(net.node("Cos", x), 0.1, 0), 0.1, 0))
    net.output(net.q(y, 0.2, 1), 4)
    path = str(net.save(tmp_path))
    found, log = answer(capsys, 1, path, "--board", "ulx3s-25f")
    assert found["supported"] is False
    assert "board" not in found
    assert [row["node"] for row in found["operators"] if row["runs"] == "unsupported"] == [
        "cos1", "sin4",
    ]  # fmt: skip
    assert log == f"weft check: {path} is not supported as it is: 2 reasons\n"
    assert main(["check", path]) == 1
    assert "operator Cos is not supported" in capsys.readouterr().out


def test_float_models(digits: Path, tmp_path: Path, capsys: Captured) -> None:
    model, data = str(digits / "digits_float.onnx"), str(digits / "digits_calibrate.npz")
    plain, _ = answer(capsys, 0, model)
    assert plain["notes"] == [MADE_UP]
    calibrated, _ = answer(capsys, 0, model, "--calibrate", data)
    assert calibrated["notes"] == []
    assert calibrated["operators"] == plain["operators"]
    bad, log = answer(capsys, 1, str(float_net(tmp_path, "Erf")))
    rows = {row["node"]: row["runs"] for row in bad["operators"]}
    assert (rows["conv0"], rows["erf2"]) == ("array", "unsupported")
    assert log.endswith(": 1 reason\n")


def test_float_model_that_does_not_run(tmp_path: Path, capsys: Captured) -> None:
    """Not even ONNX Runtime knows an operator: names are all there is."""
    path = str(float_net(tmp_path, "Odd", domain="my.own"))
    found, _ = answer(capsys, 1, path)
    assert {row["node"]: row["runs"] for row in found["operators"]} == {
        "conv0": "not judged",
        "relu1": "not judged",
        "odd2": "unsupported",
        "globalaveragepool3": "not judged",
    }
    assert found["notes"][0].startswith(f"{path}: ONNX Runtime cannot run it: ")


def test_unusable_words(digits: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["check", str(tmp_path / "no.onnx"), "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"weft check: {tmp_path / 'no.onnx'}: cannot be read: No such file or directory\n"
    )
    model = str(digits / "digits.onnx")
    data = str(digits / "digits_calibrate.npz")
    assert main(["check", model, "--calibrate", data]) == 1
    assert "is quantised already" in capsys.readouterr().err
    assert main(["check", model, "--board", "no-such-board"]) == 1
    assert capsys.readouterr().err.startswith("weft check: ")


def test_no_board_is_large_enough(tmp_path: Path, capsys: Captured) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4096)), 0.1, -128)
    weight = net.dq(net.constant(np.ones((4096, 2000)), "int8"), 1e-5, 0)
    net.output(net.q(net.node("Gemm", x, weight), 1.0, 0), 2000)
    model, where = str(net.save(tmp_path)), r"it needs \d+ block RAMs with .*, the board has "
    none = "no board that weft knows is large enough"
    outside = "weft check --external-memory says what memory outside the chip would have to give"
    found, _ = answer(capsys, 2, model, "--board", "ulx3s-85f")
    assert re.search(f"{where}208 for it; {none}; {outside}$", found["board"]["short"])
    assert main(["compile", model, "--board", "ulx3s-25f", "-o", str(tmp_path / "b"), *SMALL]) == 2
    assert re.search(
        rf"{where}56 for it; {none} \(on ecp5-evn, the largest, {where}208 for it\); {outside}"
        "; fewer --lanes and --columns may do$",
        capsys.readouterr().err.rstrip(),
    )
    found, _ = answer(
        capsys, 2, model, "--board", "ulx3s-25f", "--cycles", "20", "--external-memory"
    )
    assert re.search(rf"; {none.replace('large', 'fast')} \(on ecp5-evn", found["board"]["short"])


def test_external_memory(tmp_path: Path, capsys: Captured) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4096)), 0.1, -128)
    weight = net.dq(net.constant(np.full((4096, 400), 100), "int8"), 1e-5, 0)
    net.output(net.q(net.node("Gemm", x, weight), 1.0, 0), 400)
    words = (str(net.save(tmp_path)), "--board", "ulx3s-25f", *SMALL)
    found, _ = answer(capsys, 2, *words)
    assert "block RAMs" in found["board"]["short"]
    found, _ = answer(capsys, 0, *words, "--external-memory")
    board = found["board"]
    assert board["fits"] is True
    assert board["cycles"] > 1024 * 100  # words of weights
    weights = 1024 * 100 * 4 * 4 + 400 * 9  # bytes; 9 of each channel's parameters
    weights += 4 + 2 * 9  # the vector unit's memories, which have one word at least
    traffic = weights + 4096 + 400
    assert board["external_memory"] == {
        "bytes": traffic + 4,  # of the bank in which nothing lies
        "bytes_per_inference": traffic,
        "megabytes_per_second": round(traffic / (board["cycles"] / 50e6) / 1e6, 1),
    }
    assert board["resources"]["block RAMs"]["needed"] == 0
