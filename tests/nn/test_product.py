"""Mul and Sub of two activations against ONNX Runtime: every pair of codes, gates, whole blocks."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.mul import Mul
from weft.nn.onnx.importer import import_model
from weft.nn.passes.simplify import simplify

TYPES = ("int8", "uint8")
# Scales of a, b and y, and zero points among int8 codes.
PRODUCTS = [
    (0.05, 0.003, 0.02, (-128, -128, -128)),  # near ties: a zero point of -128 rounds some of them
    (0.05, 0.03, 0.1, (3, -7, 10)),
    (0.0625, 0.125, 0.25, (0, 5, -3)),  # ties, an odd zero point
    (0.5, 0.5, 0.125, (127, -128, 0)),
    (0.02, 1 / 256, 0.02, (17, -128, 17)),
    (0.0731, 0.00392, 0.0417, (-128, -128, 5)),
]
DIFFERENCES = [
    (0.05, 0.03, 0.04, (3, -7, 10)),  # a quarter are near ties, which float32 rounds by chance
    (0.5, 0.25, 1.0, (0, 5, -3)),  # ties, an odd zero point
    (0.1, 0.1, 0.05, (-128, 127, 1)),
    (0.0137, 0.3, 0.9, (127, -128, -128)),
    (0.0731, 0.0392, 0.0617, (-128, 9, 5)),
]


def every_pair(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Two images [1, 1, 256, 256] that hold every pair of codes once."""
    info = np.iinfo(dtype)
    every = np.arange(info.min, info.max + 1).astype(dtype)
    first, second = np.meshgrid(every, every)
    return first[None, None].copy(), second[None, None].copy()


def codes(shape: tuple[int, ...], dtype: str = "int8") -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(9).integers(info.min, info.max + 1, shape).astype(dtype)


def zero(dtype: str, code: int) -> int:
    return code + (128 if dtype == "uint8" else 0)


def check(net: Net, folder: Path, **inputs: np.ndarray) -> Graph:
    """As many codes as noted are not ONNX Runtime's; simplification keeps them all."""
    path = net.save(folder)
    graph = import_model(path)
    (theirs,) = run_onnx(path, inputs)
    for made in (graph, simplify(graph)):
        (ours,) = reference_model(made, inputs).values()
        assert ours.dtype == theirs.dtype
        assert np.count_nonzero(ours != theirs) == noted(graph)
    return graph


def noted(graph: Graph) -> int:
    """Pairs of codes that the importer found to differ."""
    counts = [re.search(r": (\d+) of 65536 pairs", str(note)) for note in graph.notes]
    return sum(int(count[1]) for count in counts if count)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("form", ["QDQ", "QLinearMul"])
@pytest.mark.parametrize(("a", "b", "y", "zeros"), PRODUCTS)
def test_product_of_every_pair(
    tmp_path: Path, form: str, dtype: str, a: float, b: float, y: float,
    zeros: tuple[int, int, int],
) -> None:  # fmt: skip
    net = Net()
    names = [net.input(name, ("n", 1, 256, 256), dtype) for name in "ab"]
    za, zb, zy = (zero(dtype, z) for z in zeros)
    if form == "QDQ":
        left, right = net.dq(names[0], a, za, dtype), net.dq(names[1], b, zb, dtype)
        made = net.q(net.node("Mul", left, right), y, zy, dtype)
    else:
        full = [
            item
            for name, s, z in zip((*names, ""), (a, b, y), (za, zb, zy), strict=True)
            for item in (name, net.constant(s, "float32"), net.constant(z, dtype))
        ]
        del full[6]
        made = net.node("QLinearMul", *full, domain="com.microsoft")
    net.output(made, 4, dtype)
    first, second = every_pair(dtype)
    graph = check(net, tmp_path, a=first, b=second)
    (operator,) = graph.operators
    assert isinstance(operator, Mul)
    assert noted(graph) == (40 if (y, dtype) == (0.02, "int8") and zeros[0] == -128 else 0)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("a", "b", "y", "zeros"), DIFFERENCES)
