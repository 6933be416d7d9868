"""What QDQ exporters do beside the plain form: narrow weights, BatchNorm, Transposes, islands."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model


def outputs(net: Net, folder: Path, **inputs: np.ndarray) -> tuple[Graph, np.ndarray, np.ndarray]:
    """The graph, and the only output by the reference and by ONNX Runtime."""
    path = net.save(folder)
    graph = import_model(path)
    (ours,) = reference_model(graph, inputs).values()
    (theirs,) = run_onnx(path, inputs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    return graph, ours, theirs


def codes(shape: tuple[int, ...], low: int = -128, high: int = 127, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype("int8")


NARROW = {
    "int4": (ml_dtypes.int4, -8, 7, 0),
    "uint4": (ml_dtypes.uint4, 0, 15, 5),
    "int2": (ml_dtypes.int2, -2, 1, 0),
    "uint2": (ml_dtypes.uint2, 0, 3, 1),
    "int16": (np.int16, -128, 127, 3),
}


@pytest.mark.parametrize("kind", NARROW)
def test_narrow_weights(tmp_path: Path, kind: str) -> None:
    """Scales are powers of two, so that float kernels, which some types run in, are exact."""
    dtype, low, high, zero = NARROW[kind]
    net = Net(opset=25 if kind in ("int2", "uint2") else 21)
    x = net.dq(net.input("x", ("n", 4, 6, 6)), 0.125, 3)
    net.constants["w"] = codes((8, 4, 3, 3), low, high).astype(dtype)
    net.constants["z"] = np.array(zero).astype(dtype)
    w = net.node("DequantizeLinear", "w", net.constant(2.0**-5, "float32"), "z")
    net.output(net.q(net.node("Conv", x, w), 0.5, 3), 4)
    path = net.save(tmp_path)
    graph = import_model(path)
    x_codes = codes((3, 4, 6, 6))
    (ours,) = reference_model(graph, {"x": x_codes}).values()
    weight = net.constants["w"].astype(np.int64) - zero
    acc = np.zeros((3, 8, 4, 4))
    for dy in range(3):
        for dx in range(3):
            part = x_codes[:, :, dy : dy + 4, dx : dx + 4].astype(np.int64) - 3
            acc += np.einsum("nihw,oi->nohw", part, weight[:, :, dy, dx])
    wanted = np.clip(np.rint(acc * 2.0**-7) + 3, -128, 127)
    assert np.array_equal(ours, wanted)


@pytest.mark.parametrize("opset", [10, 11, 13, 19, 21, 23, 25, 28])
def test_opsets(tmp_path: Path, opset: int) -> None:
    net = Net(opset=opset)
    x = net.dq(net.input("x", ("n", 4, 6, 6)), 0.1, 3)
    w = net.dq(net.constant(codes((8, 4, 3, 3))), 0.01, 0)
    real = net.node("Relu", net.node("Conv", x, w))
    net.output(net.q(real, 0.3, -128), 4)
    path = net.save(tmp_path)
    (ours,) = reference_model(import_model(path), {"x": codes((3, 4, 6, 6))}).values()
    assert len(np.unique(ours)) > 50
    if opset <= 25:  # as far as ONNX Runtime goes
        (theirs,) = run_onnx(path, {"x": codes((3, 4, 6, 6))})
        assert np.array_equal(ours, theirs)


def batch_norm(net: Net, x: str, channels: int, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.5, 2, channels) * rng.choice([-1, 1], channels)
    parts = [scale, rng.normal(0, 1, channels), rng.normal(0, 1, channels),
             rng.uniform(0.1, 2, channels)]  # fmt: skip
    names = [net.constant(part, "float32") for part in parts]
    return net.node("BatchNormalization", x, *names, epsilon=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_batch_norm_alone(tmp_path: Path, seed: int) -> None:
    """Every code of every channel; what the note counts may differ."""
    net = Net()
    x = net.dq(net.input("x", ("n", 12, 16, 16)), 0.05, -3)
    net.output(net.q(batch_norm(net, x, 12, seed), 0.09, -9), 4)
    every = np.broadcast_to(np.arange(-128, 128).reshape(16, 16), (1, 12, 16, 16)).astype("int8")
    graph, ours, theirs = outputs(net, tmp_path, x=every.copy())
    assert [operator.type for operator in graph.operators] == ["Conv"]
    assert np.count_nonzero(ours != theirs) <= (4 if graph.notes else 1)
    assert np.abs(ours - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("bits", [4, 8])
def test_batch_norm_behind_a_conv(tmp_path: Path, bits: int) -> None:
    reach = (1 << bits - 1) - 1
    net = Net()
    x = net.dq(net.input("x", ("n", 4, 8, 8)), 0.05, -3)
    w = net.dq(net.constant(codes((8, 4, 3, 3), -reach, reach)), 0.3 / reach, 0)
    y = net.node("Relu", batch_norm(net, net.node("Conv", x, w), 8))
    net.output(net.q(y, 0.15, -128), 4)
    _, ours, theirs = outputs(net, tmp_path, x=codes((20, 4, 8, 8)))
    assert np.mean(ours != theirs) < 1e-3
    assert np.abs(ours - theirs.astype(int)).max() <= 1


def test_float_arithmetic_with_constants(tmp_path: Path) -> None:
    """Mul, Div, Sub and Add of constants, one value or one per channel, behind each other."""
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 4, 4)), 0.125, 5)
    column = np.array([0.5, -2.0, 0.25]).reshape(3, 1, 1)
    y = net.node("Mul", x, net.constant(column, "float32"))
    y = net.node("Sub", net.constant(1.5, "float32"), y)
    y = net.node("Div", y, net.constant(np.full((1, 3, 1, 1), 4.0), "float32"))
    y = net.node("Add", y, net.constant(column, "float32"))
    net.output(net.q(y, 0.0625, -5), 4)
    graph, ours, theirs = outputs(net, tmp_path, x=codes((40, 3, 4, 4)))
    assert graph.notes == ()
    assert np.array_equal(ours, theirs)


FUNCTIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "Sigmoid": (13, {}),
    "Tanh": (13, {}),
    "HardSwish": (14, {}),
    "HardSigmoid": (13, {"alpha": 0.25, "beta": 0.4}),
    "LeakyRelu": (13, {"alpha": 0.1}),
    "Elu": (13, {"alpha": 1.5}),
    "Gelu": (20, {"approximate": "tanh"}),
}


@pytest.mark.parametrize("scale", [0.11, 0.01])
@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions_of_every_code(tmp_path: Path, op: str, scale: float) -> None:
    opset, attributes = FUNCTIONS[op]
    net = Net(opset=opset)
    x = net.dq(net.input("x", ("n", 2, 8, 16)), 0.05, 10)
    net.output(net.q(net.node(op, x, **attributes), scale, -20), 4)
    every = np.arange(-128, 128).reshape(1, 2, 8, 16).astype("int8")
    graph, ours, theirs = outputs(net, tmp_path, x=every)
    assert graph.notes == ()
    assert np.count_nonzero(ours != theirs) <= 1  # the last bit of exp at a tie


@pytest.mark.parametrize("slopes", [(0.1,), (0.25, -0.3), (0.0, 1.7), (-1.0,), (0.0,)], ids=str)
@pytest.mark.parametrize("quantised", [False, True])
def test_prelu_of_every_code(quantised: bool, slopes: tuple[float, ...], tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 2, 16, 16)), 0.05, 10)
    slope = net.constant(np.reshape(slopes, (-1, 1, 1)), "float32")
    if quantised:
        slope = net.constant(np.rint(np.reshape(slopes, (-1, 1, 1)) / 0.0137), "int8")
        slope = net.dq(slope, 0.0137, 0)
    y = net.node("PRelu", x, slope)
    net.output(net.q(net.node("Relu", y), 0.0613, -20), 4)
    net.output(net.q(y, 0.0613, -20), 4)
    every = np.tile(np.arange(-128, 128).reshape(1, 1, 16, 16), (1, 2, 1, 1)).astype("int8")
    path = net.save(tmp_path)
    graph = import_model(path)
    assert graph.notes == ()
    assert max(tensor.shape[0] for tensor in graph.tensors) == 2  # no hinges
    found = reference_model(graph, {"x": every}).values()
    for ours, theirs in zip(found, run_onnx(path, {"x": every}), strict=True):
        assert np.array_equal(ours, theirs)


def test_prelu_of_slopes_per_pixel_is_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 2, 3, 1)), 0.05, 10)
    slope = net.constant(np.arange(6).reshape(2, 3, 1), "float32")
    net.output(net.q(net.node("PRelu", x, slope), 0.06, 0), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'prelu1' (PRelu): slopes of shape [2, 3, 1] and activation of shape [1, 2, 3, 1]; "
        "one value, or one per channel, is supported"
    )


def test_prelu_of_slopes_per_place_of_a_row_is_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 2, 3, 1)), 0.05, 10)
    slope = net.constant(np.arange(6), "float32")
    y = net.node("PRelu", net.node("Flatten", x), slope)
    net.output(net.q(y, 0.06, 0), 2)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'prelu2' (PRelu): slopes of shape [6] and activation of shape [1, 6], an image of 2 "
        "channels; one value, or one per channel, is supported"
    )


def test_silu_from_sigmoid_and_mul(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 1, 16, 16)), 0.06, -20)
    net.output(net.q(net.node("Mul", x, net.node("Sigmoid", x)), 0.04, -100), 4)
    every = np.arange(-128, 128).reshape(1, 1, 16, 16).astype("int8")
    _, ours, theirs = outputs(net, tmp_path, x=every)
    assert np.count_nonzero(ours != theirs) <= 1


def transpose(net: Net, x: str, perm: tuple[int, ...]) -> str:
    return net.node("Transpose", x, perm=perm)


def test_transposes_at_the_edges_and_around_every_operator(tmp_path: Path) -> None:
    """tf2onnx: NHWC in and out, a Transpose between Q and DQ, elementwise operators in NHWC."""
    to_nchw, to_nhwc = (0, 3, 1, 2), (0, 2, 3, 1)
    net = Net()
    x = transpose(net, net.input("x", ("n", 6, 5, 3)), to_nchw)
    x = net.dq(x, 0.1, 3)
    w = net.dq(net.constant(codes((4, 3, 3, 3))), 0.01, 0)
    y = net.dq(transpose(net, net.q(net.node("Conv", x, w), 0.3, -5), to_nhwc), 0.3, -5)
    y = net.q(net.node("Add", y, y), 0.5, -7)
    y = net.dq(y, 0.5, -7)
    y = net.q(net.node("Concat", y, y, axis=3), 0.5, -7)
    y = net.dq(transpose(net, y, to_nchw), 0.5, -7)
    y = net.q(net.node("MaxPool", y, kernel_shape=[2, 1]), 0.5, -7)
    net.output(transpose(net, y, to_nhwc), 4)
    _, ours, theirs = outputs(net, tmp_path, x=codes((7, 6, 5, 3)))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("axes", [(1, 2), (1,), (2,)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_mean_in_nhwc(tmp_path: Path, axes: tuple[int, ...], keepdims: int) -> None:
    net = Net()
    x = net.dq(transpose(net, net.input("x", ("n", 3, 4, 8)), (0, 2, 3, 1)), 0.5, -9)
    y = net.q(net.node("ReduceMean", x, axes=axes, keepdims=keepdims), 0.25, 4)
    net.output(y, 4 if keepdims else 4 - len(axes))
    _, ours, theirs = outputs(net, tmp_path, x=codes((7, 3, 4, 8)))
    assert np.array_equal(ours, theirs)


def test_flatten_in_nhwc_in_front_of_gemm(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 4, 5)), 0.1, 3)
    x = net.q(net.node("MaxPool", x, kernel_shape=[1, 1]), 0.1, 3)
    x = net.dq(transpose(net, x, (0, 2, 3, 1)), 0.1, 3)
    flat = net.node("Reshape", x, net.constant([-1, 60], "int64"))
    w = net.dq(net.constant(codes((60, 7))), 0.01, 0)
    net.output(net.q(net.node("MatMul", flat, w), 0.5, 3), 2)
    _, ours, theirs = outputs(net, tmp_path, x=codes((9, 3, 4, 5)))
    assert np.array_equal(ours, theirs)


def test_input_used_in_two_orders(tmp_path: Path) -> None:
    """Codes enter as NHWC; the convolution wants them in NCHW, an output shows them as they are."""
    net = Net()
    x = net.q(net.input("x", ("n", 6, 5, 3), "float32"), 0.1, 3)
    net.output(net.q(net.node("Relu", net.dq(x, 0.1, 3)), 0.07, -128), 4)
    y = net.dq(transpose(net, x, (0, 3, 1, 2)), 0.1, 3)
    w = net.dq(net.constant(codes((4, 3, 3, 3))), 0.01, 0)
    net.output(net.q(net.node("Conv", y, w), 0.3, -5), 4)
    path = net.save(tmp_path)
    values = np.random.default_rng(0).uniform(-12, 12, (4, 6, 5, 3)).astype(np.float32)
    ours = list(reference_model(import_model(path), {"x": values}).values())
    theirs = run_onnx(path, {"x": values})
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def conv(net: Net, x: str, shape: tuple[int, ...], **attributes: Any) -> str:
    rng = np.random.default_rng(len(net.nodes))
    w = net.dq(net.constant(codes(shape, seed=len(net.nodes))), 0.004, 0)
    bias = net.constant(rng.normal(0, 0.3, shape[0]), "float32")
    return net.node("Conv", x, w, bias, **attributes)


def test_q_moves_through_concat_and_max_pool_exactly(tmp_path: Path) -> None:
    """Maximum and Concat of unquantised values: the maximum and Concat of their codes."""
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 8, 8)), 0.05, -3)
    a = net.node("Relu", conv(net, x, (4, 3, 3, 3), pads=[1, 1, 1, 1]))
    b = net.node("Relu", conv(net, x, (2, 3, 1, 1)))
    y = net.node("MaxPool", net.node("Concat", a, b, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    net.output(net.q(y, 0.06, -128), 4)
    _, ours, theirs = outputs(net, tmp_path, x=codes((30, 3, 8, 8)))
    assert np.mean(ours != theirs) < 2e-3  # float sums near a tie, and the rounded bias
    assert np.abs(ours - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("kernel", [1, 3])
def test_residual_sum_that_is_never_quantised(tmp_path: Path, kernel: int) -> None:
    """PyTorch 2 export: Conv -> Add -> Relu -> Q."""
    net = Net()
    x = net.dq(net.input("x", ("n", 6, 8, 8)), 0.05, -128)
    pads = [kernel // 2] * 4
    y = net.node("Add", x, conv(net, x, (6, 6, kernel, kernel), pads=pads))
    net.output(net.q(net.node("Relu", y), 0.09, -128), 4)
    graph, ours, theirs = outputs(net, tmp_path, x=codes((30, 6, 8, 8)))
    assert [operator.type for operator in graph.operators][-1] == "Conv"
    assert np.mean(ours != theirs) < 5e-3
    assert np.abs(ours - theirs.astype(int)).max() <= 1


def scaled(net: Net, x: str, gains: list[float]) -> str:
    """A BatchNormalization that only scales."""
    ones, zeros = (np.full(len(gains), value, np.float32) for value in (1, 0))
    constants = [net.constant(np.array(v), "float32") for v in (gains, zeros, zeros, ones)]
    return net.node("BatchNormalization", x, *constants, epsilon=0.0)


def test_residual_sum_whose_channels_have_scales_of_their_own(tmp_path: Path) -> None:
    """Also one that is nothing but the other operand, and one that is subtracted."""
    net = Net()
    x = net.dq(net.input("x", ("n", 5, 6, 6)), 0.05, -7)
    y = scaled(net, conv(net, x, (5, 5, 1, 1)), [1, 0, -0.6, 0.11, 3.7])
    net.output(net.q(net.node("Add", y, x), 0.1237, -4), 4)
    _, ours, theirs = outputs(net, tmp_path, x=codes((60, 5, 6, 6)))
    assert np.mean(ours != theirs) < 5e-3
    assert np.abs(ours - theirs.astype(int)).max() <= 1


def test_residual_sum_of_two_convolutions(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 5, 6, 6)), 0.05, -7)
    a, b = (conv(net, x, (4, 5, size, size), pads=[size // 2] * 4) for size in (3, 1))
    net.output(net.q(net.node("Add", a, scaled(net, b, [0.3, 1, 2, 5.1])), 0.1237, -4), 4)
    _, ours, theirs = outputs(net, tmp_path, x=codes((60, 5, 6, 6)))
    assert np.mean(ours != theirs) < 5e-3
    assert np.abs(ours - theirs.astype(int)).max() <= 1


def test_residual_sum_of_steps_that_are_far_apart(tmp_path: Path) -> None:
    """What is next to nothing beside the other operand takes no more copies of it."""
    net = Net()
    x = net.dq(net.input("x", ("n", 5, 6, 6)), 0.05, -7)
    y = scaled(net, conv(net, x, (5, 5, 1, 1)), [1, 1, 1e-5, 1e-2, 1])
    net.output(net.q(net.node("Add", y, x), 0.1237, -4), 4)
    graph, ours, theirs = outputs(net, tmp_path, x=codes((60, 5, 6, 6)))
    assert max(tensor.shape[0] for tensor in graph.tensors) <= 24 * 5
    assert np.mean(ours != theirs) < 5e-3
    assert np.abs(ours - theirs.astype(int)).max() <= 1


def test_mean_of_values_that_are_never_quantised(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 8, 8)), 0.05, -3)
    y = net.node("Relu", conv(net, x, (4, 3, 3, 3), pads=[1, 1, 1, 1]))
    net.output(net.q(net.node("GlobalAveragePool", y), 0.02, -128), 4)
    graph, ours, theirs = outputs(net, tmp_path, x=codes((30, 3, 8, 8)))
    assert any("its input is not quantised" in note.text for note in graph.notes)
    assert np.mean(ours != theirs) < 0.05
    assert np.abs(ours - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("softmax", [False, True])
def test_real_output_of_gemm(tmp_path: Path, softmax: bool) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 20)), 0.05, -3)
    w = net.dq(net.constant(codes((5, 20), -7, 7)), 0.05, 0)
    bias = net.constant(np.linspace(-1, 1, 5), "float32")
    y = net.node("Gemm", x, w, bias, transB=1)
    net.output(net.node("Softmax", y) if softmax else y, 2, "float32")
    _, ours, theirs = outputs(net, tmp_path, x=codes((50, 20)))
    # Exact but for the bias, which becomes an integer.
    np.testing.assert_allclose(ours, theirs, atol=0.05 * 0.05)
