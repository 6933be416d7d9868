"""Rolling depthwise steps: chosen only where they take fewer cycles, and right where they are."""

import itertools

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, engine
from tests.mapper.test_lower import agree
from weft.machine.plan import Plan
from weft.mapper.build import build
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window


def depthwise(window: Window, width: int = 8) -> Graph:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = layers.input((5, 7, width))
    return layers.graph("depthwise", [layers.conv(source, 5, 5, window)])


def made(window: Window, taps: int, width: int = 8) -> Plan:
    return build(depthwise(window, width), ENDLESS, engine(4, 2, 2, 2, taps), 0)


def row(window: Window, taps: int, width: int = 8) -> tuple[bool, int, int]:
    """Whether it rolls, its leading tiles, and columns read per kernel row and word."""
    (step,) = made(window, taps, width).steps
    loops = step.loops
    return step.output.rolling, loops.lead, loops.cols * loops.kernel_cols


SAME = Window(kernel=(3, 3), pads=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("window", "taps", "width", "expected"),
    [
        (SAME, 1, 8, (False, 0, 24)),  # sums of one column only
        (SAME, 2, 8, (False, 0, 24)),  # a column belongs to three
        (SAME, 3, 8, (True, 2, 10)),
        (SAME, 4, 8, (True, 2, 10)),
        (SAME.replace(stride=(1, 2)), 1, 8, (False, 0, 12)),
        (SAME.replace(stride=(1, 2)), 2, 8, (True, 1, 10)),  # a column belongs to two
        (SAME.replace(stride=(2, 1)), 3, 8, (True, 2, 10)),  # rows do not matter
        (SAME.replace(stride=(1, 3)), 3, 9, (False, 0, 9)),  # every column is read once anyway
        (SAME.replace(stride=(1, 4)), 3, 9, (False, 0, 9)),  # some columns are never read
        (SAME.replace(dilation=(1, 2)), 3, 8, (False, 0, 18)),
        (SAME.replace(dilation=(2, 1)), 3, 8, (True, 2, 10)),
        (Window(kernel=(3, 1)), 3, 8, (False, 0, 8)),
        (Window(kernel=(1, 3)), 3, 3, (False, 0, 3)),  # one output: its window is all there is
        (Window(kernel=(1, 3)), 3, 4, (True, 2, 4)),  # two outputs: 4 columns instead of 6
        (Window(kernel=(1, 2)), 3, 3, (True, 1, 3)),
        (Window(kernel=(1, 5)), 3, 8, (False, 0, 20)),
        (Window(kernel=(1, 5), stride=(1, 2)), 3, 9, (True, 2, 10)),
        (Window(kernel=(1, 3), stride=(1, 2)), 3, 3, (False, 0, 3)),  # 4 columns instead of 3
    ],
)
def test_rolling_where_it_takes_fewer_cycles(
    window: Window, taps: int, width: int, expected: tuple[bool, int, int]
) -> None:
    assert row(window, taps, width) == expected
    graph = depthwise(window, width)
    agree(graph, made(window, taps, width))


WINDOWS = [
    Window(kernel=(2, kernel), stride=(1, stride), pads=(1, left, 0, right))
    for kernel, stride, left, right in itertools.product((2, 3, 4), (1, 2, 3), (0, 1), (0, 2))
    if max(left, right) < kernel
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_all_windows_agree_and_never_take_longer(window: Window) -> None:
    plain = made(window, 1).steps[0].loops
    for taps in (2, 3, 4):
        plan = made(window, taps)
        (step,) = plan.steps
        rolled = step.loops
        assert rolled.n_tiles * rolled.taps <= plain.n_tiles * plain.taps
        assert step.output.rolling == (rolled.n_tiles * rolled.taps < plain.n_tiles * plain.taps)
        agree(depthwise(window), plan)


def test_pools_and_copies_do_not_roll() -> None:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = layers.input((5, 7, 8))
    graph = layers.graph(
        "pools", [layers.max_pool(source), layers.rescale(source), layers.add(source, source)]
    )
    plan = build(graph, ENDLESS, engine(4, 2, 2, 2, 3), 0)
    assert not any(step.output.rolling or step.loops.lead for step in plan.steps)
    assert plan.engine.memories.vector == 1


def test_holds_cover_the_results() -> None:
    """Five of the lanes' groups leave one per cycle, however few taps a tile has."""
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    graph = layers.graph("copy", [layers.rescale(layers.input((9, 3, 3)))])
    for lanes, per_cycle, hold in ((8, 1, 7), (8, 8, 0), (8, 4, 1), (16, 1, 8), (16, 4, 2)):
        (step,) = build(graph, ENDLESS, engine(lanes, 4, 1, per_cycle), 0).steps
        groups = min(lanes, -(-9 // per_cycle) * per_cycle) // per_cycle
        assert (step.loops.hold, step.write.groups_per_tile) == (hold, groups)
        assert step.write.groups_last == (-(-9 // per_cycle) - 1) % groups + 1
