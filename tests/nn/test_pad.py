"""Pads, folded or not: equal to ONNX Runtime, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.golden import run_onnx, run_unoptimised
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.move import Move
from weft.nn.onnx.importer import import_model

SHAPE = (1, 4, 7, 6)
Behind = Callable[[Net, str], str]


def conv(net: Net, x: str, **attributes: Any) -> str:
    weight = np.random.default_rng(1).integers(-99, 100, (5, 4, 3, 3)).astype(np.int8)
    return net.node("Conv", x, net.dq(net.constant(weight), 0.0137, 0), **attributes)


def folded_conv(net: Net, x: str) -> str:
    return conv(net, x, kernel_shape=[3, 3], strides=[2, 2])


def padded_conv(net: Net, x: str) -> str:
    return conv(net, x, kernel_shape=[3, 3], dilations=[2, 2], pads=[1, 0, 2, 1])


def max_pool(net: Net, x: str) -> str:
    return net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])


def average(net: Net, x: str) -> str:
    return net.node("AveragePool", x, kernel_shape=[3, 4])


def average_with_pads(net: Net, x: str) -> str:
    """Its own pads do not count, the Pad's do."""
    return net.node("AveragePool", x, kernel_shape=[3, 4], pads=[1, 1, 1, 1])


def network(behind: Behind, pads: tuple[int, ...], between: bool, value: float | None) -> Net:
    net = Net()
    x = net.dq(net.input("x", SHAPE), 0.1, -3)
    extra = [] if value is None else [net.constant(value, "float32")]
    y = net.node("Pad", x, net.constant(pads, "int64"), *extra)
    y = net.dq(net.q(y, 0.1, -3), 0.1, -3) if between else y
    y = behind(net, y)
    if behind is max_pool:
        y = net.dq(net.q(y, 0.1, -3), 0.1, -3)
        y = conv(net, y)
    net.output(net.q(y, 0.093, 5), 4)
    return net


def compared(net: Net, folder: Path, shape: tuple[int, ...] = SHAPE, exact: bool = True) -> Graph:
    """exact: ONNX Runtime fuses every operator; in float, near ties may fall on the other side.

    Not fused it must not optimise either: it merges a float Pad into the MaxPool behind it, where
    it no longer counts as 0.
    """
    path = net.save(folder)
    x = np.random.default_rng(0).integers(-128, 128, (5, *shape[1:])).astype(np.int8)
    (wanted,) = (run_onnx if exact else run_unoptimised)(path, {"x": x})
    graph = import_model(path)
    (found,) = reference_model(graph, {"x": x}).values()
    apart = np.abs(found.astype(int) - wanted)
    assert apart.max() <= (0 if exact else 1)
    assert np.count_nonzero(apart) <= apart.size // 100
    return graph


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (0, 1, 1, 0), (2, 0, 0, 1), (3, 4, 1, 0)])
@pytest.mark.parametrize("behind", [folded_conv, padded_conv, max_pool, average, average_with_pads])
def test_equals_onnx_runtime(
    behind: Behind, sides: tuple[int, ...], between: bool, tmp_path: Path
) -> None:
    pads = (0, 0, *sides[:2], 0, 0, *sides[2:])
    net = network(behind, pads, between, 0.0 if between else None)
    convs = (folded_conv, padded_conv, max_pool)
    graph = compared(net, tmp_path, exact=between and behind in convs)
    kept = behind not in (folded_conv, padded_conv, average)  # beyond their kernels, too
    pools = [op for op in graph.operators if isinstance(op, AveragePool)]
    assert sum(isinstance(op, Move) for op in graph.operators) == kept
    assert all(pool.include_pad for pool in pools) or kept


