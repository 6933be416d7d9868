"""The address generator against a plain nest of loops, cycle by cycle, for both units' orders."""

import math
import random
from itertools import chain, pairwise, product
from typing import Any

import pytest

from tests.hw.support import simulate, small_params
from weft.gen.hardware import engine_params
from weft.gen.images import front_fields
from weft.hw.params import EngineParams, Unit
from weft.hw.sequencer import FLAGS, Sequencer
from weft.hw.step import LEVELS, front_layout
from weft.mapper import cost, plan

NAMES = LEVELS[Unit.ARRAY]
TILE_FLAGS = ("first_tile", "last_tile", "first_col", "last_col", "first_row", "last_row")

Tap = dict[str, int] | None


def tiles(params: EngineParams, unit: Unit, step: dict[str, int]) -> list[list[list[Tap]]]:
    """What is issued for each tile of each row, from the loops as they are written down."""
    rows, cols, n_tiles, *kernel = (step[f"n_{level}"] for level in NAMES)
    order = product(range(n_tiles), range(cols))
    pairs = [(col, tile) for tile, col in order]
    if unit is Unit.ARRAY:
        pairs.sort()
    return [
        [_tile(params, unit, step, row, col, tile, kernel) for col, tile in pairs]
        for row in range(rows)
    ]


def _tile(
    params: EngineParams, unit: Unit, step: dict[str, int], row: int, col: int, tile: int,
    kernel: list[int],
) -> list[Tap]:  # fmt: skip
    lead = step.get("lead", 0) if unit is Unit.VECTOR else 0
    n_taps = math.prod(kernel)
    sizes = (step["n_row"], step["n_col"], step["n_tile"])
    taps: list[Tap] = []
    for i, (kernel_row, kernel_col, word) in enumerate(product(*map(range, kernel))):
        place = (row, col, tile, kernel_row, kernel_col, word)
        moves = (step[f"act_{level}"] for level in NAMES)
        address = step["act_base"] + sum(p * m for p, m in zip(place, moves, strict=True))
        if step.get("stay") and i == 0:
            address = step["stay_base"] + tile * step["act_tile"]
        y = step["y0"] + row * step["y_row"] + kernel_row * step["y_kernel_row"]
        x = step["x0"] + col * step["x_col"] + kernel_col * step["x_kernel_col"]
        ends = i == n_taps - 1
        tap = {
            "act_address": address % (1 << params.act_address_bits),
            "weight_address": (step["weight_base"] + tile * n_taps + i)
            % (1 << params.weight_address_bits),
            "inside": 0 <= y < step["height"] and 0 <= x < step["width"],
            "last": ends and all(p == n - 1 for p, n in zip(place, sizes, strict=False)),
            "first": i == 0,
            "emit": ends and col >= lead,
        }
        if unit is Unit.VECTOR:
            tap["fresh"] = col == 0
        if tap["emit"]:  # the others say something about a result
            tap |= {
                "first_tile": tile == 0,
                "last_tile": tile == step["n_tile"] - 1,
                "first_col": col == lead,
                "last_col": col == step["n_col"] - 1,
                "first_row": row == 0,
                "last_row": row == step["n_row"] - 1,
            }
        taps.append(tap)
    return taps


def row_cycles(row: list[list[Tap]], hold: int) -> list[Tap]:
    """The cycles of a row, None in those of a hold; none after the last tile."""
    joined = chain.from_iterable([*tile, *[None] * hold] for tile in row)
    return list(joined)[: len(row) * (len(row[0]) + hold) - hold]


def unpaced(params: EngineParams, unit: Unit, step: dict[str, int]) -> list[Tap]:
    """The cycles of a step whose rows do not wait."""
    all_tiles = chain.from_iterable(tiles(params, unit, step))
    return row_cycles(list(all_tiles), step["hold"])


