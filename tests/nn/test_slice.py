"""Parts of tensors, and channels in another order: equal to ONNX Runtime, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.importer import import_model

SCALE, ZERO = 0.1, 3


def start(net: Net, shape: tuple[int, ...], dtype: str = "int8") -> str:
    return net.dq(net.input("x", shape, dtype), SCALE, ZERO, dtype)


def requantised(net: Net, y: str, scale: float = SCALE, zero: int = ZERO) -> str:
    return net.q(y, scale, zero)


def ints(net: Net, *values: int) -> str:
    return net.constant(values, "int64")


def check(net: Net, folder: Path, shape: tuple[int, ...], dtype: str = "int8") -> None:
    path = net.save(folder)
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max + 1, (4, *shape[1:])).astype(dtype)
    wanted = run_onnx(path, {"x": x})
    found = reference_model(import_model(path), {"x": x})
    for a, b in zip(found.values(), wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("seed", range(40))
def test_random_slices(seed: int, tmp_path: Path) -> None:
    """Any range that ONNX can describe, of any dimension; a later scale may differ."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(3, 5))
    axis = int(rng.integers(1, rank))
    channels = int(rng.integers(2, 12))
    shape = [1, *rng.integers(1, 6, rank - 1).tolist()]
    shape[axis] = channels
    shape = tuple(shape)
    while True:
        step = int(rng.choice([1, 1, 2, 3, -1, -2]))
        first, end = (int(rng.integers(-channels - 3, channels + 4)) for _ in range(2))
        beyond = [end, -(1 << 63) if step < 0 else (1 << 63) - 1][int(rng.integers(2))]
        picked = np.arange(channels)[_numpy_slice(first, beyond, step, channels)]
        if picked.size and (picked.size < channels or step < 0):
            break
    dtype = str(rng.choice(["int8", "uint8"]))
    net = Net()
    x = start(net, shape, dtype)
    axis = int(rng.choice([axis, axis - rank]))
    parts = (ints(net, first), ints(net, beyond), ints(net, axis), ints(net, step))
    y = net.node("Slice", x, *parts)
    y = net.node("Relu", y) if rng.random() < 0.3 else y
    net.output(net.q(y, float(rng.choice([SCALE, 0.25])), ZERO, dtype), rank, dtype)
    check(net, tmp_path, shape, dtype)


def _numpy_slice(start: int, end: int, step: int, length: int) -> slice:
    """What the operator's specification says, in other words."""
    start, end = (place + length if place < 0 else place for place in (start, end))
    if step > 0:
        return slice(min(max(start, 0), length), min(max(end, 0), length), step)
    end = min(max(end, -1), length - 1)
    return slice(min(max(start, 0), length - 1), None if end < 0 else end, step)


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("sizes", [(3, 4), (1, 5, 1), (2, 2, 2, 1)])
def test_split(opset: int, sizes: tuple[int, ...], axis: int, tmp_path: Path) -> None:
    """All parts into outputs and back together, by each opset's way to give the sizes."""
    net = Net(opset=opset)
    shape = [1, 3, 3, 2]
    shape[axis] = sum(sizes)
    x = start(net, tuple(shape))
    extra, attributes = [ints(net, *sizes)], {}
    if opset == 11:
        extra, attributes = [], {"split": list(sizes)}
    elif sizes == (2, 2, 2, 1) and opset == 18:
        extra, attributes = [], {"num_outputs": 4}
    first = net.node("Split", x, *extra, axis=axis, **attributes)
    names = [first, *(f"{first}_{i}" for i in range(1, len(sizes)))]
    net.nodes[-1].output.extend(names[1:])
    for name in names:
        net.output(requantised(net, name), 4)
    joined = net.node("Concat", *names[::-1], axis=axis)
    net.output(requantised(net, joined), 4)
    check(net, tmp_path, tuple(shape))


