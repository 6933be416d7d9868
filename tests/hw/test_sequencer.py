"""The address generator against a plain nest of loops, cycle by cycle, for both units' orders."""

import math
import random
from itertools import pairwise
from typing import Any

import pytest

from tests.hw.sequencer_bench import (
    NAMES,
    TILE_FLAGS,
    Checker,
    check,
    random_counts,
    random_step,
    row_cycles,
    step_of,
    tiles,
    unpaced,
)
from tests.hw.support import SMALL, SMALL_COMPACT, simulate, small_params
from weft.engines.overlapped.spec import OverlappedSpec
from weft.hw.sequencer import FLAGS
from weft.hw.step import front_layout
from weft.machine import plan, timing
from weft.machine.engine import Memories, Unit
from weft.machine.fields import FRONT, values


@pytest.mark.parametrize("gap", [0, 1, 7])
def test_random_steps(gap: int) -> None:
    rng = random.Random(gap)
    params = small_params(act_words=(500, 3), weight_words=300)
    check(params, [random_step(rng, params, 120) for _ in range(50)], gap)


@pytest.mark.parametrize("compact", [False, True])
def test_first_taps_that_stay(compact: bool) -> None:
    """A tile's first tap lies elsewhere, and only tiles move it on."""
    rng = random.Random(3)
    base = SMALL_COMPACT if compact else SMALL
    params = small_params(base, act_words=(500, 3), weight_words=300, products=True)
    names = {str(name) for name, _ in front_layout(params)}
    steps = []
    for _ in range(40):
        step = {k: v for k, v in random_step(rng, params, 120).items() if k in names}
        steps.append(step | {"stay": int(rng.random() < 0.7), "stay_base": rng.randrange(500)})
    check(params, steps, units=(Unit.ARRAY,) if compact else (Unit.VECTOR,))


@pytest.mark.parametrize("level", NAMES)
def test_one_loop(level: str) -> None:
    """Each loop alone, of 1, 2 and 3 rounds, with and without a hold."""
    steps = []
    for count in (1, 2, 3):
        for hold in (0, 1, 3):
            counts = tuple(count if name == level else 1 for name in NAMES)
            moves = {f"act_{name}": 3 if name == level else 50 for name in NAMES}
            steps.append(step_of(counts, act_base=7, weight_base=5, hold=hold, **moves))
    check(small_params(), steps)


@pytest.mark.parametrize("level", NAMES)
def test_most_rounds(level: str) -> None:
    """A loop of 4095 rounds over an image of 4096."""
    counts = tuple(4095 if name == level else 1 for name in NAMES)
    params = small_params(act_words=(4096, 1))
    move = {f"act_{level}": 1, "height": 4096, "width": 4096}
    step = step_of(counts, y0=-1, x0=-1, y_row=1, x_col=1, y_kernel_row=1, x_kernel_col=1, **move)
    unit = Unit.ARRAY if level in ("row", "tile", "word") else Unit.VECTOR
    check(params, [step], units=(unit,))


@pytest.mark.parametrize("origin", [-4096, -1, 0, 1, 4095, 8191])
def test_padding(origin: int) -> None:
    """Windows that begin before, in and behind the image, on both axes."""
    counts = (3, 3, 1, 2, 2, 1)
    steps = [
        step_of(counts, y0=y0, x0=x0, y_row=2, x_col=1, y_kernel_row=1, x_kernel_col=2, **size)
        for y0, x0 in ((origin, 0), (0, origin), (min(origin, 8180), min(origin, 8180)))
        for size in ({"height": 1, "width": 1}, {"height": 4096, "width": 3})
        if y0 + 5 <= 8191 and x0 + 4 <= 8191
    ]
    check(small_params(), steps)


@pytest.mark.parametrize("lead", [0, 1, 2, 3])
def test_lead(lead: int) -> None:
    """Tiles that only fill the vector unit's sums, at the start of every word of every row."""
    for n_tiles in (1, 3):
        for taps in (1, 2):
            steps = [
                step_of((2, lead + extra, n_tiles, 1, taps, 1), lead=lead, hold=hold, act_col=1)
                for extra in (1, 2, 4)
                for hold in (0, 2)
            ]
            check(small_params(), steps)


