"""Folding: the folded convolution on the folded input is the original convolution."""

import itertools

import numpy as np
import pytest

from tests.mapper.support import codes, conv_graph, edge
from weft.machine.layout import fold_codes
from weft.mapper.fold import fold, foldable, options
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

KERNELS = [(1, 3), (3, 1), (2, 2), (3, 3), (1, 1), (5, 2)]
STRIDES = [(1, 1), (2, 1), (2, 3)]
PADS = [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0), (1, 0, 0, 2)]
DILATIONS = [(1, 1), (2, 1), (1, 2)]
WINDOWS = [
    Window(kernel=kernel, stride=stride, pads=pads, dilation=dilation)
    for kernel, stride, pads, dilation in itertools.product(KERNELS, STRIDES, PADS, DILATIONS)
]


@pytest.mark.parametrize("both", [False, True], ids=["columns", "rows-and-columns"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_folded_convolution_is_the_original(channels: int, both: bool) -> None:
    shape = (channels, 9, 8)
    given = codes(shape)
    for seed, window in enumerate(WINDOWS):
        graph = conv_graph(shape, 4, window, seed=seed)
        (conv,) = graph.operators
        assert isinstance(conv, Conv)
        folded = fold(graph.tensor("x"), conv, both)
        stored = fold_codes(folded.fold, given)
        assert stored.shape[1:] == folded.tensor.shape
        assert folded.conv.window.kernel == (1 if both else window.kernel[0], 1)
        changed = graph.replace(
            tensors=(folded.tensor, graph.tensor("y")), operators=(folded.conv,)
        )
        expected = run(graph, {"x": given})["y"]
        assert len(np.unique(expected)) > 8, "the test should see more than a few codes"
        np.testing.assert_array_equal(run(changed, {"x": stored})["y"], expected, str(window))


def test_channel_order_is_row_column_channel() -> None:
    graph = conv_graph((2, 3, 3), 1, Window(kernel=(2, 2)))
    (conv,) = graph.operators
    assert isinstance(conv, Conv)
    given = codes((2, 3, 3), 1)
    stored = fold_codes(fold(graph.tensor("x"), conv, True).fold, given)[0]
    for row, col, channel in np.ndindex(2, 2, 2):
        plane = given[0, channel, row : row + 2, col : col + 2]
        np.testing.assert_array_equal(stored[(row * 2 + col) * 2 + channel], plane)


def taps(graph: Graph, lanes: int) -> list[int]:
    """Taps per pixel of each way to store the input of a one-convolution network."""
    result = []
    for way in options(graph, "x", lanes):
        (conv,), tensor = graph.operators, graph.tensor("x")
        if way is not None:
            conv, tensor = way.conv, way.tensor
        assert isinstance(conv, Conv)
        kh, kw = conv.window.kernel
        result.append(kh * kw * -(-tensor.shape[0] // lanes))
    return result


@pytest.mark.parametrize(
    ("channels", "kernel", "lanes", "expected"),
    [
        (3, (3, 3), 16, [9, 3, 2]),
        (3, (3, 3), 32, [9, 3, 1]),
        (1, (3, 3), 4, [9, 3]),  # folding rows too needs ceil(9 / 4) = 3 taps: no gain
        (1, (3, 3), 16, [9, 3, 1]),
        (4, (3, 3), 4, [9]),  # words are full as they are
        (3, (1, 3), 16, [3, 1]),
        (3, (3, 1), 16, [3, 1]),
        (3, (1, 1), 16, [1]),
    ],
)
def test_options_take_ever_fewer_taps(
    channels: int, kernel: tuple[int, int], lanes: int, expected: list[int]
) -> None:
    assert taps(conv_graph((channels, 6, 6), 2, Window(kernel=kernel)), lanes) == expected


def test_not_foldable() -> None:
    graph = conv_graph((2, 4, 4), 2, Window(kernel=(3, 3)))
    assert foldable(graph, "x") is graph.operators[0]
    shown = graph.replace(outputs=(*graph.outputs, edge("x")))
    assert foldable(shown, "x") is None
    other = Rescale(name="r", output="z", input="x", scaling=scaling_of(1.0))
    twice = graph.replace(
        tensors=(*graph.tensors, Tensor(name="z", shape=(2, 4, 4), scale=1.0, zero_point=0)),
        operators=(*graph.operators, other),
        outputs=(*graph.outputs, edge("z")),
    )
    assert foldable(twice, "x") is None
    assert foldable(graph, "y") is None
