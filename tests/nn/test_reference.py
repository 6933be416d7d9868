"""The operators against straightforward loops over every element."""

import numpy as np
import pytest

from weft.errors import ConfigError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import requantise, scaling_of
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

X = Tensor(name="x", shape=(4, 6, 5), scale=0.1, zero_point=-7)


def tensors(shape: tuple[int, int, int], zero_point: int = 3) -> dict[str, Tensor]:
    return {"x": X, "y": Tensor(name="y", shape=shape, scale=0.2, zero_point=zero_point)}


def codes(batch: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (batch, *X.shape)).astype(np.int8)


def positions(window: Window) -> list[tuple[int, int, list[tuple[int, int, int, int]]]]:
    """Per output position: the taps (ky, kx, y, x), those in the padding left out."""
    height, width = window.output_size(*X.shape[1:])
    result = []
    for oy in range(height):
        for ox in range(width):
            taps = []
            for ky in range(window.kernel[0]):
                for kx in range(window.kernel[1]):
                    y = oy * window.stride[0] + ky * window.dilation[0] - window.pads[0]
                    x = ox * window.stride[1] + kx * window.dilation[1] - window.pads[1]
                    if y % window.stretch[0] or x % window.stretch[1]:
                        continue
                    y, x = y // window.stretch[0], x // window.stretch[1]
                    if 0 <= y < X.shape[1] and 0 <= x < X.shape[2]:
                        taps.append((ky, kx, y, x))
            result.append((oy, ox, taps))
    return result


WINDOWS = [
    Window(kernel=(1, 1)),
    Window(kernel=(6, 5)),
    Window(kernel=(3, 3), pads=(1, 1, 1, 1)),
    Window(kernel=(3, 2), stride=(2, 3), pads=(0, 0, 1, 1)),
    Window(kernel=(2, 3), dilation=(2, 2), pads=(2, 0, 0, 2)),
]


STRETCHED = [
    Window(kernel=(2, 2), stretch=(2, 2), pads=(1, 1, 1, 1)),
    Window(kernel=(3, 4), stretch=(3, 2), pads=(5, 0, -2, 4), dilation=(1, 2)),
    Window(kernel=(2, 3), stretch=(1, 4), pads=(-2, -3, 0, 2), dilation=(3, 2)),
    Window(kernel=(1, 1), stretch=(3, 3), pads=(1, 2, 3, 0)),  # most outputs are the bias alone
]