def test_only_some_parts_are_read(tmp_path: Path) -> None:
    net = Net(opset=13)
    first = net.node("Split", start(net, (1, 6, 2, 2)), ints(net, 1, 2, 3), axis=1)
    net.nodes[-1].output.extend([f"{first}_1", f"{first}_2"])
    net.output(requantised(net, f"{first}_1"), 4)
    check(net, tmp_path, (1, 6, 2, 2))
    graph = import_model(net.save(tmp_path))
    assert [op.type for op in graph.operators] == ["Conv"]


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_channel_shuffle(groups: int, tmp_path: Path) -> None:
    """Reshape, Transpose, Reshape between two convolutions, as ShuffleNet has it."""
    rng, net, channels = np.random.default_rng(groups), Net(), 12
    shape = (1, channels, 4, 5)
    y = net.node("Reshape", start(net, shape), ints(net, 1, groups, channels // groups, 4, 5))
    y = net.node("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = net.node("Reshape", net.dq(requantised(net, y), SCALE, ZERO), ints(net, *shape))
    y = net.dq(requantised(net, y), SCALE, ZERO)
    weight = net.constant(rng.integers(-99, 100, (6, channels // groups, 1, 1)), "int8")
    groups = groups if 6 % groups == 0 else 1
    if groups == 1:
        weight = net.constant(rng.integers(-99, 100, (6, channels, 1, 1)), "int8")
    y = net.node("Conv", y, net.dq(weight, 0.0137, 0), group=groups)
    net.output(requantised(net, y), 4)
    check(net, tmp_path, shape)


@pytest.mark.parametrize("axes", [(3,), (1,), (1, 2), (1, 2, 3)])
def test_channels_last(axes: tuple[int, ...], tmp_path: Path) -> None:
    net, steps = Net(), (1, -1, 2)
    y = net.node("Transpose", start(net, (1, 7, 6, 5)), perm=[0, 2, 3, 1])
    firsts = [(1, 4, 2)[axis - 1] for axis in axes]
    ends = [(5, -9, 6)[axis - 1] for axis in axes]
    parts = (firsts, ends, axes, [steps[axis - 1] for axis in axes])
    y = net.node("Slice", y, *(ints(net, *part) for part in parts))
    net.output(requantised(net, y), 4)
    check(net, tmp_path, (1, 7, 6, 5))


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 1, 7, 2), (1, 9, 1, 6)])
def test_height_and_width_change_places(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Also turned by 90 degrees: the part behind the Transpose goes backwards."""
    net = Net()
    y = net.node("MaxPool", start(net, shape), kernel_shape=[1, 1])
    y = net.node("Transpose", net.dq(requantised(net, y), SCALE, ZERO), perm=[0, 1, 3, 2])
    pooled = net.node("MaxPool", y, kernel_shape=[1, 1])
    net.output(requantised(net, pooled), 4)
    end = -(1 << 62)
    turned = net.node("Slice", y, ints(net, -1), ints(net, end), ints(net, 2), ints(net, -1))
    net.output(requantised(net, net.node("MaxPool", turned, kernel_shape=[1, 1])), 4)
    check(net, tmp_path, shape)


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_gather_and_tile(axis: int, tmp_path: Path) -> None:
    net, shape = Net(), (1, 3, 4, 5)
    y = net.node("Gather", start(net, shape), ints(net, 2, 0, -1, 2, 1), axis=axis)
    net.output(requantised(net, y), 4)
    repeats = np.ones(4, int)
    repeats[axis] = 3
    net.output(requantised(net, net.node("Tile", y, ints(net, *repeats))), 4)
    check(net, tmp_path, shape)


def test_of_what_is_not_quantised_yet(tmp_path: Path) -> None:
    """PyTorch 2 export quantises at the end of an island only; no channel is computed twice."""
    rng, net, shape = np.random.default_rng(0), Net(opset=13), (1, 3, 4, 5)
    weight = net.dq(net.constant(rng.integers(-99, 100, (8, 3, 1, 1)), "int8"), 0.0137, 0)
    y = net.node("Relu", net.node("Conv", start(net, shape), weight))
    first = net.node("Split", y, ints(net, 3, 5), axis=1)
    net.nodes[-1].output.append(f"{first}_1")
    net.output(net.q(first, 0.0931, -9), 4)
    rows = net.node("Slice", f"{first}_1", ints(net, 3), ints(net, -9), ints(net, 2), ints(net, -2))
    net.output(net.q(rows, 0.05, -128), 4)
    path = net.save(tmp_path)
    x = rng.integers(-128, 128, (3, *shape[1:])).astype(np.int8)
    graph = import_model(path)
    found = reference_model(graph, {"x": x}).values()
    for a, b in zip(found, run_onnx(path, {"x": x}), strict=True):
        np.testing.assert_array_equal(a, b)
    convs = [
        op for op in graph.operators if op.type == "Conv" and op.inputs == (graph.inputs[0].tensor,)
    ]
    assert sum(len(conv.bias) for conv in convs if isinstance(conv, Conv)) == 8


REFUSED: dict[str, tuple[Callable[[Net, str], str], str]] = {
    "nothing": (
        lambda net, x: net.node("Slice", x, ints(net, 3), ints(net, 3), ints(net, 1)),
        "node 'slice1' (Slice): takes [1, 0, 4, 4] out of [1, 6, 4, 4]; the batch stays, and "
        "something of all dimensions",
    ),
    "mixed up": (
        lambda net, x: net.node(
            "Slice",
            net.node("Reshape", x, ints(net, 1, 8, 12)),
            ints(net, 1),
            ints(net, 3),
            ints(net, 2),
        ),
        "node 'slice2' (Slice): takes [1, 8, 2] out of [1, 8, 12], which are not the same rows and "
        "columns of whole channels; only such parts are supported",
    ),
    "gather of one": (
        lambda net, x: net.node("Gather", x, net.constant(2, "int64"), axis=1),
        "node 'gather1' (Gather): indices of shape [] along dimension 1; a list of them, along a "
        "dimension behind the batch, is supported",
    ),
    "gather beyond": (
        lambda net, x: net.node("Gather", x, ints(net, 0, 6), axis=1),
        "node 'gather1' (Gather): indices 0 to 6 of 6",
    ),
    "tile of the batch": (
        lambda net, x: net.node("Tile", x, ints(net, 2, 1, 1, 1)),
        "node 'tile1' (Tile): repeats [2, 1, 1, 1] of [1, 6, 4, 4]; one of 1 or more for each "
        "dimension, 1 for the batch, is supported",
    ),
    "no such axis": (
        lambda net, x: net.node("Slice", x, ints(net, 3), ints(net, 4), ints(net, 4)),
        "node 'slice1' (Slice): starts [3], ends [4], axes [4] and steps [1] do not describe a "
        "part of [1, 6, 4, 4]",
    ),
    "sizes": (
        lambda net, x: net.node("Split", x, ints(net, 5), axis=1),
        "node 'split1' (Split): parts of [5] do not make 6 with 1 outputs; every part needs at "
        "least one",
    ),
    "at run time": (
        lambda net, x: net.node("Split", x, net.input("sizes", (1, 1), "int8"), axis=1),
        "node 'split1' (Split): input 'sizes' must be constant integers",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    build, text = REFUSED[case]
    net = Net(opset=13)
    net.output(requantised(net, build(net, start(net, (1, 6, 4, 4)))), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == text
