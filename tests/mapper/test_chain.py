"""Gaps between chained steps: by hand, and as small as the interpreter's clock lets them be."""

from itertools import pairwise

import numpy as np
import pytest

from tests.e2e.layer_choices import CHANNELS
from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, chains, engine
from tests.mapper.test_lower import agree
from weft.machine import timing
from weft.machine.check.fault import PlanFault
from weft.machine.engine import Engine
from weft.machine.fields import step_chunks
from weft.machine.plan import Drain, Plan
from weft.mapper.build import build
from weft.mapper.chain import MIN_GAP
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window

POINT = Window(kernel=(1, 1))
SAME = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
REFUSED = "too early|still draining|still reading"

ENGINES = [(8, 4, 2, 2), (4, 8, 2, 2), (2, 16, 1, 1), (16, 16, 4, 4), (3, 5, 1, 1)]


def layers(seed: int = 0) -> Layers:
    return Layers(rng=np.random.default_rng(seed), wide_weights=False)


def at_once(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    """Steps are fetched in no time, so that the gaps alone say when they begin."""
    monkeypatch.setattr(timing, "FETCH_LATENCY", -step_chunks(plan.engine))


def with_gap(plan: Plan, index: int, gap: int | None) -> Plan:
    """The plan with another gap before one of its steps."""
    changed = plan.steps[index].replace(
        after=() if gap is None else (Drain(step=index - 1, gap=gap),)
    )
    return plan.replace(steps=(*plan.steps[:index], changed, *plan.steps[index + 1 :]))


def perceptron(machine: Engine, *channels: int) -> Plan:
    """Fully connected layers."""
    net = layers()
    tensor = net.input((channels[0], 1, 1))
    for n_out in channels[1:]:
        tensor = net.conv(tensor, n_out, 1, POINT)
    return build(net.graph("perceptron", [tensor]), ENDLESS, machine, 0)


def test_a_fully_connected_step_waits_for_its_last_words() -> None:
    """4 lanes, 8 columns, 2 results per cycle: a tile is 2 words, each written in 2 cycles."""
    plan = perceptron(engine(4, 8, 2), 64, 64, 8)
    first, second = plan.steps
    assert (first.loops.tiles, first.loops.taps, second.loops.taps) == (8, 16, 16)
    drain = (6 + 2 + 4 + 1) + 4 + (9 + 2)
    assert timing.drain_cycles(plan.engine, first) == drain
    # The last two words are written 2 cycles before the drain's end and at its end; they are read
    # with taps 14 and 15, in cycles 5 + gap + 14 and 5 + gap + 15.
    assert second.gap == drain + 1 - (5 + 15) == 9
    # With 15 words, the last tile's first two groups are all that is written of it.
    (_, second) = perceptron(engine(4, 8, 2), 64, 60, 8).steps
    assert second.gap == drain - 2 + 1 - (5 + 14)


def test_a_short_step_waits_for_the_output_path() -> None:
    """A 1x1 step of one word: its first tile is complete long before one that begins at once."""
    net = layers()
    source = net.input((4, 9, 9))
    net.conv(source, 4, 1, POINT)
    plan = build(net.graph("fork", [net.conv(source, 4, 1, POINT)]), ENDLESS, engine(4, 4, 2), 0)
    # Told of it 4 cycles early, that is 5 + gap + 0 + 13 - 4 cycles after the last tap; the drain
    # has 13 + 2 + 11, and the output path changes over two cycles after it.
    assert [step.gap for step in plan.steps] == [None, 26 + 2 - (5 + 0 + 13 - 4)]


def test_a_long_step_begins_as_soon_as_the_front_is_free() -> None:
    net = layers()
    tensor = net.conv(net.input((4, 6, 6)), 8, 1, SAME)
    plan = build(net.graph("pair", [net.conv(tensor, 4, 1, SAME)]), ENDLESS, engine(4, 4, 4), 0)
    assert [step.gap for step in plan.steps] == [None, MIN_GAP]


def test_a_step_that_reads_the_last_word_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It still wins cycles: it may begin three before the word is written, and reads it in one."""
    plan = perceptron(engine(4, 4, 2), 4, 4, 4)
    at_once(monkeypatch, plan)
    first, second = timing.plan_timings(plan)
    assert second.begin == first.end - 3


def test_which_steps_chain() -> None:
    """Steps of the array after one another, unless the gap is beyond the counter."""
    net = layers()
    tensor = net.conv(net.input((4, 2, 2)), 4, 1, POINT)
    tensor = net.conv(tensor, 4, 1, POINT)
    tensor = net.rescale(net.rescale(tensor))
    tensor = net.conv(net.conv(tensor, 4, 1, POINT), 4, 1, POINT)
    plan = build(net.graph("some", [tensor]), ENDLESS, engine(4, 4, 2), 0)
    assert [step.gap is not None for step in plan.steps] == [False, True, *[False] * 3, True]
    large = engine(64, 64)
    assert [step.gap for step in perceptron(large, 8, 64, 64).steps] == [None, None]


def pair_of_convolutions(seed: int) -> Graph:
    """Two convolutions, the second one of the first's or (seldom) of its input."""
    net = layers(seed)
    rng = net.rng
    size = int(rng.integers(1, 8))
    source = net.input((int(net.pick(CHANNELS)), size, int(rng.integers(1, 8))))
    middle = net.conv(source, int(net.pick(CHANNELS)), 1, net.window(source, 3))
    source = source if rng.random() < 0.2 else middle
    last = net.conv(source, int(net.pick(CHANNELS)), 1, net.window(source, 3))
    return net.graph(f"pair-{seed}", [last])


@pytest.mark.parametrize("sizes", ENGINES, ids=str)
def test_gaps_are_the_smallest(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """One cycle less, and the clock finds what goes wrong."""
    found: list[int] = []
    for seed in range(40):
        graph = pair_of_convolutions(seed)
        plan = build(graph, ENDLESS, engine(*sizes), 0)
        at_once(monkeypatch, plan)
        agree(graph, plan, 1)
        gap = plan.steps[1].gap
        assert gap is not None
        found.append(gap)
        assert timing.cycles(plan) < timing.cycles(with_gap(plan, 1, None))
        with pytest.raises(PlanFault, match=REFUSED):
            agree(graph, with_gap(plan, 1, gap - 1), 1)
    assert len(set(found)) > 5


@pytest.mark.parametrize("sizes", ENGINES, ids=str)
def test_chained_steps_win_cycles(sizes: tuple[int, ...]) -> None:
    plan = perceptron(engine(*sizes), 128, 100, 128, 70, 128)
    assert {"fully connected", "after a chained step"} <= chains(plan)
    alone = plan.replace(steps=tuple(step.replace(after=()) for step in plan.steps))
    assert timing.cycles(plan) < timing.cycles(alone)
    begins = [time.begin for time in timing.plan_timings(plan)]
    assert all(a < b for a, b in pairwise(begins))


def test_parts_of_a_concat_are_complete_before_they_are_read() -> None:
    """The array copies the second part to an odd channel; what reads both chains to that copy."""
    net = layers()
    a, b = net.input((3, 4, 5)), net.input((70, 4, 5))
    graph = net.graph("concat", [net.conv(net.concat([a, b]), 8, 1, SAME)])
    plan = build(graph, ENDLESS, engine(8, 4, 2, 2), 0)
    assert [step.gap is not None for step in plan.steps] == [False, False, True]
    agree(graph, plan)
