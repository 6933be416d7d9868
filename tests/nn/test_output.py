"""Results at the end of a network that are never quantised: how far off they are is told."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.nn.qdq_builder import Net
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

TOLD = (
    r"^gemm\d+: its result is an output that is not quantised; the host reads it in steps of up to "
    r"\d+ accumulator steps, of a range of \d+: values are off by up to ([^ ]+), typically "
    r"([^ ]+?)(?:, and classes whose scores are closer than ([^ ]+) may change places)?"
    r"(; quantise the output: put QuantizeLinear and DequantizeLinear behind it)?$"
)


def head(folder: Path, channels: int, inputs: int, most: int = 127) -> tuple[Path, np.ndarray]:
    """A Gemm without quantisation behind it, and its real weights [C, K]."""
    rng = np.random.default_rng(channels)
    net = Net()
    x = net.dq(net.input("x", [1, inputs]), 0.03, 5)
    codes = rng.integers(-most, most + 1, (channels, inputs)).astype(np.int8)
    scales = rng.uniform(0.001, 0.01, channels)
    weight = net.dq(net.constant(codes), scales, np.zeros(channels), axis=0)
    net.output(net.node("Gemm", x, weight, transB=1), 2, "float32")
    return net.save(folder), codes * scales[:, None].astype(np.float32).astype(float)


@pytest.mark.parametrize(
    ("channels", "inputs", "coarse"), [(1, 1500, True), (10, 1500, True), (10, 8, False)]
)
def test_bound_and_typical_error(tmp_path: Path, channels: int, inputs: int, coarse: bool) -> None:
    path, weight = head(tmp_path, channels, inputs)
    x = np.random.default_rng(0).integers(-128, 128, (300, inputs)).astype(np.int8)
    graph = import_model(path)
    (got,) = reference_model(graph, {"x": x}).values()
    error = got - (x.astype(float) - 5) * np.float32(0.03) @ weight.T
    (note,) = graph.notes
    told = re.match(TOLD, str(note))
    assert told is not None
    bound, typical = float(told[1]), float(told[2])
    assert 0.8 * bound < np.abs(error).max() <= 1.01 * bound
    assert np.sqrt(np.mean(error**2)) == pytest.approx(typical, rel=0.1)
    assert (told[3] is None) == (channels == 1)
    if told[3] is not None:
        assert bound < float(told[3]) <= 2.01 * bound
    assert (told[4] is not None) == coarse  # 8 bits would be worse than a fine reading


def test_small_heads_are_exact_and_say_nothing(tmp_path: Path) -> None:
    path, weight = head(tmp_path, 10, 8, most=4)
    x = np.random.default_rng(0).integers(-128, 128, (300, 8)).astype(np.int8)
    graph = import_model(path)
    (got,) = reference_model(graph, {"x": x}).values()
    assert graph.notes == ()
    np.testing.assert_allclose(got, (x.astype(float) - 5) * np.float32(0.03) @ weight.T, 1e-5, 1e-5)