def test_difference_of_every_pair(
    tmp_path: Path, dtype: str, a: float, b: float, y: float, zeros: tuple[int, int, int]
) -> None:
    net = Net()
    za, zb, zy = (zero(dtype, z) for z in zeros)
    left = net.dq(net.input("a", ("n", 1, 256, 256), dtype), a, za, dtype)
    right = net.dq(net.input("b", ("n", 1, 256, 256), dtype), b, zb, dtype)
    net.output(net.q(net.node("Sub", left, right), y, zy, dtype), 4, dtype)
    first, second = every_pair(dtype)
    graph = check(net, tmp_path, a=first, b=second)
    (operator,) = graph.operators
    assert isinstance(operator, Add)
    assert operator.multipliers[1] < 0 < operator.multipliers[0]
    assert noted(graph) <= (2100 if y == 0.04 else 0)


def test_relu_behind_them(tmp_path: Path) -> None:
    net = Net()
    x, y = (net.dq(net.input(name, ("n", 3, 4, 5)), 0.125, 4) for name in "xy")
    z = net.dq(net.q(net.node("Relu", net.node("Mul", x, y)), 0.5, -20), 0.5, -20)
    net.output(net.q(net.node("Relu", net.node("Sub", z, x)), 0.25, -128), 4)
    x_codes = codes((6, 3, 4, 5))
    graph = check(net, tmp_path, x=x_codes, y=x_codes[::-1].copy())
    assert [(op.type, op.low) for op in graph.operators] == [("Mul", -20), ("Add", -128)]


def test_square(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 1, 16, 16)), 0.125, -3)
    net.output(net.q(net.node("Mul", x, x), 0.5, -128), 4)
    graph = check(net, tmp_path, x=np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 16, 16))
    assert len(set(graph.operators[0].inputs)) == 1


@pytest.mark.parametrize("gate_first", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_gate(tmp_path: Path, dtype: str, gate_first: bool) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 5, 6, 7), dtype), 0.125, zero(dtype, 3), dtype)
    gate = net.dq(net.input("gate", ("n", 5, 1, 1), dtype), 1 / 256, zero(dtype, -128), dtype)
    product = net.node("Mul", *((gate, x) if gate_first else (x, gate)))
    net.output(net.q(product, 0.125, zero(dtype, 3), dtype), 4, dtype)
    inputs = {"x": codes((9, 5, 6, 7), dtype), "gate": codes((9, 5, 1, 1), dtype)}
    graph = check(net, tmp_path, **inputs)
    (operator,) = graph.operators
    assert isinstance(operator, Mul)
    assert [graph.tensor(n).shape for n in operator.inputs] == [(5, 6, 7), (5, 1, 1)]


def dense(net: Net, x: str, n_in: int, n_out: int, y: tuple[float, int]) -> str:
    """A 1x1 convolution, quantised."""
    weight = net.dq(net.constant(codes((n_out, n_in, 1, 1))), 0.01, 0)
    return net.dq(net.q(net.node("Conv", x, weight), *y), *y)


@pytest.mark.parametrize("function", ["Sigmoid", "HardSigmoid"])
@pytest.mark.parametrize("flat", [False, True])
def test_squeeze_and_excite(tmp_path: Path, function: str, flat: bool) -> None:
    """The whole block; with Flatten and Reshape around fully connected layers, too."""
    net = Net()
    own = 0.125, -20
    x = net.dq(net.input("x", ("n", 6, 5, 4)), *own)
    y = net.dq(net.q(net.node("GlobalAveragePool", x), 0.05, -4), 0.05, -4)
    if flat:
        y = net.node("Flatten", y)
        for n_in, n_out, kind in ((6, 3, "Relu"), (3, 6, "")):
            weight = net.dq(net.constant(codes((n_in, n_out))), 0.02, 0)
            y = net.node("MatMul", y, weight)
            y = net.node(kind, y) if kind else y
            y = net.dq(net.q(y, 0.06, -11), 0.06, -11)
    else:
        y = dense(net, y, 6, 3, (0.06, -128))
        y = dense(net, y, 3, 6, (0.06, -11))
    y = net.dq(net.q(net.node(function, y), 1 / 256, -128), 1 / 256, -128)
    if flat:
        y = net.node("Reshape", y, net.constant([-1, 6, 1, 1], "int64"))
    net.output(net.q(net.node("Mul", x, y), 0.0625, -20), 4)
    graph = check(net, tmp_path, x=codes((12, 6, 5, 4)))
    product = graph.operators[-1]
    assert isinstance(product, Mul)
    shapes = [graph.tensor(name).shape for name in product.inputs]
    assert shapes == [(6, 5, 4), (6, 1, 1)]


