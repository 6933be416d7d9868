"""What a sequencer has to issue, from a plain nest of loops, and a checker cycle by cycle."""

import math
import random
from itertools import chain, product
from typing import Any

from tests.hw.support import simulate, small_params
from weft.hw.sequencer import FLAGS, Sequencer
from weft.hw.step import front_layout
from weft.machine.engine import Engine, Unit
from weft.machine.fields import FRONT, LEVELS, widths

NAMES = LEVELS[Unit.ARRAY]
TILE_FLAGS = ("first_tile", "last_tile", "first_col", "last_col", "first_row", "last_row")

Tap = dict[str, int] | None


def tiles(params: Engine, unit: Unit, step: dict[str, int]) -> list[list[list[Tap]]]:
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
    params: Engine, unit: Unit, step: dict[str, int], row: int, col: int, tile: int,
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


def unpaced(params: Engine, unit: Unit, step: dict[str, int]) -> list[Tap]:
    """The cycles of a step whose rows do not wait."""
    all_tiles = chain.from_iterable(tiles(params, unit, step))
    return row_cycles(list(all_tiles), step["hold"])


class Checker:
    """A sequencer, and a comparison of what it issues from one cycle to the next."""

    def __init__(self, params: Engine, unit: Unit):
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
    params: Engine, steps: list[dict[str, int]], gap: int = 0, units: tuple = tuple(Unit)
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


def random_step(rng: random.Random, params: Engine, most: int) -> dict[str, int]:
    counts = random_counts(rng, most)
    act, weight = 1 << params.act_address_bits, 1 << params.weight_address_bits
    moves = {f"act_{level}": rng.choice([0, 1, act - 1, rng.randrange(act)]) for level in NAMES}
    return step_of(
        counts,
        act_base=rng.randrange(act),
        weight_base=rng.randrange(weight),
        hold=rng.choice([0, 0, 1, 2, (1 << widths(FRONT, params)["hold"]) - 1]),
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