def test_hold_does_not_outlive_its_step() -> None:
    """A step may start while the last tile's hold would still count."""
    steps = [step_of((1, 2, 1, 1, 1, 2), hold=3), step_of((2, 1, 1, 1, 1, 1), act_row=9)]
    check(small_params(), steps * 2, gap=0)
    check(small_params(), steps * 2, gap=2)


def test_flags() -> None:
    """Every flag is looked at above."""
    names = {"active", "first", "emit", "fresh", *TILE_FLAGS}
    assert {name for name, _ in FLAGS} == names


# ---- Steps that follow.

ENGINE = OverlappedSpec(
    lanes=4, columns=4, array_requant=2, vector_requant=1,
    memories=Memories(act=(300, 1), weight=50, vector=50),
)  # fmt: skip


def plan_step(
    rng: random.Random, unit: Unit, counts: tuple[int, ...], hold: int, **fields: Any
) -> plan.Step:
    rows, cols, n_tiles, kernel_rows, kernel_cols, words = counts
    loops = plan.Loops(
        rows=rows, cols=cols, tiles=n_tiles, kernel_rows=kernel_rows, kernel_cols=kernel_cols,
        words=words, hold=hold, lead=rng.randrange(cols),
    )  # fmt: skip
    moves = plan.Moves(**{level: rng.randrange(9) for level in NAMES})
    y = plan.Axis(origin=-1, move=fields.pop("y_move", 1), kernel_move=1, size=5)
    x = plan.Axis(origin=-1, move=1, kernel_move=1, size=4)
    return plan.Step(
        name="s", operator="o", unit=unit, vector_op=plan.VectorOp.MAC, loops=loops,
        read=plan.Read(bank=0, base=0, moves=moves, y=y, x=x, pad_value=0),
        write=plan.Write(bank=1, base=0, group=0, col=1, row=1, groups_last=1, first_lanes=1,
                         groups_per_tile=rng.randrange(1, 3)),
        output=plan.Output(zero_point=0, low=0, high=0),
        weight_base=rng.randrange(9), param_base=0, **fields,
    )  # fmt: skip


def follow_cycles(
    unit: Unit, step: plan.Step, begin: int, ends: tuple[int, ...]
) -> dict[int, dict[str, int]]:
    """Taps by the cycle of their issue; ``ends``: cycle of each row's last tap."""
    fields = values(FRONT, step)
    taps = {}
    for row, end in zip(tiles(ENGINE, unit, fields), ends, strict=True):
        cycles = row_cycles(row, step.loops.hold)
        first = end + 1 - len(cycles)
        assert first >= begin + 6  # the start after two, three cycles to settle and to issue
        taps |= {first + i: tap for i, tap in enumerate(cycles) if tap is not None}
    return taps


