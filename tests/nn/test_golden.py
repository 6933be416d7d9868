"""What the tests compare with is exact integer arithmetic, on every CPU and in every form."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from tests.nn import golden
from tests.nn.exact_products import exact_products
from tests.nn.golden import multiplies_exactly, run_default, run_onnx, run_session, run_unoptimised
from tests.nn.qdq_builder import Net

DEPTH, WIDTH = 36, 8
SCALE, ZERO, OUT_SCALE, OUT_ZERO = 0.5, 7, 2000.0, 100
Build = Callable[[Net, np.ndarray, np.ndarray, np.ndarray], None]


def codes(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Mostly the ends of the range: the sums of two products need more than 16 bits."""
    info, rng = np.iinfo(dtype), np.random.default_rng(seed)
    ends = rng.choice([info.min, info.max - 1, info.max], shape, p=[0.2, 0.3, 0.5])
    return np.where(rng.random(shape) < 0.1, rng.integers(info.min, info.max, shape), ends).astype(
        dtype
    )


def wanted(x: np.ndarray, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """y[n, c] for x [n, k] and weight [k, c]: exact sums, one float32 factor, half to even."""
    sums = (x.astype(int) - ZERO) @ (weight.astype(int) - zero.astype(int))
    factor = np.float32(SCALE) * scale.astype(np.float32) / np.float32(OUT_SCALE)
    info = np.iinfo(x.dtype)
    return np.clip(np.rint(sums.astype(np.float32) * factor) + OUT_ZERO, info.min, info.max)


def given(net: Net, shape: tuple[int, ...]) -> str:
    return net.dq(net.input("x", ("n", *shape), "uint8"), SCALE, ZERO, "uint8")


def result(net: Net, y: str) -> None:
    net.output(net.q(y, OUT_SCALE, OUT_ZERO, "uint8"), 2, "uint8")


def conv(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    kernel = net.constant(weight.T.reshape(WIDTH, 4, 3, 3))
    y = net.node("Conv", given(net, (4, 3, 3)), net.dq(kernel, scale, zero, axis=0))
    y = net.q(y, OUT_SCALE, OUT_ZERO, "uint8")
    net.output(net.node("Flatten", y), 2, "uint8")


def gemm(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    w = net.dq(net.constant(weight.T.copy()), scale, zero, axis=0)
    result(net, net.node("Gemm", given(net, (DEPTH,)), w, transB=1))


def matmul(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    w = net.dq(net.constant(weight), scale, zero, axis=1)
    result(net, net.node("MatMul", given(net, (DEPTH,)), w))


def moved(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    w = net.dq(net.constant(weight.T.copy()), scale, zero, axis=0)
    w = net.node("Transpose", w, perm=[1, 0])
    x = net.node("Reshape", given(net, (4, 9)), net.constant((-1, DEPTH), "int64"))
    result(net, net.node("MatMul", x, w))


def constant_node(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    w = net.node("Constant", value=onnx.numpy_helper.from_array(weight))
    result(net, net.node("MatMul", given(net, (DEPTH,)), net.dq(w, scale, zero, axis=1)))


def quantised_constant(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    real = (weight.astype(int) - zero) * scale
    w = net.q(net.constant(real, "float32"), scale, zero, axis=1)
    result(net, net.node("MatMul", given(net, (DEPTH,)), net.dq(w, scale, zero, axis=1)))


def qlinear_conv(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    kernel = net.constant(weight.T.reshape(WIDTH, 4, 3, 3))
    w = (kernel, net.constant(scale, "float32"), net.constant(zero, "int8"))
    y = net.node("QLinearConv", *source(net, (4, 3, 3)), *w, *target(net))
    net.output(net.node("Flatten", y), 2, "uint8")


def qlinear_matmul(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    w = (net.constant(weight), net.constant(scale, "float32"), net.constant(zero, "int8"))
    y = net.node("QLinearMatMul", *source(net, (DEPTH,)), *w, *target(net))
    net.output(y, 2, "uint8")


def qgemm(net: Net, weight: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> None:
    w = (net.constant(weight), net.constant(scale, "float32"), net.constant(zero, "int8"))
    y = net.node("QGemm", *source(net, (DEPTH,)), *w, "", *target(net), domain="com.microsoft")
    net.output(y, 2, "uint8")


def source(net: Net, shape: tuple[int, ...]) -> tuple[str, str, str]:
    x = net.input("x", ("n", *shape), "uint8")
    return x, net.constant(SCALE, "float32"), net.constant(ZERO, "uint8")


def target(net: Net) -> tuple[str, str]:
    return net.constant(OUT_SCALE, "float32"), net.constant(OUT_ZERO, "uint8")


REAL = (conv, gemm, matmul, moved, constant_node, quantised_constant)
OF_CODES = (qlinear_conv, qlinear_matmul, qgemm)


def check(model: onnx.ModelProto, x: np.ndarray, expected: np.ndarray) -> None:
    """The golden is exact, and is needed just where this CPU saturates."""
    (found,) = run_onnx(model, {"x": x})
    np.testing.assert_array_equal(found, expected)
    assert np.mean((found > 0) & (found < 255)) > 0.05
    rewritten = exact_products(model)
    assert rewritten is not None
    assert exact_products(rewritten) is None
    assert np.array_equal(run_session(model, {"x": x})[0], expected) == multiplies_exactly()
    assert np.array_equal(run_default(model, {"x": x})[0], expected) == multiplies_exactly()


@pytest.mark.parametrize("channels", [1, WIDTH])
@pytest.mark.parametrize("build", [*REAL, *OF_CODES])
def test_every_form_is_exact(build: Build, channels: int) -> None:
    net, rng = Net(), np.random.default_rng(3)
    weight, x = codes("int8", (DEPTH, WIDTH), 1), codes("uint8", (50, DEPTH), 2)
    scale = rng.uniform(0.4, 0.9, channels).astype(np.float32)
    scale = scale if channels > 1 else scale.reshape(())
    zero = np.zeros(np.shape(scale), int)
    build(net, weight, scale, zero)
    shape = [d.dim_value for d in net.inputs[0].type.tensor_type.shape.dim[1:]]
    check(net.model(), x.reshape(50, *shape), wanted(x, weight, scale, zero))


@pytest.mark.parametrize("build", REAL)
def test_float_arithmetic_gives_the_same(build: Build) -> None:
    """Sums below 2^24 are exact in float32 as well, so three ways give the same bits."""
    net, scale, zero = Net(), np.array(0.5), np.zeros((), int)
    weight, x = codes("int8", (DEPTH, WIDTH), 1), codes("uint8", (50, DEPTH), 2)
    build(net, weight, scale, zero)
    shape = [d.dim_value for d in net.inputs[0].type.tensor_type.shape.dim[1:]]
    inputs = {"x": x.reshape(50, *shape)}
    (found,) = run_unoptimised(net.model(), inputs)
    np.testing.assert_array_equal(found, wanted(x, weight, scale, zero))
    np.testing.assert_array_equal(found, run_onnx(net.model(), inputs)[0])


def test_zero_points_of_weights() -> None:
    net, scale, zero = Net(), np.array(0.5), np.array(-90)
    weight, x = codes("int8", (DEPTH, WIDTH), 1), codes("uint8", (50, DEPTH), 2)
    matmul(net, weight, scale, zero)
    check(net.model(), x, wanted(x, weight, scale, zero))


@pytest.mark.parametrize("zero", [None, -3])
@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger"])
def test_sums_without_scales(op: str, zero: int | None) -> None:
    """Zero points of weights may be absent; ONNX Runtime's ConvInteger has no int8 weights."""
    net, weight, x = Net(), codes("int8", (DEPTH, WIDTH), 1), codes("uint8", (50, DEPTH), 2)
    zeros = [] if zero is None else ["", net.constant(zero, "int8")]
    if op == "ConvInteger":
        weights, shape = net.constant(weight.T.reshape(WIDTH, 4, 3, 3)), (4, 3, 3)
    else:
        weights, shape = net.constant(weight), (DEPTH,)
    net.output(net.node(op, net.input("x", ("n", *shape), "uint8"), weights, *zeros), 2, "int32")
    exact = exact_products(net.model())
    assert exact is not None
    (found,) = run_session(exact, {"x": x.reshape(50, *shape)})
    expected = weight.astype(int) - (zero or 0)
    np.testing.assert_array_equal(found.reshape(50, WIDTH), x.astype(int) @ expected)


def test_weights_read_by_int8_and_uint8_activations() -> None:
    """Only the reader of uint8 gets others; there is no kernel for int8 by uint8."""
    net, weight = Net(), codes("int8", (DEPTH, DEPTH), 1)
    w = net.dq(net.constant(weight), 0.5, 0)
    y = net.q(net.node("MatMul", given(net, (DEPTH,)), w), 2048, -30)
    z = net.node("MatMul", net.dq(y, 2048, -30), w)
    net.output(net.q(z, 1 << 22, 3), 2)  # powers of two: float arithmetic is exact
    exact = exact_products(net.model())
    assert exact is not None
    first, second = (node for node in exact.graph.node if node.op_type == "MatMul")
    assert first.input[1] != second.input[1] == w
    x = codes("uint8", (50, DEPTH), 2)
    (found,) = run_onnx(net.model(), {"x": x})
    (same,) = run_unoptimised(net.model(), {"x": x})
    np.testing.assert_array_equal(found, same)
    assert len(np.unique(found)) > 20


def test_two_activations() -> None:
    """The int8 one is quantised once more, to uint8 at its own scale, which is exact."""
    net, weight, x = Net(), codes("int8", (DEPTH, WIDTH), 1), codes("uint8", (50, DEPTH), 2)
    b = net.dq(net.input("b", (DEPTH, WIDTH), "int8"), 0.5, -9)
    result(net, net.node("MatMul", given(net, (DEPTH,)), b))
    (found,) = run_onnx(net.model(), {"x": x, "b": weight})
    np.testing.assert_array_equal(found, wanted(x, weight, np.array(0.5), np.array(-9)))


def test_int8_codes_that_cannot_be_rewritten() -> None:
    net = Net()
    x, b = net.input("x", ("n", 4), "uint8"), net.input("b", (4, 2), "int8")
    net.output(net.node("MatMulInteger", x, b), 2, "int32")
    with pytest.raises(AssertionError, match=r"^b: int8 codes meet uint8 ones and are no const"):
        exact_products(net.model())


@pytest.mark.parametrize("pair", [("int8", "int8"), ("uint8", "uint8"), ("int8", "uint8")])
def test_nothing_to_rewrite(pair: tuple[str, str]) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4), pair[0]), 0.1, 3, pair[0])
    w = net.dq(net.constant(np.ones((4, 2)), pair[1]), 0.1, 0, pair[1])
    net.output(net.q(net.node("MatMul", x, w), 0.1, 0), 2)
    assert exact_products(net.model()) is None


def test_both_models_are_run_where_the_cpu_multiplies_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a fault of the rewriting shows there, and a fault of the CPU does not elsewhere."""
    net, other, x = Net(), Net(), codes("uint8", (9, DEPTH), 2)
    weight = codes("int8", (DEPTH, WIDTH), 1)
    qlinear_matmul(net, weight, np.array(0.5), np.zeros((), int))
    qlinear_matmul(other, -weight, np.array(0.5), np.zeros((), int))
    monkeypatch.setattr(golden, "exact_products", lambda model: other.model())
    monkeypatch.setattr(golden, "multiplies_exactly", lambda: True)
    with pytest.raises(AssertionError, match="rewritten for exact products, and as it is"):
        run_onnx(net.model(), {"x": x})
    monkeypatch.setattr(golden, "multiplies_exactly", lambda: False)
    np.testing.assert_array_equal(
        run_onnx(net.model(), {"x": x})[0], run_session(other.model(), {"x": x})[0]
    )
