"""Small networks through the importer and the reference, against ONNX Runtime."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.onnx.importer import import_model

TYPES = ("int8", "uint8")


def codes(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max + 1, shape).astype(dtype)


def zero(dtype: str, zero_point: int) -> int:
    return zero_point + (128 if dtype == "uint8" else 0)


def noted(graph: Graph) -> int:
    """The number of codes, or pairs of codes, that the notes say are computed differently."""
    return sum(int(found) for found in re.findall(r": (\d+) of", " ".join(map(str, graph.notes))))


def check(net: Net, folder: Path, **inputs: np.ndarray) -> Graph:
    """Reference and ONNX Runtime agree on every element, but for what the notes name."""
    path = net.save(folder)
    graph = import_model(path)
    ours = reference_model(graph, inputs)
    theirs = run_onnx(path, inputs)
    for (name, got), wanted in zip(ours.items(), theirs, strict=True):
        assert got.dtype == wanted.dtype, name
        assert got.shape == wanted.shape, name
        assert np.count_nonzero(got != wanted) == noted(graph), name
    return graph


def conv_net(
    dtype: str,
    shape: tuple[int, ...],
    weight: np.ndarray,
    weight_zero: Any = 0,
    between: tuple[str, ...] = (),
    zero_points: tuple[int, int] = (-5, 9),
    **attributes: Any,
) -> Net:
    """Codes, DQ, Conv with an int32 bias, perhaps Relu and the like, Q."""
    rng = np.random.default_rng(5)
    net = Net()
    x = net.dq(net.input("x", ("n", *shape)), 0.03, zero(dtype, zero_points[0]), dtype)
    net.inputs[0].type.tensor_type.elem_type = {"int8": 3, "uint8": 2}[dtype]
    kind = str(weight.dtype)
    scale = np.exp2(rng.uniform(-9, -7, weight.shape[0])).astype(np.float32)
    offset = np.broadcast_to(np.asarray(weight_zero, kind), scale.shape)
    w = net.dq(net.constant(weight), scale, offset, kind, axis=0)
    bias = rng.integers(-3000, 3000, weight.shape[0]).astype(np.int32)
    bias_scale = np.float32(0.03) * scale
    b = net.dq(net.constant(bias), bias_scale, np.zeros(bias.shape, np.int32), "int32", axis=0)
    y = net.node("Conv", x, w, b, **attributes)
    for op in between:
        y = net.node(op, y)
    net.output(net.q(y, 0.11, zero(dtype, zero_points[1]), dtype), len(shape) + 1, dtype)
    return net


CONVS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 3), {"pads": [1, 1, 1, 1]}),
    ((3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
    ((5, 2), {"pads": [2, 0, 1, 1], "strides": [1, 2]}),
    ((3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((4, 4), {"auto_pad": "SAME_LOWER"}),
    ((2, 3), {"auto_pad": "VALID", "dilations": [2, 3]}),
    ((3, 3), {"pads": [2, 2, 2, 2], "dilations": [2, 2]}),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize(("kernel", "attributes"), CONVS)
def test_conv(
    tmp_path: Path, dtype: str, groups: int, kernel: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    weight = codes((16, 8 // groups, *kernel), "int8")
    net = conv_net(dtype, (8, 9, 10), weight, group=groups, **attributes)
    check(net, tmp_path, x=codes((3, 8, 9, 10), dtype))


@pytest.mark.parametrize("zero_point", [0, 1, 128, 255])
def test_conv_uint8_weights_with_zero_points(tmp_path: Path, zero_point: int) -> None:
    net = conv_net("uint8", (4, 6, 6), codes((8, 4, 3, 3), "uint8"), zero_point)
    graph = check(net, tmp_path, x=codes((2, 4, 6, 6), "uint8"))
    operator = graph.operators[0]
    assert isinstance(operator, Conv)
    assert operator.weight.dtype == np.int16
    assert operator.weight.max() > 255 - zero_point - 5


def test_conv_one_dimension(tmp_path: Path) -> None:
    net = conv_net("uint8", (4, 20), codes((8, 4, 5), "int8"), pads=[2, 1], strides=[2])
    graph = check(net, tmp_path, x=codes((2, 4, 20), "uint8"))
    assert graph.tensors[0].shape == (4, 1, 20)
    assert graph.macs == 8 * 4 * 5 * 10


@pytest.mark.parametrize("dtype", TYPES)
def test_conv_relu_folded_into_the_clamp(tmp_path: Path, dtype: str) -> None:
    weight = codes((8, 4, 3, 3), "int8")
    net = conv_net(dtype, (4, 6, 6), weight, between=("Relu",), zero_points=(3, -128))
    graph = check(net, tmp_path, x=codes((2, 4, 6, 6), dtype))
    assert (graph.operators[0].low, graph.operators[0].high) == (-128, 127)


def test_conv_relu_at_an_inner_zero_point_clamps(tmp_path: Path) -> None:
    """ONNX Runtime runs this Conv in float: at most a near tie may differ."""
    net = conv_net("int8", (4, 6, 6), codes((8, 4, 3, 3), "int8"), between=("Relu",))
    graph = import_model(net.save(tmp_path))
    x = codes((2, 4, 6, 6), "int8")
    (got,) = reference_model(graph, {"x": x}).values()
    (wanted,) = run_onnx(net.model(), {"x": x})
    assert graph.operators[0].low == 9
    assert np.count_nonzero(got != wanted) <= 1


@pytest.mark.parametrize("opset", [10, 13, 17])
def test_clip_becomes_a_clamp_of_codes(tmp_path: Path, opset: int) -> None:
    net = Net(opset=opset)
    x = net.dq(net.input("x", ("n", 4, 3, 3)), 0.07, -20)
    if opset < 11:
        y = net.node("Clip", x, min=0.0, max=6.0)
    else:
        y = net.node("Clip", x, net.constant(0, "float32"), net.constant(6, "float32"))
    net.output(net.q(y, 0.03, -100), 4)
    graph = check(net, tmp_path, x=codes((9, 4, 3, 3), "int8"))
    operator = graph.operators[0]
    assert isinstance(operator, Rescale)
    assert (operator.low, operator.high) == (-100, 100)  # Q(0) and Q(6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scale", [0.05, 0.1, 0.2, 0.0371, 0.149])
def test_rescale_all_codes(tmp_path: Path, dtype: str, scale: float) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 1, 16, 16), dtype), 0.1, zero(dtype, 11), dtype)
    y = net.node("Relu", x)
    net.output(net.q(y, scale, zero(dtype, -3), dtype), 4, dtype)
    info = np.iinfo(dtype)
    every = np.arange(info.min, info.max + 1).astype(dtype).reshape(1, 1, 16, 16)
    graph = check(net, tmp_path, x=every)
    assert isinstance(graph.operators[0], Rescale)
    # Ties that float32 rounds by chance, since 0.1 and 0.2 are no exact numbers.
    assert noted(graph) == (5 if scale == 0.2 else 0)


def test_conv_q_dq_relu_q_is_two_requantisations(tmp_path: Path) -> None:
    net = conv_net("int8", (4, 6, 6), codes((8, 4, 3, 3), "int8"))
    y = net.dq(net.outputs.pop().name, 0.11, 9)
    y = net.q(net.node("Relu", y), 0.07, -128)
    net.output(net.dq(y, 0.07, -128), 4, "float32")
    graph = check(net, tmp_path, x=codes((50, 4, 6, 6), "int8"))
    assert [op.type for op in graph.operators] == ["Conv", "Rescale"]


ADDS = [
    (0.1, 0.1, 0.1, (0, 0, 0)),
    (0.1, 0.1, 0.2, (3, -7, 5)),
    (0.02, 0.31, 0.25, (-128, 12, -128)),
    (0.5, 0.25, 0.5, (1, 2, 3)),
    (0.013, 0.017, 0.0009, (5, -60, -1)),
    (0.004, 0.003, 0.9, (100, -100, 7)),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("a", "b", "y", "zeros"), ADDS)
def test_add_every_pair(
    tmp_path: Path, dtype: str, a: float, b: float, y: float, zeros: tuple[int, int, int]
) -> None:
    net = Net()
    left = net.dq(net.input("a", ("n", 1, 256, 256), dtype), a, zero(dtype, zeros[0]), dtype)
    right = net.dq(net.input("b", ("n", 1, 256, 256), dtype), b, zero(dtype, zeros[1]), dtype)
    total = net.node("Add", left, right)
    net.output(net.q(total, y, zero(dtype, zeros[2]), dtype), 4, dtype)
    info = np.iinfo(dtype)
    every = np.arange(info.min, info.max + 1).astype(dtype)
    first, second = (item[None, None] for item in np.meshgrid(every, every))
    graph = check(net, tmp_path, a=first.copy(), b=second.copy())
    operator = graph.operators[0]
    assert isinstance(operator, Add)
    assert operator.shift in (24, 32, 40, 48, 56)
    assert (1 << 24) <= max(operator.multipliers) < 1 << 32
    # At 0.004 and 0.003 to 0.9 there are near ties that float32 rounds by chance.
    assert noted(graph) <= (13 if y == 0.9 else 0)


def test_add_of_a_tensor_to_itself_and_relu(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 2, 4, 4)), 0.1, 4)
    net.output(net.q(net.node("Relu", net.node("Add", x, x)), 0.13, -128), 4)
    check(net, tmp_path, x=codes((3, 2, 4, 4), "int8"))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 3], "dilations": [2, 1], "pads": [1, 0, 0, 2]},
        {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    ],
)
def test_max_pool(tmp_path: Path, dtype: str, attributes: dict[str, Any]) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 9, 8), dtype), 0.1, zero(dtype, 7), dtype)
    y = net.node("MaxPool", x, **attributes)
    net.output(net.q(y, 0.1, zero(dtype, 7), dtype), 4, dtype)
    graph = check(net, tmp_path, x=codes((3, 3, 9, 8), dtype))
    assert [op.type for op in graph.operators] == ["MaxPool"]


def test_max_pool_to_another_scale_is_followed_by_a_rescale(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 8, 8)), 0.1, 7)
    net.output(net.q(net.node("GlobalMaxPool", x), 0.17, -2), 4)
    graph = check(net, tmp_path, x=codes((3, 3, 8, 8), "int8"))
    assert [op.type for op in graph.operators] == ["MaxPool", "Rescale"]
    assert isinstance(graph.operators[0], MaxPool)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scales", [(0.5, 0.25), (0.25, 0.5), (0.125, 0.125)])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        {"kernel_shape": [4, 2], "pads": [1, 1, 2, 0], "strides": [2, 1], "count_include_pad": 0},
        {"kernel_shape": [4, 4], "strides": [3, 3], "ceil_mode": 1},
    ],
)
def test_average_pool_c43_ties_include_the_zero_point(
    tmp_path: Path, dtype: str, scales: tuple[float, float], attributes: dict[str, Any]
) -> None:
    """Scales are powers of two: ONNX Runtime's float sums are exact and its ties are real."""
    net = Net(opset=19)
    x = net.dq(net.input("x", ("n", 3, 8, 8), dtype), scales[0], zero(dtype, -9), dtype)
    y = net.node("AveragePool", x, **attributes)
    net.output(net.q(y, scales[1], zero(dtype, 5), dtype), 4, dtype)
    check(net, tmp_path, x=codes((9, 3, 8, 8), dtype))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scales", [(0.1, 0.1), (0.023, 0.0171), (0.5, 0.25)])