async def follow_once(ctx: Any, checker: Checker, before: plan.Step, step: plan.Step) -> int:
    """Runs ``step`` beside ``before`` as the cycle model has it; returns how many rows waited."""
    written, times = timing.timings(ENGINE, (before, step), ())
    drain = timing.unit_latency(ENGINE, step.unit) + step.write.groups_per_tile
    drain += timing.requant_latency(ENGINE)
    ends = tuple(row - drain for row in times.rows)
    taps = follow_cycles(checker.unit, step, times.begin, ends)
    names = {str(name) for name, _ in front_layout(checker.params)}
    fields = {name: value for name, value in values(FRONT, step).items() if name in names}
    ctx.set(checker.dut.step, fields)
    for t in range(times.begin + 2, max(taps) + 1):
        ctx.set(checker.dut.start, t == times.begin + 2)
        # Counted from the cycle after a row's last write; idle in the cycle of the step's last one.
        checker.other(ctx, sum(row < t for row in written.rows), int(t >= written.end))
        await checker.cycle(ctx, taps.get(t), f"{before}, {step}, {ends}, cycle {t}")
    pitch = step.loops.row_cycles + step.loops.hold
    return sum(b - a > pitch for a, b in pairwise(ends))


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("seed", range(4))
def test_follow(unit: Unit, seed: int) -> None:
    """Rows wait for the rows they read, to the cycle that ``machine.timing`` predicts."""
    rng = random.Random(seed)
    own = Unit[unit.name]
    other = Unit.VECTOR if own is Unit.ARRAY else Unit.ARRAY
    trials = []
    while len(trials) < 40:
        hold = rng.choice([0, 0, 1, 3])
        rows = rng.randrange(1, 7)
        counts = (rows, *random_counts(rng, 12)[1:])
        before = plan_step(rng, other, (rng.randrange(1, 9), *random_counts(rng, 30)[1:]), hold)
        after = (plan.Rows(step=0, need=rng.randrange(-1, 5)),)
        step = plan_step(rng, own, counts, rng.choice([0, 0, 1, 3]), after=after,
                         y_move=rng.choice([0, 1, 1, 2, 3]))  # fmt: skip
        if step.loops.row_cycles >= timing.MIN_FOLLOW_CYCLES:
            trials.append((before, step))
    checker = Checker(ENGINE, unit)
    waited = 0

    async def bench(ctx: Any) -> None:
        nonlocal waited
        plain = step_of((3, 1, 1, 1, 1, 1), act_row=2)
        cycles = unpaced(checker.params, unit, plain)
        for i, (before, step) in enumerate(trials):
            waited += await follow_once(ctx, checker, before, step)
            if i % 3 == 0:  # a step that does not follow is not held up by what was before
                checker.other(ctx, 0, done=1)
                await checker.cycle(ctx, None, "idle")
                await checker.run(ctx, plain, cycles, "plain")

    simulate(checker.dut, bench)
    assert waited > 10


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("counts", [(9, 1, 1, 1, 3, 1), (9, 3, 1, 1, 1, 1), (9, 1, 2, 1, 1, 1)])
def test_short_rows_follow(unit: Unit, counts: tuple[int, ...]) -> None:
    """Rows of ``MIN_FOLLOW_CYCLES``: the comparison for the next row is just ready in time."""
    rng = random.Random(1)
    own = Unit[unit.name]
    other = Unit.VECTOR if own is Unit.ARRAY else Unit.ARRAY
    hold = timing.MIN_FOLLOW_CYCLES - math.prod(counts[1:])
    checker = Checker(ENGINE, unit)

    async def bench(ctx: Any) -> None:
        for kernel in range(1, 8):  # rows of the step before that take 1 to 7 cycles
            for need in (1, 2, 5):
                before = plan_step(rng, other, (9, 1, 1, 1, kernel, 1), 0)
                step = plan_step(rng, own, counts, hold, after=(plan.Rows(step=0, need=need),))
                assert step.loops.row_cycles == timing.MIN_FOLLOW_CYCLES
                await follow_once(ctx, checker, before, step)

    simulate(checker.dut, bench)


def test_follows_what_never_ends() -> None:
    """Without rows and without an end nothing is issued; with the row, three cycles later."""
    checker = Checker(small_params(), Unit.ARRAY)
    step = step_of((2, 3, 1, 1, 1, 1), follow=1, need=4, y_row=2)
    first, second = (row_cycles(row, 0) for row in tiles(checker.params, Unit.ARRAY, step))

    async def bench(ctx: Any) -> None:
        ctx.set(checker.dut.step, step)
        ctx.set(checker.dut.start, 1)
        checker.other(ctx, 0, 0)
        await checker.cycle(ctx, None, "start")
        ctx.set(checker.dut.start, 0)
        for rows, taps in ((3, [None] * 50), (4, [None, None, None, *first]), (5, [None] * 50),
                           (6, [None, None, None, *second, *[None] * 20])):  # fmt: skip
            checker.other(ctx, rows, 0)
            for t, tap in enumerate(taps):
                await checker.cycle(ctx, tap, f"{rows} rows, cycle {t}")

    simulate(checker.dut, bench)