@pytest.mark.parametrize("window", WINDOWS + STRETCHED)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv_c10_to_c13_and_c23(window: Window, groups: int) -> None:
    rng = np.random.default_rng(groups)
    weight = rng.integers(-255, 256, (8, 4 // groups, *window.kernel)).astype(np.int16)
    bias = rng.integers(-5000, 5000, 8)
    scaling = scaling_of(np.exp2(rng.uniform(-14, -6, 8)))
    conv = Conv(
        name="n", output="y", input="x", weight=weight, bias=bias, scaling=scaling,
        window=window, groups=groups, low=-100, high=90,
    )  # fmt: skip
    size = window.output_size(*X.shape[1:])
    x = codes().astype(int) + 7
    acc = np.zeros((2, 8, *size), dtype=np.int64)
    for oy, ox, taps in positions(window):
        for c in range(8):
            first = c // (8 // groups) * (4 // groups)
            acc[:, c, oy, ox] = bias[c] + sum(
                int(weight[c, i, ky, kx]) * x[:, first + i, iy, ix]
                for ky, kx, iy, ix in taps
                for i in range(4 // groups)
            )
    got = conv.compute(tensors((8, *size)), {"x": codes()})
    assert np.array_equal(got, requantise(acc, scaling, 3, -100, 90))


@pytest.mark.parametrize("zero_point", [0, 3, -128])
def test_add_c20_to_c22(zero_point: int) -> None:
    add = Add(name="n", output="y", a="x", b="x", multipliers=(1 << 23, 1 << 22), shift=24)
    x = codes().astype(float) + 7
    # Quarters are exact in float64: the zero point stands inside the rounding.
    wanted = np.clip(np.rint(x / 2 + x / 4 + zero_point), -128, 127)
    got = add.compute(tensors(X.shape, zero_point), {"x": codes()})
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("window", WINDOWS)
def test_max_pool_c30_c31(window: Window) -> None:
    pool = MaxPool(name="n", output="y", input="x", window=window)
    size = window.output_size(*X.shape[1:])
    wanted = np.zeros((2, 4, *size), np.int8)
    x = codes()
    for oy, ox, taps in positions(window):
        wanted[:, :, oy, ox] = np.max([x[:, :, iy, ix] for _, _, iy, ix in taps], axis=0)
    assert np.array_equal(pool.compute(tensors((4, *size)), {"x": x}), wanted)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("window", WINDOWS)
def test_average_pool_c40_to_c43(window: Window, include_pad: bool, inside: bool) -> None:
    places = positions(window)
    full = window.kernel[0] * window.kernel[1]
    counts = {full if include_pad else len(taps) for _, _, taps in places}
    pool = AveragePool(
        name="n", output="y", input="x", window=window, counts=tuple(counts),
        scalings=tuple(scaling_of(1 / count) for count in counts),
        include_pad=include_pad, zero_point_inside=inside,
    )  # fmt: skip
    size = window.output_size(*X.shape[1:])
    wanted = np.zeros((2, 4, *size))
    x = codes().astype(int) + 7
    for oy, ox, taps in places:
        total = np.sum([x[:, :, iy, ix] for _, _, iy, ix in taps], axis=0)
        factor = np.float32(1) / np.float32(full if include_pad else len(taps))
        mean = total.astype(np.float32) * factor
        wanted[:, :, oy, ox] = np.rint(mean + 3) if inside else np.rint(mean) + 3
    got = pool.compute(tensors((4, *size)), {"x": codes()})
    assert np.array_equal(got, np.clip(wanted, -128, 127))


def test_rescale_c50_concat_c60_reshape_c70() -> None:
    x = codes()
    halved = np.clip(np.rint((x.astype(float) + 7) / 2) + 3, 0, 127)
    rescale = Rescale(name="n", output="y", input="x", scaling=scaling_of(0.5), low=0)
    assert np.array_equal(rescale.compute(tensors(X.shape), {"x": x}), halved)
    concat = Concat(
        name="n", output="y", parts=("x", "x"), scalings=(scaling_of(0.5), scaling_of(1.0)), low=0
    )
    same = np.clip(x.astype(int) + 10, 0, 127)
    wanted = np.concatenate([halved, same], axis=1)
    assert np.array_equal(concat.compute(tensors((8, 6, 5)), {"x": x}), wanted)
    reshape = Reshape(name="n", output="y", input="x")
    got = reshape.compute(tensors((120, 1, 1)), {"x": x})
    assert np.array_equal(got[:, :, 0, 0], x.reshape(2, -1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat_c60(axis: int) -> None:
    shape = list(X.shape)
    shape[axis] *= 2
    one, half = scaling_of(1.0), scaling_of(0.5)
    concat = Concat(name="n", output="y", parts=("x", "x"), scalings=(one, half), axis=axis)
    acc = codes().astype(np.int64) + 7
    parts = [requantise(acc, scaling, 3, -128, 127) for scaling in (one, half)]
    got = concat.compute(tensors((shape[0], shape[1], shape[2])), {"x": codes()})
    assert np.array_equal(got, np.concatenate(parts, axis=1 + axis))


@pytest.mark.parametrize("swap", [False, True])
def test_move_c65(swap: bool) -> None:
    rows, cols = (4, 0, 0, 3), (1, 4, 2, 2, 0)
    if not swap:
        rows, cols = (-1, *rows), (*cols, -1)
    move = Move(name="n", output="y", input="x", rows=rows, cols=cols, fill=99, swap=swap, high=80)
    x, wanted = codes(), np.zeros((2, 4, len(rows), len(cols)), np.int8)
    for y, row in enumerate(rows):
        for i, col in enumerate(cols):
            place = (col, row) if swap else (row, col)
            wanted[:, :, y, i] = np.minimum(x[:, :, *place] if min(place) >= 0 else 99, 80)
    got = move.compute(tensors(wanted.shape[1:], -7), {"x": x})  # pyright: ignore
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "codes of input tensor 'x' are missing"),
        (
            {"x": np.zeros((2, 4, 6, 5), np.float32)},
            "codes of input tensor 'x' must be int8 of shape [N, *(4, 6, 5)], not float32 of "
            "shape (2, 4, 6, 5)",
        ),
        (
            {"x": np.zeros((4, 6, 5), np.int8)},
            "codes of input tensor 'x' must be int8 of shape [N, *(4, 6, 5)], not int8 of shape "
            "(4, 6, 5)",
        ),
    ],
)
def test_run_rejects(inputs: dict[str, np.ndarray], message: str) -> None:
    edge = HostEdge(name="in", tensor="x", shape=(4, 6, 5), dtype="int8", steps=())
    graph = Graph(name="g", tensors=(X,), operators=(), inputs=(edge,), outputs=(edge,))
    with pytest.raises(ConfigError) as error:
        run(graph, inputs)
    assert str(error.value) == message