def test_global_average_pool(tmp_path: Path, dtype: str, scales: tuple[float, float]) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 16, 8, 8), dtype), scales[0], zero(dtype, -9), dtype)
    y = net.node("GlobalAveragePool", x)
    net.output(net.q(y, scales[1], zero(dtype, 5), dtype), 4, dtype)
    values = codes((40, 16, 8, 8), dtype) // 3 + (64 if dtype == "uint8" else 0)
    check(net, tmp_path, x=values.astype(dtype))


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1, -2), (2,), (3,)])
@pytest.mark.parametrize("opset", [13, 18])
def test_reduce_mean(tmp_path: Path, opset: int, axes: tuple[int, ...], keepdims: int) -> None:
    net = Net(opset=opset)
    x = net.dq(net.input("x", ("n", 4, 4, 8)), 0.5, -9)
    if opset < 18:
        y = net.node("ReduceMean", x, axes=axes, keepdims=keepdims)
    else:
        y = net.node("ReduceMean", x, net.constant(axes, "int64"), keepdims=keepdims)
    net.output(net.q(y, 0.25, 4), 4 if keepdims else 4 - len(axes))
    check(net, tmp_path, x=codes((7, 4, 4, 8), "int8"))


@pytest.mark.parametrize("dtype", TYPES)
def test_concat_with_the_same_part_twice(tmp_path: Path, dtype: str) -> None:
    net = Net()
    a = net.dq(net.input("a", ("n", 3, 4, 4), dtype), 0.1, zero(dtype, 7), dtype)
    b = net.dq(net.input("b", ("n", 2, 4, 4), dtype), 0.037, zero(dtype, -100), dtype)
    y = net.node("Concat", a, b, a, axis=-3)
    net.output(net.q(y, 0.081, zero(dtype, 1), dtype), 4, dtype)
    first, second = codes((9, 3, 4, 4), dtype), codes((9, 2, 4, 4), dtype, 1)
    graph = check(net, tmp_path, a=first, b=second)
    assert graph.notes == ()


