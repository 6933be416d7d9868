"""The QOperator form against ONNX Runtime's own integer kernels: every code equal."""

from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

MICROSOFT = "com.microsoft"


class Chain:
    """Random operators on codes, each result with a scale and zero point of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = "uint8" if seed % 2 else "int8"
        self.net = Net()
        self.quantisations: dict[str, tuple[str, str]] = {}

    def quantisation(self, scale: float | None = None) -> tuple[str, str]:
        """Names of a new scale and zero point."""
        scale = float(self.rng.uniform(0.02, 0.2)) if scale is None else scale
        zero = int(self.rng.integers(-128, 128)) if self.rng.random() < 0.7 else -128
        zero += 128 if self.dtype == "uint8" else 0
        return self.net.constant(scale, "float32"), self.net.constant(zero, self.dtype)

    def made(self, name: str, quantisation: tuple[str, str]) -> str:
        self.quantisations[name] = quantisation
        return name

    def full(self, name: str) -> tuple[str, str, str]:
        return (name, *self.quantisations[name])

    def input(self, shape: tuple[int, ...]) -> str:
        net, own = self.net, self.quantisation()
        x = net.node("QuantizeLinear", net.input("x", ("n", *shape), "float32"), *own)
        return self.made(x, own)

    def weight(self, shape: tuple[int, ...], channels: int, axis: int) -> tuple[str, str, str]:
        """Codes, scale and zero point, per tensor or per channel."""
        rng = self.rng
        assert shape[axis] == channels
        codes = rng.integers(-128, 128, shape).astype("int8")
        size = channels if rng.random() < 0.6 else 1
        scale = rng.uniform(0.001, 0.004, size).astype("float32")
        array = scale if size > 1 else scale.reshape(())
        zero = np.zeros(array.shape, "int8")
        return self.net.constant(codes), self.net.constant(array), self.net.constant(zero)

    def conv(self, x: str, channels: int, groups: int) -> str:
        n_out = channels if groups == channels else int(self.rng.integers(1, 4)) * groups * 2
        w = self.weight((n_out, channels // groups, 3, 3), n_out, 0)
        y = self.quantisation(float(self.rng.uniform(0.05, 0.4)))
        bias = ()
        if self.rng.random() < 0.6:
            bias = (self.net.constant(self.rng.integers(-4000, 4000, n_out), "int32"),)
        inputs = (*self.full(x), *w, *y, *bias)
        return self.made(self.net.node("QLinearConv", *inputs, group=groups, pads=[1, 1, 1, 1]), y)

    def binary(self, op: str, *names: str) -> str:
        y = self.quantisation()
        inputs = [part for name in names for part in self.full(name)]
        return self.made(self.net.node(op, *inputs, *y, domain=MICROSOFT), y)

    def concat(self, *names: str) -> str:
        y = self.quantisation()
        inputs = [part for name in names for part in self.full(name)]
        return self.made(self.net.node("QLinearConcat", *y, *inputs, domain=MICROSOFT, axis=1), y)

    def unary(self, op: str, x: str, **attributes: object) -> str:
        y = self.quantisation(1 / 256 if op == "QLinearSigmoid" else None)
        node = self.net.node(op, *self.full(x), *y, domain=MICROSOFT, **attributes)
        return self.made(node, y)


def random_chain(seed: int) -> Chain:
    chain = Chain(seed)
    x = chain.input((4, 8, 8))
    a = chain.conv(x, 4, int(chain.rng.choice([1, 2, 4])))
    channels = _channels(chain, a)
    b = chain.conv(a, channels, channels)
    total = chain.binary("QLinearAdd", a, b)
    pooled = chain.net.node("MaxPool", total, kernel_shape=[2, 2], strides=[2, 2])
    chain.made(pooled, chain.quantisations[total])
    curved = chain.unary(str(chain.rng.choice(["QLinearLeakyRelu", "QLinearSigmoid"])), pooled)
    joined = chain.concat(pooled, curved)
    mean = chain.unary("QLinearGlobalAveragePool", joined)
    flat = chain.made(chain.net.node("Flatten", mean), chain.quantisations[mean])
    w = chain.weight((5, 2 * channels), 5, 0)
    bias = chain.net.constant(chain.rng.integers(-4000, 4000, 5), "int32")
    y = chain.quantisation()
    inputs = (*chain.full(flat), *w, bias, *y)
    out = chain.net.node("QGemm", *inputs, domain=MICROSOFT, alpha=1.0, transB=1)
    chain.net.output(chain.net.node("DequantizeLinear", out, *y), 2, "float32")
    return chain


def _channels(chain: Chain, conv: str) -> int:
    node = next(node for node in chain.net.nodes if node.output[0] == conv)
    return chain.net.constants[node.input[3]].shape[0]


def compare(net: Net, folder: Path, **inputs: np.ndarray) -> Graph:
    path = net.save(folder)
    graph = import_model(path)
    for ours, theirs in zip(
        reference_model(graph, inputs).values(), run_onnx(path, inputs), strict=True
    ):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    return graph


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(tmp_path: Path, seed: int) -> None:
    chain = random_chain(seed)
    x = np.random.default_rng(seed).uniform(-12, 12, (5, 4, 8, 8)).astype(np.float32)
    compare(chain.net, tmp_path, x=x)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_qlinear_matmul(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(1)
    net = Net()
    x = net.input("x", ("n", 24), dtype)
    zero = 3 + (128 if dtype == "uint8" else 0)
    a = (x, net.constant(0.1, "float32"), net.constant(zero, dtype))
    scale = rng.uniform(0.01, 0.02, 7).astype("float32")
    weight = net.constant(rng.integers(-128, 128, (24, 7)), "int8")
    b = (weight, net.constant(scale), net.constant(np.zeros(7), "int8"))
    y = (net.constant(0.9, "float32"), net.constant(zero - 9, dtype))
    net.output(net.node("QLinearMatMul", *a, *b, *y), 2, dtype)
    info = np.iinfo(dtype)
    compare(net, tmp_path, x=rng.integers(info.min, info.max + 1, (9, 24)).astype(dtype))


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_integer_chain_with_static_scales(tmp_path: Path, op: str) -> None:
    """Scales are powers of two: ONNX Runtime's float arithmetic behind the Cast is exact."""
    rng = np.random.default_rng(2)
    net = Net()
    sizes = (4, 6, 6) if op == "ConvInteger" else (20,)
    x = net.input("x", ("n", *sizes), "float32")
    codes = net.q(x, 0.125, 130, "uint8")
    shape = (6, 4, 3, 3) if op == "ConvInteger" else (20, 6)
    weight = net.constant(rng.integers(0, 256, shape), "uint8")
    acc = net.node(op, codes, weight, net.constant(130, "uint8"), net.constant(121, "uint8"))
    real = net.node("Mul", net.node("Cast", acc, to=1), net.constant(2.0**-10, "float32"))
    column = (6, 1, 1) if op == "ConvInteger" else (6,)
    bias = net.constant(rng.integers(-99, 99, 6).reshape(column) * 2.0**-7, "float32")
    y = net.q(net.node("Relu", net.node("Add", real, bias)), 0.25, 3, "uint8")
    net.output(net.dq(y, 0.25, 3, "uint8"), 1 + len(sizes), "float32")
    values = rng.uniform(-16, 16, (4, *sizes)).astype(np.float32)
    graph = compare(net, tmp_path, x=values)
    assert graph.notes == ()


def test_qgemm_without_an_output_scale_is_real(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    net = Net()
    x = net.input("x", ("n", 12), "int8")
    a = (x, net.constant(0.125, "float32"), net.constant(5, "int8"))
    weight = net.constant(rng.integers(-7, 8, (12, 3)), "int8")
    b = (weight, net.constant(0.25, "float32"), net.constant(0, "int8"))
    bias = net.constant(rng.integers(-300, 300, 3), "int32")
    net.output(net.node("QGemm", *a, *b, bias, domain=MICROSOFT, alpha=1.0), 2, "float32")
    codes = rng.integers(-128, 128, (50, 12)).astype("int8")
    graph = compare(net, tmp_path, x=codes)
    assert graph.notes == ()