class Checker:
    """A sequencer, and a comparison of what it issues from one cycle to the next."""

    def __init__(self, params: EngineParams, unit: Unit):
        self.params, self.unit = params, unit
        self.dut = dut = Sequencer(params, unit)
        self.watched = (dut.flags, dut.last, dut.act_address, dut.weight_address, dut.inside)
        self.inside: int | None = None  # of the tap of the cycle before
        self.rng = random.Random(7)

    async def cycle(self, ctx: Any, tap: Tap, where: str) -> None:
        """One clock cycle, in which ``tap`` is issued."""
        sampled = await ctx.tick().sample(*self.watched)
        flags, last, act, weight, inside = sampled[2:]
        if self.inside is not None:
            assert inside == self.inside, where
        self.inside = None
        assert flags.active == (tap is not None), where
        if tap is None:
            assert (flags.emit, last) == (0, 0), where
            return
        got = {name: getattr(flags, str(name)) for name, _ in FLAGS}
        got |= {"act_address": act, "weight_address": weight, "last": last}
        self.inside = tap["inside"]
        expected = {name: value for name, value in tap.items() if name != "inside"}
        assert {name: got[name] for name in expected} == expected, where

    def other(self, ctx: Any, rows: int | None = None, done: int | None = None) -> None:
        """What the other unit reports; anything where nothing is given."""
        bits = self.rng.getrandbits(self.dut.params.count_bits) if rows is None else rows
        ctx.set(self.dut.other_rows, bits)
        ctx.set(self.dut.other_done, self.rng.getrandbits(1) if done is None else done)

    async def run(self, ctx: Any, step: dict[str, int], cycles: list[Tap], where: str) -> None:
        """Starts a step that does not follow and checks its cycles; a start may come right after.

        The controller starts such a step when the other unit is idle.
        """
        ctx.set(self.dut.step, step)
        ctx.set(self.dut.start, 1)
        self.other(ctx)
        await self.cycle(ctx, None, where)
        ctx.set(self.dut.start, 0)
        for t, tap in enumerate([None, *cycles]):
            self.other(ctx, done=1 if t == len(cycles) else None)
            await self.cycle(ctx, tap, f"{where}, cycle {t}")


def check(
    params: EngineParams, steps: list[dict[str, int]], gap: int = 0, units: tuple = tuple(Unit)
) -> None:
    """Runs the steps one after the other, each started ``gap`` cycles after the last one's end."""
    for unit in units:
        checker = Checker(params, unit)

        async def bench(ctx: Any, checker: Checker = checker, unit: Unit = unit) -> None:
            checker.other(ctx, done=1)
            await checker.cycle(ctx, None, "before")
            for number, step in enumerate(steps):
                cycles = [*unpaced(params, unit, step), *[None] * gap]
                await checker.run(ctx, step, cycles, f"{unit.name}, step {number} ({step})")
            await checker.cycle(ctx, None, "after")

        simulate(checker.dut, bench)


def step_of(counts: tuple[int, ...], **fields: int) -> dict[str, int]:
    """A step with the given loop counts and fields; the others are 0, the image 1 x 1."""
    layout = front_layout(small_params())
    step = {str(name): 0 for name, _ in layout} | {"height": 1, "width": 1}
    return step | {f"n_{level}": n for level, n in zip(NAMES, counts, strict=True)} | fields


def random_counts(rng: random.Random, most: int) -> tuple[int, ...]:
    """Loop counts whose product is at most ``most``."""
    counts = [1] * len(NAMES)
    for _ in range(rng.randrange(1, 8)):  # favour long loops beside loops of one round
        i = rng.randrange(len(NAMES))
        counts[i] = rng.randrange(1, 6)
        while counts[i] > 1 and math.prod(counts) > most:
            counts[i] -= 1
    return tuple(counts)


def random_step(rng: random.Random, params: EngineParams, most: int) -> dict[str, int]:
    counts = random_counts(rng, most)
    act, weight = 1 << params.act_address_bits, 1 << params.weight_address_bits
    moves = {f"act_{level}": rng.choice([0, 1, act - 1, rng.randrange(act)]) for level in NAMES}
    return step_of(
        counts,
        act_base=rng.randrange(act),
        weight_base=rng.randrange(weight),
        hold=rng.choice([0, 0, 1, 2, (1 << params.hold_bits) - 1]),
        lead=rng.choice([0, 0, 1, 2, counts[1] - 1]) % counts[1],
        need=rng.getrandbits(13),  # means nothing
        height=rng.choice([1, 3, 5, 4096]),
        width=rng.choice([1, 2, 4, 4096]),
        y0=rng.randrange(-3, 3),
        x0=rng.randrange(-3, 3),
        y_row=rng.randrange(4),
        x_col=rng.randrange(4),
        y_kernel_row=rng.randrange(3),
        x_kernel_col=rng.randrange(3),
        **moves,
    )


@pytest.mark.parametrize("gap", [0, 1, 7])
def test_random_steps(gap: int) -> None:
    rng = random.Random(gap)
    params = small_params(act_words=(500, 3), weight_words=300)
    check(params, [random_step(rng, params, 120) for _ in range(50)], gap)