def dense(net: Net, x: str, size: tuple[int, int], transposed: bool, bias: str) -> str:
    weight = codes(size if not transposed else size[::-1], "int8")
    w = net.dq(net.constant(weight), 0.01, 0)
    if bias == "none":
        return net.node("Gemm", x, w, transB=int(transposed))
    b = net.dq(net.constant(np.arange(size[1]) * 99, "int32"), np.float32(0.1) * 0.01, 0, "int32")
    return net.node("Gemm", x, w, b, transB=int(transposed))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bias", ["none", "int32"])
def test_gemm(tmp_path: Path, transposed: bool, bias: str) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 24)), 0.1, 7)
    net.output(net.q(dense(net, x, (24, 10), transposed, bias), 0.5, 3), 2)
    graph = check(net, tmp_path, x=codes((50, 24), "int8"))
    assert graph.macs == 240


def test_flatten_in_front_of_gemm_becomes_a_whole_image_kernel(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 4, 2)), 0.1, 7)
    pooled = net.dq(net.q(net.node("MaxPool", x, kernel_shape=[1, 1]), 0.1, 7), 0.1, 7)
    y = dense(net, net.node("Flatten", pooled), (24, 10), True, "int32")
    net.output(net.q(y, 0.5, 3), 2)
    graph = check(net, tmp_path, x=codes((9, 3, 4, 2), "int8"))
    operator = graph.operators[-1]
    assert isinstance(operator, Conv)
    assert operator.weight.shape == (10, 3, 4, 2)


