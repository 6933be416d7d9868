"""The compact engine's controller: what is fetched, when steps begin, how long it is busy."""

import random
from typing import Any

import pytest

from tests.hw.support import SMALL_COMPACT, simulate, small_params
from weft.hw.compact_control import CompactControl
from weft.machine import timing
from weft.machine.fields import FRONT, part_chunks
from weft.machine.images import CHUNK_BITS

MASK = (1 << CHUNK_BITS) - 1

PROGRAMS = {
    "one": [(9, False)],
    "short": [(1, False), (1, False), (2, False)],
    "loads": [(5, True), (1, True), (40, False), (3, True), (7, False)],
}


@pytest.mark.parametrize("steps", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("store_words", [0, 64])
def test_steps_in_turn(steps: list[tuple[int, bool]], store_words: int) -> None:
    if not store_words:
        steps = [(cycles, False) for cycles, _ in steps]
    dut = CompactControl(
        small_params(SMALL_COMPACT, columns=2, store_words=store_words, streamed=store_words > 0)
    )
    words = program(dut, steps)
    fetch = timing.FETCH_LATENCY + dut.step_chunks

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load_en, 1)
        for address, chunk in enumerate(c for word in words for c in split(dut, word)):
            ctx.set(dut.load_address, address)
            ctx.set(dut.load_data, chunk)
            await ctx.tick()
        ctx.set(dut.load_en, 0)
        for _ in range(2):  # a second run begins at the first step again
            await run(ctx, dut, steps, words, fetch)

    simulate(dut, bench)


async def run(ctx: Any, dut: CompactControl, steps: list, words: list[int], fetch: int) -> None:
    assert not ctx.get(dut.busy)
    ctx.set(dut.go, 1)
    await ctx.tick()
    ctx.set(dut.go, 0)
    fetched = dut.step_chunks * CHUNK_BITS
    for (cycles, is_load), word in zip(steps, words, strict=True):
        for waited in range(1, fetch + 1):
            begins = waited == fetch
            assert ctx.get(dut.busy)
            assert ctx.get(dut.load_start) == (begins and is_load)
            assert ctx.get(dut.start) == (begins and not is_load)
            await ctx.tick()
        for cycle in range(1, cycles + 1):
            ctx.set(dut.done, cycle == cycles)
            assert ctx.get(dut.front.as_value()) == word & (1 << dut.front_layout.size) - 1
            split_at = part_chunks(FRONT, dut.params) * CHUNK_BITS
            back = word % (1 << fetched) >> split_at
            assert ctx.get(dut.back.as_value()) == back & (1 << dut.back_layout.size) - 1
            await ctx.tick()
        ctx.set(dut.done, 0)
    assert not ctx.get(dut.busy)


def program(dut: CompactControl, steps: list[tuple[int, bool]]) -> list[int]:
    """Random step words, but for ``load`` and ``last_step``."""
    rng = random.Random(3)
    at = part_chunks(FRONT, dut.params) * CHUNK_BITS
    words = []
    for i, (_, is_load) in enumerate(steps):
        word = rng.getrandbits(dut.step_chunks * CHUNK_BITS)
        fixed = {"last_step": i == len(steps) - 1}
        if dut.params.has_store:
            fixed["load"] = is_load
        for name, value in fixed.items():
            place = at + dut.back_layout[name].offset
            word = word & ~(1 << place) | int(value) << place
        words.append(word)
    return words


def split(dut: CompactControl, word: int) -> list[int]:
    return [word >> CHUNK_BITS * i & MASK for i in range(dut.step_chunks)]
