"""The QONNX form against its definition in float."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.forms.qonnx_runtime import DOMAIN, run_qonnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model


class Quantised(Net):
    """A network of Quants."""

    def quant(self, x: str, scale: Any, bits: int, zero: float = 0.0, **attributes: Any) -> str:
        fields: dict[str, Any] = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | attributes
        domain = fields.pop("domain", DOMAIN)
        constants = [self.constant(v, "float32") for v in (scale, zero, float(bits))]
        return self.node("Quant", x, *constants, domain=domain, **fields)

    def weight(self, shape: tuple[int, ...], bits: int, seed: int = 0) -> str:
        rng = np.random.default_rng(seed)
        scale = rng.uniform(0.5, 1.5, (shape[0], *[1] * (len(shape) - 1))) * 2.0 ** (1 - bits)
        floats = rng.uniform(-1, 1, shape) * 2.0 ** (bits - 1) * scale
        return self.quant(self.constant(floats, "float32"), scale, bits, narrow=1)

    def batch_norm(self, x: str, channels: int, seed: int) -> str:
        rng = np.random.default_rng(seed)
        parts = [rng.uniform(0.5, 1.5, channels) * rng.choice([-1, 1], channels),
                 rng.normal(0, 0.5, channels), rng.normal(0, 0.5, channels),
                 rng.uniform(0.5, 3, channels)]  # fmt: skip
        names = [self.constant(part, "float32") for part in parts]
        return self.node("BatchNormalization", x, *names)

    def bipolar(self, x: str) -> str:
        return self.node("BipolarQuant", x, self.constant(1.0, "float32"), domain=DOMAIN)


def compare(net: Net, folder: Path, x: np.ndarray, noise: float = 1e-5) -> tuple[Graph, float]:
    """The graph, and the share of outputs that differ by more than so much of the largest."""
    graph = import_model(net.save(folder))
    (ours,) = reference_model(graph, {"x": x}).values()
    theirs = run_qonnx(net.model(), x)
    assert ours.shape == theirs.shape
    scale = np.abs(theirs).max()
    return graph, float(np.mean(np.abs(ours - theirs) > noise * scale))


def values(shape: tuple[int, ...], reach: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-reach, reach, shape).astype(np.float32)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_random_convolutional_networks(tmp_path: Path, seed: int, bits: int) -> None:
    net = Quantised()
    x = net.quant(net.input("x", (1, 3, 8, 8), "float32"), 2.0**-7, 8)
    y = net.node("Conv", x, net.weight((8, 3, 3, 3), 8, seed), pads=[1, 1, 1, 1])
    y = net.node("Relu", net.batch_norm(y, 8, seed))
    a = net.quant(y, 2.0 / 2**bits, bits, signed=0)
    y = net.node("Conv", a, net.weight((8, 1, 3, 3), bits, seed), group=8, pads=[1, 1, 1, 1])
    y = net.node("Relu", net.batch_norm(y, 8, seed + 1))
    b = net.quant(y, 1.5 / 2**bits, bits, signed=0)
    both = [net.quant(part, 3.0 / 2**bits, bits) for part in (a, b)]
    y = net.quant(net.node("Relu", net.node("Add", *both)), 2.5 / 2**bits, bits, signed=0)
    y = net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.quant(net.node("AveragePool", y, kernel_shape=[4, 4]), 2.0 / 2**bits, bits, signed=0)
    w = net.weight((5, 8), bits, seed)
    net.output(net.node("Gemm", net.node("Flatten", y), w, transB=1), 2, "float32")
    noise = 1e-5 if bits < 8 else 0.02  # at 8 bits the offsets are coarse, and codes fine
    graph, wrong = compare(net, tmp_path, values((40, 3, 8, 8), seed=seed), noise)
    assert wrong <= 0.02, graph.notes


@pytest.mark.parametrize("seed", range(4))
def test_binary_networks_are_exact(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = Quantised()
    x = net.quant(net.node("Flatten", net.input("x", (1, 1, 4, 4), "float32")), 2.0**-7, 8)
    w = net.bipolar(net.constant(rng.normal(0, 1, (12, 16)), "float32"))
    y = net.node("MatMul", x, net.node("Transpose", w, perm=[1, 0]))
    y = net.bipolar(net.batch_norm(y, 12, seed))
    w = net.bipolar(net.constant(rng.normal(0, 1, (12, 3)), "float32"))
    net.output(net.node("MatMul", y, w), 2, "float32")
    graph, wrong = compare(net, tmp_path, values((200, 1, 4, 4), seed=seed))
    assert wrong == 0
    assert graph.notes == ()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc_of_a_mean(tmp_path: Path, version: int, mode: str) -> None:
    net = Quantised()
    x = net.quant(net.input("x", (1, 3, 4, 4), "float32"), 0.1, 4, signed=0)
    mean = net.node("AveragePool", x, kernel_shape=[4, 4])
    numbers = [0.1 / 16, 0.0, 8.0, 4.0] if version == 1 else [0.1 / 16, 0.0, 8.0, 0.1, 4.0]
    names = [net.constant(number, "float32") for number in numbers]
    more = {} if version == 1 else {"signed": 0, "narrow": 0}
    y = net.node("Trunc", mean, *names, domain=DOMAIN, rounding_mode=mode, **more)
    w = net.weight((4, 3), 4)
    net.output(net.node("Gemm", net.node("Flatten", y), w, transB=1), 2, "float32")
    graph, wrong = compare(net, tmp_path, values((60, 3, 4, 4), 1.6))
    assert wrong == 0
    assert graph.notes == ()


@pytest.mark.parametrize("mode", ["FLOOR", "CEIL"])
def test_other_roundings_of_activations(tmp_path: Path, mode: str) -> None:
    net = Quantised()
    x = net.quant(net.input("x", (1, 3, 6, 6), "float32"), 2.0**-7, 8)
    y = net.node("Conv", x, net.weight((4, 3, 3, 3), 4))
    y = net.quant(y, 0.12, 5, rounding_mode=mode)
    w = net.weight((4, 4, 1, 1), 4)
    y = net.quant(net.node("Conv", y, w), 0.1, 8)
    net.output(y, 4, "float32")
    _, wrong = compare(net, tmp_path, values((40, 3, 6, 6)))
    assert wrong < 1e-3


@pytest.mark.parametrize("domain", [DOMAIN, "onnx.brevitas", "finn.custom_op.general", ""])
def test_domains(tmp_path: Path, domain: str) -> None:
    net = Quantised()
    x = net.quant(net.input("x", (1, 8), "float32"), 2.0**-7, 8, domain=domain)
    w = net.quant(net.constant(values((8, 3)), "float32"), 0.1, 4, domain=domain)
    net.output(net.node("MatMul", x, w), 2, "float32")
    graph = import_model(net.save(tmp_path))
    assert [operator.type for operator in graph.operators] == ["Conv"]


REFUSED = {
    "bits": (
        lambda net, x: net.quant(x, 0.1, 9),
        "node 'quant4' (Quant): activations of 9 bits are not supported; up to 8 bits are",
    ),
    "fractional zero point": (
        lambda net, x: net.quant(x, 0.1, 4, zero=0.5),
        "node 'quant4' (Quant): zero point [0.5] is not supported; one whole number is",
    ),
    "rounding": (
        lambda net, x: net.quant(x, 0.1, 4, rounding_mode="HALF_UP"),
        "node 'quant4' (Quant): attribute 'rounding_mode' is 'HALF_UP'; ROUND, HALF_EVEN, FLOOR "
        "and CEIL are supported for activations, UP and DOWN for unsigned ones",
    ),
    "scales": (
        lambda net, x: net.quant(x, [[0.1, 0.2]], 4),
        "node 'quant4' (Quant): an activation with 2 scales; only per-tensor quantisation of "
        "activations is supported (weights may be per channel)",
    ),
    "float": (
        lambda net, x: net.node("FloatQuant", x, *[x] * 3, domain=DOMAIN),
        "node 'floatquant4' (FloatQuant): quantisation to small floating-point numbers is not "
        "supported; integers are: use Int8WeightPerTensorFloat and the like in Brevitas",
    ),
    "bipolar input": (
        lambda net, x: net.bipolar("x"),
        "node 'bipolarquant4' (BipolarQuant): rounding mode SIGN of the model's input is not "
        "supported; ROUND is",
    ),
    "not quantised": (
        lambda net, x: net.node("Relu", x),
        "output 'relu4' is not quantised: put QuantizeLinear and DequantizeLinear between node "
        "'matmul3' and it",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    build, text = REFUSED[case]
    net = Quantised()
    x = net.quant(net.input("x", (1, 4), "float32"), 2.0**-7, 8)
    w = net.quant(net.constant(values((4, 2)), "float32"), 0.1, 4)
    net.node("Identity", x)
    net.output(build(net, net.node("MatMul", x, w)), 2, "float32")
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == text