@pytest.mark.parametrize("seed", range(12))
def test_own_pads_beyond_the_kernel(seed: int, tmp_path: Path) -> None:
    """Convolutions of which some windows lie wholly in the padding."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 2
    kernel, size = rng.integers(1, 4, rank).tolist(), rng.integers(1, 7, rank).tolist()
    groups = 3 if seed % 3 == 0 else 1
    net = Net()
    x = net.dq(net.input("x", [1, 3, *size]), 0.05, int(rng.integers(-20, 20)))
    weight = rng.integers(-127, 128, (6, 3 // groups, *kernel))
    y = net.node(
        "Conv",
        x,
        net.dq(net.constant(weight, "int8"), 0.01, 0),
        net.constant(rng.uniform(-2, 2, 6), "float32"),
        pads=rng.integers(0, 8, 2 * rank).tolist(),
        strides=rng.integers(1, 4, rank).tolist(),
        dilations=rng.integers(1, 3, rank).tolist(),
        group=groups,
    )
    net.output(net.q(y, 0.07, 3), 2 + rank)
    graph = compared(net, tmp_path, (1, 3, *size))
    assert [op.type for op in graph.operators] == ["Conv"]


def test_pools_with_pads_beyond_the_kernel(tmp_path: Path) -> None:
    """ONNX Runtime refuses them; the lowest code is what minus infinity becomes, the mean is 0."""
    attributes = {"kernel_shape": [2, 2], "pads": [3, 0, 0, 2], "strides": [1, 2]}
    x = np.random.default_rng(0).integers(-128, 128, (5, 2, 4, 4)).astype(np.int8)
    found = {}
    for op in ("MaxPool", "AveragePool"):
        extra = {"count_include_pad": 1} if op == "AveragePool" else {}
        net = Net()
        y = net.node(op, net.dq(net.input("x", [1, 2, 4, 4]), 0.1, -4), **attributes, **extra)
        net.output(net.q(y, 0.1, -4), 4)
        (found[op],) = reference_model(import_model(net.save(tmp_path)), {"x": x}).values()
    for op, fill in (("MaxPool", -128), ("AveragePool", -4)):
        padded = np.pad(x, [(0, 0), (0, 0), (3, 0), (0, 2)], constant_values=fill).astype(int)
        parts = [padded[:, :, i : 6 + i, j : j + 5 : 2] for i in (0, 1) for j in (0, 1)]
        wanted = np.max(parts, axis=0) if op == "MaxPool" else np.rint((sum(parts) + 16) / 4) - 4
        np.testing.assert_array_equal(found[op], wanted)
    assert (found["MaxPool"][:, :, :2] == -128).all()
    assert (found["AveragePool"][:, :, :2] == -4).all()


def test_a_mean_of_nothing_is_refused(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", [1, 2, 4, 4]), 0.1, -3)
    y = net.node("AveragePool", x, kernel_shape=[2, 2], pads=[2, 0, 0, 0])
    net.output(net.q(y, 0.1, -3), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'averagepool1' (AveragePool): a window lies wholly in the padding; use less padding"
    )


def test_of_codes_and_of_one_dimension(tmp_path: Path) -> None:
    net = Net()
    x = net.q(net.dq(net.input("x", (1, 3, 9)), 0.1, -3), 0.05, 7)
    y = net.node("Pad", x, net.constant((0, 0, 2, 0, 0, 1), "int64"), net.constant(7, "int8"))
    net.output(y, 3)
    assert len(compared(net, tmp_path, (1, 3, 9)).operators) == 2


def test_another_reader_keeps_it(tmp_path: Path) -> None:
    """Of two convolutions and a sum only the first two could take it in."""
    net = Net()
    x = net.dq(net.input("x", SHAPE), 0.1, -3)
    x = net.node("Pad", x, net.constant((0, 0, 1, 1, 0, 0, 1, 1), "int64"))
    x = net.dq(net.q(x, 0.1, -3), 0.1, -3)
    weight = net.dq(net.constant(np.full((4, 4, 3, 3), 5, np.int8)), 0.0137, 0)
    y = net.node("Conv", x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    y = net.dq(net.q(y, 0.093, 5), 0.093, 5)
    net.output(net.q(net.node("Add", x, y), 0.17, 1), 4)
    graph = compared(net, tmp_path)
    assert [op.type for op in graph.operators] == ["Move", "Conv", "Add"]


PADS = ((0, 0, 1, 2, 0, 0, 3, 0), (0, 2, 0, 0, 0, 1, 0, 1), (0, 0, -1, 2, 0, 0, -2, -1))


@pytest.mark.parametrize("pads", PADS, ids=str)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_any_number_in_any_dimension(mode: str, pads: tuple[int, ...], tmp_path: Path) -> None:
    """Codes and real numbers, those that have a code and those that have none."""
    net = Net(opset=19)
    given, sizes = net.input("x", SHAPE), net.constant(pads, "int64")
    if mode == "constant":
        real = net.dq(given, 0.1, -3)
        codes = net.node("Pad", net.q(real, 0.05, 7), sizes, net.constant(-77, "int8"))
        net.output(codes, 4)
        for value in (0.7, 0.333, -100.0, 0.0):
            y = net.node("Pad", real, sizes, net.constant(value, "float32"))
            net.output(net.q(y, 0.1, -3), 4)
            net.output(net.q(net.node("Relu", y), 0.07, 5), 4)
            clipped = net.node("Pad", net.node("Relu", real), sizes, net.constant(value, "float32"))
            net.output(net.q(clipped, 0.1, -3), 4)
    else:
        y = net.node("Pad", net.dq(given, 0.1, -3), sizes, mode=mode)
        net.output(net.q(y, 0.1, -3), 4)
    path = net.save(tmp_path)
    x = np.random.default_rng(0).integers(-128, 128, (3, *SHAPE[1:])).astype(np.int8)
    found = reference_model(import_model(path), {"x": x})
    for a, b in zip(found.values(), run_onnx(path, {"x": x}), strict=True):
        np.testing.assert_array_equal(a, b)


SIDES = "up to 1024 at each side behind the batch are supported"
REFUSED: dict[str, tuple[tuple[int, ...], float, dict[str, str], str]] = {
    "value": (
        (0, 0, 1, 1, 0, 0, 1, 1),
        np.inf,
        {},
        "pads with inf; one finite number is supported",
    ),
    "mode": (
        (0, 0, 1, 1, 0, 0, 1, 1),
        0.0,
        {"mode": "mirror"},
        "attribute 'mode' is 'mirror'; constant, edge, reflect, wrap are supported",
    ),
    "reflect": (
        (0, 0, 0, 6, 0, 0, 0, 0),
        0.0,
        {"mode": "reflect"},
        "reflects 6 of 6; less than all is supported",
    ),
    "batch": (
        (1, 0, 0, 0, 0, 0, 0, 0),
        0.0,
        {},
        f"pads [1, 0, 0, 0, 0, 0, 0, 0] of axes [0, 1, 2, 3]; {SIDES}",
    ),
    "crop": (
        (0, 0, -7, 0, 0, 0, 0, 0),
        0.0,
        {},
        f"pads [0, 0, -7, 0, 0, 0, 0, 0] of axes [0, 1, 2, 3]; {SIDES}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    pads, value, attributes, text = REFUSED[case]
    net = Net()
    x = net.dq(net.input("x", SHAPE), 0.1, -3)
    extra = net.constant(pads, "int64"), net.constant(value, "float32")
    y = folded_conv(net, net.node("Pad", x, *extra, **attributes))
    net.output(net.q(y, 0.093, 5), 4)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == f"node 'pad1' (Pad): {text}"
