"""Phases: together they are the transposed convolution, and no tap of them is wasted."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, engine
from weft.engines.common.phases import phases
from weft.machine import timing
from weft.mapper.build import build
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.reference import run
from weft.nn.ir.window import Window

UP = Window(kernel=(4, 4), stretch=(2, 2), pads=(2, 2, 2, 2))


def network(window: Window, channels: int = 3, n_out: int = 2) -> Graph:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = layers.input((channels, 5, 4))
    return layers.graph("up", [layers.conv(source, n_out, 1, window)])


def only(graph: Graph) -> Conv:
    (conv,) = graph.operators
    assert isinstance(conv, Conv)
    return conv


@pytest.mark.parametrize(
    ("window", "kernels"),
    [
        (UP, [(2, 2)] * 4),
        (UP.replace(kernel=(3, 3)), [(2, 2), (2, 1), (1, 2), (1, 1)]),
        (UP.replace(kernel=(1, 1)), [(1, 1)] * 4),  # three of them without a weight
        (UP.replace(kernel=(2, 2), dilation=(2, 2)), [(2, 2), (1, 1), (1, 1), (1, 1)]),
        (UP.replace(stretch=(1, 1)), [(4, 4)]),
    ],
    ids=str,
)
def test_kernels(window: Window, kernels: list[tuple[int, int]]) -> None:
    conv = only(network(window))
    found = sorted((phase.conv.window.kernel for phase in phases(conv, 5, 4)), reverse=True)
    assert found == sorted(kernels, reverse=True)


@pytest.mark.parametrize("seed", range(30))
def test_together_they_are_the_convolution(seed: int) -> None:
    layers = Layers(rng=np.random.default_rng(seed), wide_weights=False)
    source = layers.image(3)
    window = layers.stretched(source)
    target = layers.conv(source, 2, 1, window)
    graph = layers.graph("up", [target])
    x = layers.rng.integers(-128, 128, (2, *source.shape)).astype(np.int8)
    wanted = run(graph, {source.name: x})[target.name]
    found = np.zeros(wanted.shape, np.int16) + 999
    for phase in phases(only(graph), *source.shape[1:]):
        size = phase.conv.window.output_size(*source.shape[1:])
        output = target.replace(shape=(2, *size))
        part = graph.replace(tensors=(source, output), operators=(phase.conv,))
        rows, cols = (slice(f, None, s) for f, s in
                      zip((phase.y0, phase.x0), window.stretch, strict=True))  # fmt: skip
        assert (found[:, :, rows, cols] == 999).all()
        found[:, :, rows, cols] = run(part, {source.name: x})[target.name]
    assert np.array_equal(found, wanted)


def test_a_tap_is_read_for_a_weight_that_is_used() -> None:
    """Four phases of 2 x 2 taps: a quarter of what the stretched image would take."""
    plan = build(network(UP), ENDLESS, engine(4, 4, 4, 4, 1), 0)
    _, height, width = plan.outputs.ports[0].shape
    assert len(plan.steps) == 4
    assert sum(timing.issue_cycles(step) for step in plan.steps) == height * width * 2 * 2
