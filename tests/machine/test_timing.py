"""The cycle model, against numbers worked out by hand; simulations hold it to the hardware."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, conv_graph, engine
from weft.machine import timing
from weft.machine.engine import Engine
from weft.machine.fields import step_chunks
from weft.machine.plan import Drain, Loops, Rows, Step, VectorOp
from weft.mapper.build import build
from weft.mapper.search import plan
from weft.nn.ir.window import Window


def loops(rows: int, cols: int, tiles: int, kernel: int, words: int, hold: int) -> Loops:
    return Loops(
        rows=rows,
        cols=cols,
        tiles=tiles,
        kernel_rows=kernel,
        kernel_cols=kernel,
        words=words,
        hold=hold,
    )


def test_one_convolution_by_hand() -> None:
    """4 lanes, 2 columns, 1 requantise lane: 5 x 5 pixels, 2 tiles of 9 taps of 2 words each."""
    graph = conv_graph((8, 7, 7), 4, Window(kernel=(3, 3)))
    made = plan(graph, ENDLESS, lanes=4, columns=2, requant_lanes=1)
    (step,) = made.steps
    assert step.loops.counts == (5, 5, 2, 3, 3, 2)
    assert (step.loops.taps, step.loops.hold, step.write.groups_per_tile) == (18, 0, 2)
    issue = 5 * 5 * 2 * 18
    assert timing.issue_cycles(step) == issue == timing.floor_cycles(step)
    fetch = 3 + step_chunks(made.engine)
    array = 6 + 2 + 4 + 1  # lane data, multiplier, one register per row, accumulator
    requantise = 9 + 2
    assert timing.cycles(made) == 1 + fetch + 3 + issue + array + 2 + requantise
    assert timing.mac_floor(made.engine, made.macs) == 4 * 8 * 9 * 25 // 8


def test_hold_where_results_leave_slower_than_taps_arrive() -> None:
    """1 x 1 kernel, 1 word, 8 columns one at a time: 1 cycle of work, 7 idle, last tile none."""
    graph = conv_graph((4, 3, 1), 16, Window(kernel=(1, 1)))
    (step,) = plan(graph, ENDLESS, lanes=4, columns=8, requant_lanes=1).steps
    assert (step.loops.taps, step.loops.hold, step.loops.n_tiles) == (1, 7, 6)
    assert timing.issue_cycles(step) == 5 * 8 + 1
    assert timing.floor_cycles(step) == 6
    assert step.bound == "requantise"


def begins_and_rows(machine: Engine, steps: tuple[Step, ...]) -> list[tuple[int, tuple[int, ...]]]:
    return [(times.begin, times.rows) for times in timing.timings(machine, steps, ())]


@pytest.mark.parametrize("act_words", [16, 1 << 90], ids=["short-program", "long-program"])
def test_a_step_waits_for_the_one_before(act_words: int) -> None:
    """The next step is fetched while the one before runs, and starts when both are done."""
    graph = conv_graph((2, 3, 2), 2, Window(kernel=(2, 2)))
    made = plan(graph, ENDLESS, lanes=2, columns=2, requant_lanes=1)
    memories = made.engine.memories.replace(act=(act_words, 1))
    machine = made.engine.replace(memories=memories)
    (step,) = made.steps
    (begin, rows), (second_begin, second_rows) = begins_and_rows(machine, (step, step))
    fetch = 3 + step_chunks(machine)
    drain = (6 + 2 + 2 + 1) + 2 + (9 + 2)
    taps = step.loops.taps
    assert begin == 1 + fetch
    assert rows == (begin + 3 + taps + drain, begin + 3 + 2 * taps + drain)
    assert (begin + fetch > rows[-1]) == (act_words > 16)
    assert second_begin == max(begin + fetch, rows[-1])
    assert second_rows == tuple(row - begin + second_begin for row in rows)


def a_pair(window: Window) -> tuple[Engine, tuple[Step, ...]]:
    """A 3x3 convolution of 4 x 6 rows on the array, then a depthwise one that follows it."""
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = layers.input((4, 6, 4))
    first = layers.conv(source, 4, 1, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    graph = layers.graph("pair", [layers.conv(first, 4, 4, window)])
    made = build(graph, ENDLESS, engine(4, 4, 4, 4), 0)
    assert made.steps[1].follow is not None
    return made.engine, made.steps


def test_a_following_step_waits_for_rows_by_hand() -> None:
    """36 cycles a row on the array; a row of the 2x1 window takes 8 and waits for every row."""
    machine, steps = a_pair(Window(kernel=(2, 1)))
    (begin, rows), (second_begin, second_rows) = begins_and_rows(machine, steps)
    fetch = 3 + step_chunks(machine)
    array, vector = (6 + 2 + 4 + 1) + 1 + (9 + 2), (6 + 2 + 1) + 1 + (9 + 2)
    assert begin == 1 + fetch
    assert rows == tuple(begin + 3 + 36 * (row + 1) + array for row in range(6))
    assert second_begin == begin + fetch  # as soon as it is fetched
    # Two rows for the first, one more for each; seen three cycles after the last write.
    assert second_rows == tuple(rows[row + 1] + 3 + 8 + vector for row in range(5))


def test_a_following_step_that_is_slower_than_its_rows() -> None:
    """A 3x3 window takes as long as a row of the array: it waits for the first two rows only."""
    machine, steps = a_pair(Window(kernel=(5, 3), pads=(2, 1, 2, 1)))
    (_, rows), (_, second_rows) = begins_and_rows(machine, steps)
    assert steps[1].follow == Rows(step=0, need=3)
    first = rows[2] + 3 + 60 + (6 + 2 + 1) + 1 + (9 + 2)
    assert second_rows == tuple(first + 60 * row for row in range(6))


def test_a_following_step_never_waits_for_rows_that_do_not_come() -> None:
    """The last rows reach into the padding; strides ask for two rows at a time."""
    machine, steps = a_pair(Window(kernel=(3, 1), stride=(2, 1), pads=(0, 0, 3, 0)))
    (_, rows), (_, second_rows) = begins_and_rows(machine, steps)
    vector = (6 + 2 + 1) + 1 + (9 + 2)
    assert len(second_rows) == 4
    seen = [rows[2], rows[4], rows[5]]
    assert second_rows[:3] == tuple(row + 3 + 12 + vector for row in seen)
    assert second_rows[3] == second_rows[2] + 12


def test_holds_between_the_rows_of_a_following_step() -> None:
    """One result per cycle: each of the 4 tiles of a row takes 4 cycles, a tap and three idle."""
    machine, steps = a_pair(Window(kernel=(1, 1)))
    machine = machine.replace(vector_requant=1)
    first, second = steps
    second = second.replace(
        loops=second.loops.replace(hold=3), write=second.write.replace(groups_per_tile=4)
    )
    (_, rows), (_, second_rows) = begins_and_rows(machine, (first, second))
    assert second.loops.row_cycles == 3 * 4 + 1
    drain = (6 + 2 + 1) + 4 + (9 + 2)
    assert second_rows == tuple(row + 3 + 13 + drain for row in rows)
    # Rows that are there already follow each other without a gap, the hold included.
    early = first.replace(loops=first.loops.replace(kernel_cols=1, kernel_rows=1))
    (_, rows), (begin, second_rows) = begins_and_rows(machine, (early, second))
    assert np.diff(rows).tolist() == [4] * 5
    assert np.diff(second_rows).tolist() == [16] * 5
    assert second_rows[0] == max(begin + 5, rows[0] + 3) + 13 + drain


def test_the_third_step_waits_for_its_own_unit_only_if_it_follows() -> None:
    machine, (first, second) = a_pair(Window(kernel=(2, 1)))
    third = first.replace(after=(Rows(step=1, need=1),))
    times = timing.timings(machine, (first, second, third), ())
    assert times[2].begin == times[0].end < times[1].end
    times = timing.timings(machine, (first, second, first), ())
    assert times[2].begin == times[1].end


def chained(before: Step, step: Step, *more: Step) -> list[timing.Timing]:
    """Times of steps whose fetches never last longer than the steps."""
    machine = engine(4, 4, 4, 4)
    assert timing.issue_cycles(before) > 3 + step_chunks(machine)
    return timing.timings(machine, (before, step, *more), ())


def test_a_chained_step_begins_after_the_last_tap_of_the_one_before() -> None:
    _, (first, second) = a_pair(Window(kernel=(2, 1)))
    before, after = chained(first, first.replace(after=(Drain(step=0, gap=5),)))
    assert before.issued == before.begin + 3 + 6 * 36
    assert before.end == before.issued + (6 + 2 + 4 + 1) + 1 + (9 + 2)
    assert after.begin == before.issued + 1 + 5
    assert after.issued == after.begin + 3 + 6 * 36
    # A gap longer than the wait for the last result does not count.
    before, after = chained(first, first.replace(after=(Drain(step=0, gap=50),)))
    assert after.begin == before.end
    # It waits for the other unit, and is fetched first.
    times = chained(
        second.replace(after=()),
        first.replace(after=(Rows(step=0, need=1),)),
        first.replace(after=(Drain(step=1, gap=1),)),
    )
    assert times[2].begin == times[1].issued + 2 > times[0].end
    short = first.replace(loops=first.loops.replace(rows=1, cols=1, kernel_rows=1))
    short = (short, short.replace(after=(Drain(step=0, gap=1),)))
    before, after = timing.timings(engine(4, 4, 4, 4), short, ())
    assert after.begin == 2 * before.begin - 1


def test_one_chained_step_drains_at_a_time() -> None:
    """The third step waits for the first one's last result, however short the second one is."""
    _, (first, _) = a_pair(Window(kernel=(2, 1)))
    machine = engine(64, 4, 4, 4)  # a drain much longer than a fetch
    short = first.replace(loops=first.loops.replace(rows=1, cols=1))
    second, third = (short.replace(after=(Drain(step=i, gap=1),)) for i in (0, 1))
    times = timing.timings(machine, (first, second, third), ())
    fetch = 3 + step_chunks(machine)
    assert times[1].begin == times[0].issued + 2
    assert max(times[1].begin + fetch, times[1].issued + 2) < times[0].end
    assert times[2].begin == times[0].end + 1


@pytest.mark.parametrize("gate", [False, True])
def test_a_product_by_hand(gate: bool) -> None:
    """Two cycles for each word of each pixel, whatever is multiplied."""
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    a = layers.input((7, 3, 5))
    b = layers.input((7, 1, 1) if gate else a.shape)
    made = build(layers.graph("product", [layers.mul(a, b)]), ENDLESS, engine(4, 4, 4, 4), 0)
    (step,) = made.steps
    assert (step.read.stay is not None) == gate
    drain = (6 + 2 + 1) + 1 + (9 + 2)
    fetch = 3 + step_chunks(made.engine)
    assert timing.cycles(made) == 1 + fetch + 3 + 3 * 5 * 2 * 2 + drain


def test_bound() -> None:
    graph = conv_graph((4, 4, 4), 4, Window(kernel=(2, 2)))
    (step,) = plan(graph, ENDLESS, lanes=4, columns=4, requant_lanes=4).steps
    assert step.bound == "mac"
    assert step.replace(vector_op=VectorOp.MAX).bound == "read"
    assert step.replace(loops=loops(1, 1, 1, 1, 1, 3)).bound == "requantise"