@pytest.mark.parametrize("compact", [False, True])
def test_first_taps_that_stay(compact: bool) -> None:
    """A tile's first tap lies elsewhere, and only tiles move it on."""
    rng = random.Random(3)
    more = {"compact": True, "requant_interval": 4} if compact else {}
    lanes = {"array_requant": 1, "vector_requant": 1}
    params = small_params(act_words=(500, 3), weight_words=300, products=True, **lanes, **more)
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

ENGINE = plan.Engine(
    lanes=4, columns=4, array_requant=2, vector_requant=1,
    memories=plan.Memories(act=(300, 1), weight=50, vector=50),
)  # fmt: skip


def plan_step(
    rng: random.Random, unit: plan.Unit, counts: tuple[int, ...], hold: int, **fields: Any
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
    fields = front_fields(step)
    taps = {}
    for row, end in zip(tiles(engine_params(ENGINE), unit, fields), ends, strict=True):
        cycles = row_cycles(row, step.loops.hold)
        first = end + 1 - len(cycles)
        assert first >= begin + 6  # the start after two, three cycles to settle and to issue
        taps |= {first + i: tap for i, tap in enumerate(cycles) if tap is not None}
    return taps


async def follow_once(ctx: Any, checker: Checker, before: plan.Step, step: plan.Step) -> int:
    """Runs ``step`` beside ``before`` as the cycle model has it; returns how many rows waited."""
    written, timing = cost.timings(ENGINE, (before, step))
    drain = cost.unit_latency(ENGINE, step.unit) + step.write.groups_per_tile
    drain += cost.requant_latency(ENGINE)
    ends = tuple(row - drain for row in timing.rows)
    taps = follow_cycles(checker.unit, step, timing.begin, ends)
    names = {str(name) for name, _ in front_layout(checker.params)}
    fields = {name: value for name, value in front_fields(step).items() if name in names}
    ctx.set(checker.dut.step, fields)
    for t in range(timing.begin + 2, max(taps) + 1):
        ctx.set(checker.dut.start, t == timing.begin + 2)
        # Counted from the cycle after a row's last write; idle in the cycle of the step's last one.
        checker.other(ctx, sum(row < t for row in written.rows), int(t >= written.end))
        await checker.cycle(ctx, taps.get(t), f"{before}, {step}, {ends}, cycle {t}")
    pitch = step.loops.row_cycles + step.loops.hold
    return sum(b - a > pitch for a, b in pairwise(ends))


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("seed", range(4))
def test_follow(unit: Unit, seed: int) -> None:
    """Rows wait for the rows they read, to the cycle that ``mapper.cost`` predicts."""
    rng = random.Random(seed)
    own = plan.Unit[unit.name]
    other = plan.Unit.VECTOR if own is plan.Unit.ARRAY else plan.Unit.ARRAY
    trials = []
    while len(trials) < 40:
        hold = rng.choice([0, 0, 1, 3])
        rows = rng.randrange(1, 7)
        counts = (rows, *random_counts(rng, 12)[1:])
        before = plan_step(rng, other, (rng.randrange(1, 9), *random_counts(rng, 30)[1:]), hold)
        follow = plan.Follow(need=rng.randrange(-1, 5))
        step = plan_step(rng, own, counts, rng.choice([0, 0, 1, 3]), follow=follow,
                         y_move=rng.choice([0, 1, 1, 2, 3]))  # fmt: skip
        if step.loops.row_cycles >= cost.MIN_FOLLOW_CYCLES:
            trials.append((before, step))
    checker = Checker(engine_params(ENGINE), unit)
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
    own = plan.Unit[unit.name]
    other = plan.Unit.VECTOR if own is plan.Unit.ARRAY else plan.Unit.ARRAY
    hold = cost.MIN_FOLLOW_CYCLES - math.prod(counts[1:])
    checker = Checker(engine_params(ENGINE), unit)

    async def bench(ctx: Any) -> None:
        for kernel in range(1, 8):  # rows of the step before that take 1 to 7 cycles
            for need in (1, 2, 5):
                before = plan_step(rng, other, (9, 1, 1, 1, kernel, 1), 0)
                step = plan_step(rng, own, counts, hold, follow=plan.Follow(need=need))
                assert step.loops.row_cycles == cost.MIN_FOLLOW_CYCLES
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
