"""The address generator against a plain nest of loops, cycle by cycle."""

import random
from itertools import product
from typing import Any

import pytest

from tests.hw.support import simulate, small_params
from weft.hw.params import EngineParams
from weft.hw.sequencer import FLAGS, Sequencer
from weft.hw.step import LEVELS, front_layout

FLAG_NAMES = ("first", "last", "first_tile", "first_col", "first_row", "last_tile")


def expected(params: EngineParams, step: dict[str, int]) -> list[dict[str, int] | None]:
    """What is issued in each cycle after the start; None in the cycles of a hold."""
    cycles: list[dict[str, int] | None] = []
    rows, cols, tiles, *kernel = (step[f"n_{level}"] for level in LEVELS)
    taps = list(product(*map(range, kernel)))
    for row, col in product(range(rows), range(cols)):
        for tile in range(tiles):
            for i, (kernel_row, kernel_col, word) in enumerate(taps):
                place = (row, col, tile, kernel_row, kernel_col, word)
                moves = (step[f"act_{level}"] for level in LEVELS)
                address = step["act_base"] + sum(p * m for p, m in zip(place, moves, strict=True))
                y = step["y0"] + row * step["y_row"] + kernel_row * step["y_kernel_row"]
                x = step["x0"] + col * step["x_col"] + kernel_col * step["x_kernel_col"]
                weight = step["weight_base"] + tile * len(taps) + i
                last = i == len(taps) - 1
                last_pixel = (row, col) == (rows - 1, cols - 1)
                cycles.append(
                    {
                        "act_address": address % (1 << params.act_address_bits),
                        "weight_address": weight % (1 << params.weight_address_bits),
                        "inside": 0 <= y < step["height"] and 0 <= x < step["width"],
                        "first": i == 0,
                        "last": last,
                        "first_tile": tile == 0,
                        "first_col": col == 0,
                        "first_row": row == 0,
                        "last_tile": last and last_pixel and tile == tiles - 1,
                    }
                )
            final = (row, col, tile) == (rows - 1, cols - 1, tiles - 1)
            cycles += [None] * (0 if final else step["hold"])
    return cycles


def check(params: EngineParams, steps: list[dict[str, int]], gap: int = 0) -> None:
    """Runs the steps one after the other, each started ``gap`` cycles after the last one's end."""
    dut = Sequencer(params)
    watched = (dut.running, dut.flags, dut.act_address, dut.weight_address, dut.inside)

    async def bench(ctx: Any) -> None:
        for number, step in enumerate(steps):
            ctx.set(dut.step, step)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            due = None  # is the tap of the cycle before inside the image?
            for t, tap in enumerate([*expected(params, step), *[None] * gap]):
                _clk, _rst, running, flags, act, weight, inside = await ctx.tick().sample(*watched)
                where = f"step {number} ({step}), cycle {t}"
                if due is not None:
                    assert inside == due, where
                due = None
                assert flags.active == (tap is not None), where
                assert not (flags.last or flags.last_tile) or tap is not None, where
                if tap is not None:
                    assert running, where
                    got = {name: getattr(flags, name) for name in FLAG_NAMES}
                    got |= {"act_address": act, "weight_address": weight}
                    due = tap.pop("inside")
                    assert got == tap, where
            assert not ctx.get(dut.running)
            assert not ctx.get(dut.flags).active

    simulate(dut, bench)


def step_of(counts: tuple[int, ...], **fields: int) -> dict[str, int]:
    """A step with the given loop counts and fields; the others are 0, the image 1 x 1."""
    step = {name: 0 for name, _ in front_layout(small_params())} | {"height": 1, "width": 1}
    return step | {f"n_{level}": n for level, n in zip(LEVELS, counts, strict=True)} | fields


def random_step(rng: random.Random, params: EngineParams, most: int) -> dict[str, int]:
    counts = [1] * len(LEVELS)
    for _ in range(rng.randrange(1, 8)):  # favour long loops beside loops of one round
        i = rng.randrange(len(LEVELS))
        counts[i] = rng.randrange(1, 6)
        while counts[i] > 1 and _size(counts) > most:
            counts[i] -= 1
    act, weight = 1 << params.act_address_bits, 1 << params.weight_address_bits
    moves = {f"act_{level}": rng.choice([0, 1, act - 1, rng.randrange(act)]) for level in LEVELS}
    return step_of(
        tuple(counts),
        act_base=rng.randrange(act),
        weight_base=rng.randrange(weight),
        hold=rng.choice([0, 0, 1, 2, params.drain_lanes]),
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


def _size(counts: list[int]) -> int:
    size = 1
    for count in counts:
        size *= count
    return size


@pytest.mark.parametrize("gap", [0, 1, 7])
def test_random_steps(gap: int) -> None:
    rng = random.Random(gap)
    params = small_params(act_words=500, weight_words=300)
    check(params, [random_step(rng, params, 150) for _ in range(50)], gap)


@pytest.mark.parametrize("level", LEVELS)
def test_one_loop(level: str) -> None:
    """Each loop alone, of 1, 2 and 3 rounds, with and without a hold."""
    steps = []
    for count in (1, 2, 3):
        for hold in (0, 1, 4):
            counts = tuple(count if name == level else 1 for name in LEVELS)
            moves = {f"act_{name}": 3 if name == level else 50 for name in LEVELS}
            steps.append(step_of(counts, act_base=7, weight_base=5, hold=hold, **moves))
    check(small_params(), steps)


@pytest.mark.parametrize("level", LEVELS)
def test_most_rounds(level: str) -> None:
    """A loop of 4095 rounds over an image of 4096."""
    counts = tuple(4095 if name == level else 1 for name in LEVELS)
    params = small_params(act_words=4096)
    move = {f"act_{level}": 1, "height": 4096, "width": 4096}
    step = step_of(counts, y0=-1, x0=-1, y_row=1, x_col=1, y_kernel_row=1, x_kernel_col=1, **move)
    check(params, [step])


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


def test_hold_does_not_outlive_its_step() -> None:
    """A step may start while the last tile's hold would still count."""
    steps = [step_of((1, 2, 1, 1, 1, 2), hold=4), step_of((2, 1, 1, 1, 1, 1), act_row=9)]
    check(small_params(), steps * 2, gap=0)
    check(small_params(), steps * 2, gap=2)


def test_flags_are_those_of_the_drain() -> None:
    assert [name for name, _ in FLAGS] == ["active", *FLAG_NAMES]
