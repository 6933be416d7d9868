"""The loader: which image writes it replays, and in which cycles."""

import random
from typing import Any

import pytest

from tests.hw.support import SMALL_COMPACT, simulate, small_params
from weft.hw.loader import Loader
from weft.machine.engine import Engine
from weft.machine.images import CHUNK_BITS, STORE_BITS, WORD_BITS
from weft.machine.timing import READ_LATENCY

WORDS = 37


def params() -> Engine:
    return small_params(SMALL_COMPACT, columns=2, store_words=WORDS, streamed=True)


LOADS = {
    "one": [(0, 1, 0, 5)],
    "narrow": [(3, 9, 0, 255)],
    "wide": [(2, 1, 1, 7), (1, 12, 1, 128)],
    "whole-store": [(0, WORDS, 0, 0)],
    "mixed": [(30, 7, 0, 4), (0, 5, 1, 1), (11, 2, 0, 2), (11, 2, 1, 2)],
}


@pytest.mark.parametrize("loads", LOADS.values(), ids=LOADS)
def test_writes_and_cycles(loads: list[tuple[int, int, int, int]]) -> None:
    dut = Loader(params())
    rng = random.Random(5)
    store = [rng.getrandbits(STORE_BITS) for _ in range(WORDS)]

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load_en, 1)
        for address, word in enumerate(store):
            ctx.set(dut.load_address, address)
            ctx.set(dut.load_data, word)
            await ctx.tick()
        ctx.set(dut.load_en, 0)
        for source, count, wide, memory in loads:
            fields = {"source": source, "count": count, "wide": wide, "memory": memory}
            ctx.set(dut.step, fields)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            writes, cycles = await replay(ctx, dut)
            assert writes == expected(store, **fields)
            assert cycles == count * (1 + wide) + READ_LATENCY
            for _ in range(rng.randrange(3)):
                assert not ctx.get(dut.valid)
                await ctx.tick()

    simulate(dut, bench)


async def replay(ctx: Any, dut: Loader) -> tuple[list[tuple[int, int]], int]:
    """(address, data) of the writes, and the cycles from the start's to the last one's."""
    writes = []
    for cycle in range(1, 200):
        _clk, _rst, valid, address, data, done = await ctx.tick().sample(
            dut.valid, dut.image.address, dut.image.data, dut.done
        )
        if valid:
            writes.append((address, data))
        if done:
            return writes, cycle
    raise AssertionError("never done")


def expected(
    store: list[int], *, source: int, count: int, wide: int, memory: int
) -> list[tuple[int, int]]:
    words = store[source : source + count * (1 + wide)]
    if wide:
        pairs = zip(words[::2], words[1::2], strict=True)
        chunks = [(low | high << STORE_BITS) & (1 << CHUNK_BITS) - 1 for low, high in pairs]
    else:
        chunks = words
    return [(memory << WORD_BITS | i, chunk) for i, chunk in enumerate(chunks)]
