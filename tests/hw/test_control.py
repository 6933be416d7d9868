"""The step controller: what is fetched, when a step starts, and how long it is busy."""

import random
from typing import Any

import pytest

from tests.hw.support import pack, simulate, small_params
from weft.hw.control import Control
from weft.hw.params import CHUNK_BITS, EngineParams
from weft.hw.step import chunks

FETCH_LATENCY = 3
"""Cycles of a fetch beside one per chunk: from ``go`` or ``issued`` to the earliest start."""

# (issue cycles, cycles from the last issue to the last result) of each step.
PROGRAMS = [
    [(1, 1)],
    [(5, 9)],
    [(1, 1), (1, 1), (1, 1)],  # done long before the next step is there
    [(4, 60), (1, 80), (9, 7)],  # waits for the last result
    [(3, 1), (2, 40), (300, 20), (1, 12), (1, 13), (2, 14), (7, 15), (2, 16)],
]

SHAPES = [
    {},
    {"lanes": 16, "columns": 16, "requant_lanes": 4, "act_words": 8192, "param_words": 700},
    {"lanes": 1, "columns": 1, "requant_lanes": 1, "act_words": 1, "weight_words": 1},
]


def program(params: EngineParams, n_steps: int) -> list[list[int]]:
    """Random chunks of each step, with ``last_step`` set in the last one only."""
    dut = Control(params)
    rng = random.Random(n_steps)
    field = dut.back_layout["last_step"]
    chunk, bit = divmod(field.offset, CHUNK_BITS)
    steps = []
    for i in range(n_steps):
        words = [rng.getrandbits(CHUNK_BITS) for _ in range(dut.step_chunks)]
        place = chunks(dut.front_layout) + chunk
        words[place] &= ~(1 << bit)
        words[place] |= int(i == n_steps - 1) << bit
        steps.append(words)
    return steps


@pytest.mark.parametrize("shape", SHAPES, ids=["4x4", "16x16", "1x1"])
@pytest.mark.parametrize("timing", PROGRAMS, ids=len)
def test_program(timing: list[tuple[int, int]], shape: dict[str, int]) -> None:
    # As deep as the program: what is fetched beyond its end does not matter.
    words = Control(small_params(**shape)).step_chunks * len(timing)
    params = small_params(program_words=words, **shape)
    dut = Control(params)
    steps = program(params, len(timing))
    front_chunks = chunks(dut.front_layout)
    masks = [(1 << layout.size) - 1 for layout in (dut.front_layout, dut.back_layout)]
    fronts = [pack(words[:front_chunks], CHUNK_BITS) & masks[0] for words in steps]
    backs = [pack(words[front_chunks:], CHUNK_BITS) & masks[1] for words in steps]
    fetch = FETCH_LATENCY + dut.step_chunks

    starts, issues, dones, end = [], [], [], 0  # cycles counted from ``go``
    earliest = fetch
    for issue, rest in timing:
        starts.append(earliest)
        issues.append(starts[-1] + issue)
        dones.append(issues[-1] + rest)
        earliest = max(issues[-1] + fetch, dones[-1])
        end = dones[-1]
    watched = (dut.start, dut.busy, dut.front.as_value(), dut.back.as_value())

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load_en, 1)
        for address, word in enumerate(word for words in steps for word in words):
            ctx.set(dut.load_address, address)
            ctx.set(dut.load_data, word)
            await ctx.tick()
        ctx.set(dut.load_en, 0)
        for _ in range(2):  # the program runs again from its first step
            step = -1
            for t in range(end + 4):
                ctx.set(dut.go, t == 0)
                ctx.set(dut.issued, t in issues)
                ctx.set(dut.done, t in dones)
                _clk, _rst, start, busy, front, back = await ctx.tick().sample(*watched)
                assert start == (t in starts), t
                assert busy == (0 < t <= end), t
                if step >= 0:  # the step that drains keeps its output path
                    assert back == backs[step], t
                step += start
                if step >= 0 and t <= issues[step]:
                    assert front == fronts[step], t

    simulate(dut, bench)


def test_idle_without_go() -> None:
    dut = Control(small_params())

    async def bench(ctx: Any) -> None:
        for _ in range(40):
            _clk, _rst, busy, start = await ctx.tick().sample(dut.busy, dut.start)
            assert (busy, start) == (0, 0)

    simulate(dut, bench)


@pytest.mark.parametrize("shape", SHAPES, ids=["4x4", "16x16", "1x1"])
def test_step_chunks(shape: dict[str, int]) -> None:
    dut = Control(small_params(**shape))
    assert dut.step_chunks == chunks(dut.front_layout) + chunks(dut.back_layout)