def test_matmul_with_a_float_bias(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 24)), 0.125, 7)
    w = net.dq(net.constant(codes((24, 10), "int8")), 0.0625, 0)
    y = net.node("Add", net.node("MatMul", x, w), net.constant(np.arange(10) * 0.25, "float32"))
    net.output(net.q(y, 0.5, 3), 2)
    check(net, tmp_path, x=codes((50, 24), "int8"))


def test_weights_and_shapes_from_constant_chains(tmp_path: Path) -> None:
    """Float weights behind Constant, Cast, Transpose and Q; the shape from a Constant node."""
    net = Net()
    x = net.dq(net.input("x", ("n", 2, 3, 1)), 0.125, 7)
    x = net.node("Reshape", x, net.node("Constant", value_ints=[-1, 6]))
    weight = net.node("Cast", net.constant(np.arange(60).reshape(10, 6) - 30, "int32"), to=1)
    weight = net.node("Transpose", weight, perm=[1, 0])
    w = net.dq(net.q(net.node("Identity", weight), 0.25, 0), 0.25, 0)
    y = net.node("Unsqueeze", net.node("MatMul", x, w), net.constant([2], "int64"))
    y = net.node("Squeeze", y, net.constant([-1], "int64"))
    net.output(net.q(net.node("Dropout", y), 0.5, 3), 2)
    check(net, tmp_path, x=codes((5, 2, 3, 1), "int8"))


@pytest.mark.parametrize("dtype", TYPES)
def test_float_edges_several_inputs_and_outputs(tmp_path: Path, dtype: str) -> None:
    net = Net()
    a = net.node("Flatten", net.input("a", ("n", 2, 2, 2), "float32"))
    a = net.dq(net.q(a, 0.1, zero(dtype, 7), dtype), 0.1, zero(dtype, 7), dtype)
    b = net.dq(net.input("b", ("n", 8), dtype), 0.05, zero(dtype, 0), dtype)
    y = net.q(net.node("Add", a, b), 0.15, zero(dtype, 1), dtype)
    net.output(y, 2, dtype)
    real = net.dq(y, 0.15, zero(dtype, 1), dtype)
    net.output(net.node("Reshape", real, net.constant([-1, 2, 4], "int64")), 3, "float32")
    values = np.random.default_rng(0).uniform(-20, 20, (40, 2, 2, 2)).astype(np.float32)
    check(net, tmp_path, a=values, b=codes((40, 8), dtype))


def test_fixed_batch_is_bound_to_one(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", (8, 2, 3, 3)), 0.1, 7)
    y = net.q(net.node("GlobalAveragePool", x), 0.05, 1)
    net.output(net.node("Reshape", y, net.constant([8, 2], "int64")), 2)
    check(net, tmp_path, x=codes((8, 2, 3, 3), "int8"))


@pytest.mark.parametrize("opset", [11, 13])
def test_softmax_runs_on_the_host(tmp_path: Path, opset: int) -> None:
    net = Net(opset=opset)
    x = net.dq(net.input("x", ("n", 6, 4, 1)), 0.1, 7)
    y = net.dq(net.q(net.node("GlobalAveragePool", x), 0.05, 1), 0.05, 1)
    net.output(net.node("Softmax", net.node("Flatten", y), axis=1), 2, "float32")
    path = net.save(tmp_path)
    x_codes = codes((5, 6, 4, 1), "int8")
    (ours,) = reference_model(import_model(path), {"x": x_codes}).values()
    np.testing.assert_allclose(ours, run_onnx(path, {"x": x_codes})[0], rtol=1e-5)


def test_graph_goes_to_json_and_back(tmp_path: Path) -> None:
    net = conv_net("int8", (4, 6, 6), codes((8, 4, 3, 3), "int8"))
    graph = import_model(net.save(tmp_path))
    assert Graph.from_json(graph.to_json()) == graph