def test_gate_in_nhwc(tmp_path: Path) -> None:
    """Both factors are views of channels-first tensors."""
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 4, 5)), 0.125, 3)
    image = net.q(net.node("MaxPool", x, kernel_shape=[2, 1]), 0.125, 3)
    x = net.dq(image, 0.125, 3)
    pooled = net.q(net.node("GlobalMaxPool", x), 0.125, 3)
    gate = net.dq(net.node("Transpose", pooled, perm=(0, 2, 3, 1)), 0.125, 3)
    x = net.dq(net.node("Transpose", image, perm=(0, 2, 3, 1)), 0.125, 3)
    net.output(net.q(net.node("Mul", x, gate), 0.5, -6), 4)
    graph = check(net, tmp_path, x=codes((7, 3, 4, 5)))
    assert [op.type for op in graph.operators] == ["MaxPool", "MaxPool", "Mul"]


def test_channels_of_a_gate_in_another_order(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 6, 4, 5)), 0.125, 3)
    pooled = net.q(net.node("GlobalMaxPool", x), 0.125, 3)
    pairs = net.node("Reshape", pooled, net.constant([-1, 2, 3], "int64"))
    turned = net.node("Transpose", pairs, perm=(0, 2, 1))
    gate = net.dq(net.node("Reshape", turned, net.constant([-1, 6, 1, 1], "int64")), 0.125, 3)
    net.output(net.q(net.node("Mul", gate, x), 0.5, -6), 4)
    check(net, tmp_path, x=codes((7, 6, 4, 5)))


def test_a_function_of_the_tensor_itself_stays_one_table(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 4, 4)), 0.05, 3)
    net.output(net.q(net.node("Mul", net.node("HardSigmoid", x), x), 0.04, -100), 4)
    graph = import_model(net.save(tmp_path))
    assert not any(isinstance(operator, Mul) for operator in graph.operators)


REFUSED = "equal shapes are supported, and an image times one value per channel"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 5, 6), (1, 5, 6)),
        ((4, 1, 1), (1, 5, 6)),
        ((4, 5, 6), (4, 5, 1)),
        ((4, 5, 6), (1, 1, 1)),
        ((4, 5, 4), (4,)),
    ],
)
def test_other_shapes_are_refused(tmp_path: Path, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    net = Net()
    x, y = (net.dq(net.input(n, ("n", *shape)), 0.1, 3) for n, shape in (("x", a), ("y", b)))
    net.output(net.q(net.node("Mul", x, y), 0.2, -5), 4)
    message = f"node 'mul2' (Mul): inputs of shapes {[1, *a]} and {[1, *b]}; {REFUSED}"
    with pytest.raises(ModelError, match=re.escape(message)):
        import_model(net.save(tmp_path))


def test_scales_beyond_float32_are_refused(tmp_path: Path) -> None:
    net = Net()
    x, y = (net.dq(net.input(n, ("n", 2, 3, 3)), 1e18, 3) for n in "xy")
    net.output(net.q(net.node("Mul", x, y), 1e-9, -5), 4)
    message = "node 'mul2' (Mul): scales 1e+18 and 1e+18 over 1e-09 are beyond float32"
    with pytest.raises(ModelError, match=re.escape(message)):
        import_model(net.save(tmp_path))


def test_a_factor_that_is_not_quantised_is_refused(tmp_path: Path) -> None:
    net = Net()
    x, y = (net.dq(net.input(n, ("n", 2, 3, 3)), 0.1, 3) for n in "xy")
    net.output(net.q(net.node("Mul", x, net.node("Sigmoid", y)), 0.2, -5), 4)
    message = "node 'mul3' (Mul): input 'sigmoid2' is not quantised: put QuantizeLinear"
    with pytest.raises(ModelError, match=re.escape(message)):
        import_model(net.save(tmp_path))
