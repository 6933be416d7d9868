"""Channels with tiny weights and an ordinary bias: quantised, imported, as close as the others."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model
from weft.nn.quantise.scales import LIMIT
from weft.nn.quantise.static import quantise


def network(tiny: float, dense: bool, folder: Path) -> tuple[Path, np.ndarray]:
    """Channel 1 has next to no weights; its bias is 0.7. The input, [6, 4, 3, 3] or flat."""
    rng = np.random.default_rng(0)
    net = Net()
    x = net.input("x", ("n", 36) if dense else ("n", 4, 3, 3), "float32")
    weight = rng.normal(size=(5, 36) if dense else (5, 4, 3, 3)).astype(np.float32)
    weight[1] *= tiny
    bias = np.array([0.1, 0.7, -0.2, 0, 0.3], np.float32)
    constants = (net.constant(weight, "float32"), net.constant(bias, "float32"))
    attributes = {"transB": 1} if dense else {}
    y = net.node("Gemm" if dense else "Conv", x, *constants, **attributes)
    net.output(y, 2 if dense else 4, "float32")
    return net.save(folder), rng.normal(size=(6, 36) if dense else (6, 4, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("tiny", [1e-6, 1e-9, 1e-20])
def test_tiny_weights(tiny: float, dense: bool, tmp_path: Path) -> None:
    model, x = network(tiny, dense, tmp_path)
    target = tmp_path / "int8.onnx"
    quantise(model, {"x": x}, target, "minmax")
    largest = max(
        np.abs(numpy_helper.to_array(item).astype(np.int64)).max()
        for item in onnx.load(target).graph.initializer
        if item.data_type == onnx.TensorProto.INT32
    )
    assert LIMIT // 4 < largest <= LIMIT
    (real,) = run_onnx(model, {"x": x})
    (found,) = reference_model(import_model(target), {"x": x}).values()
    assert np.abs(found - real).max() < 4 * np.ptp(real) / 255


@pytest.mark.parametrize("dead", ["weights", "input"])
def test_biases_behind_nothing(dead: str, tmp_path: Path) -> None:
    """Where all weights of a channel, or all inputs, are 0 their scale is free: the bias's is not.

    Networks 1838 and 1928 of the random float ones.
    """
    rng, net = np.random.default_rng(0), Net()
    x = net.input("x", ("n", 6), "float32")
    weight = rng.normal(0, 20, (6, 3)).astype(np.float32)
    weight[:, 1] = 0
    inputs = (rng.normal(0, 1000, (9, 6)) * (dead != "input")).astype(np.float32)
    bias = net.constant([0.0 if dead == "weights" else 0.3, 0.235, -0.2], "float32")
    y = net.node("Gemm", x, net.constant(weight, "float32"), bias)
    net.output(y if dead == "input" else net.node("Slice", y, *_middle(net)), 2, "float32")
    model, target = net.save(tmp_path), tmp_path / "int8.onnx"
    quantise(model, {"x": inputs}, target, "minmax")
    (real,) = run_onnx(target, {"x": inputs})
    (wanted,) = run_onnx(model, {"x": inputs})
    (node,) = (item for item in onnx.load(target).graph.node if item.op_type == "Gemm")
    codes = {item.name: numpy_helper.to_array(item) for item in onnx.load(target).graph.initializer}
    (maker,) = (item for item in onnx.load(target).graph.node if node.input[2] in item.output)
    held = codes[maker.input[0]] * codes[maker.input[1]]
    assert held[1] == pytest.approx(0.235, rel=1e-3)
    if dead == "input":
        assert np.abs(real - wanted).max() < 0.003


def _middle(net: Net) -> list[str]:
    return [net.constant(value, "int64") for value in ([1], [2], [1])]
