"""The step controller: what is fetched, when a step begins, and how long it is busy."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hw.support import pack, simulate, small_params
from weft.hw.control import Control
from weft.hw.params import CHUNK_BITS, EngineParams, Unit
from weft.hw.step import chunks
from weft.mapper import cost


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step, and the cycles from its start to its last result."""

    unit: Unit
    cycles: int
    follow: bool = False
    rows: int = 1


def array(cycles: int, *, follow: bool = False, rows: int = 1) -> Step:
    return Step(unit=Unit.ARRAY, cycles=cycles, follow=follow, rows=rows)


def vector(cycles: int, *, follow: bool = False, rows: int = 1) -> Step:
    return Step(unit=Unit.VECTOR, cycles=cycles, follow=follow, rows=rows)


PROGRAMS = {
    "one": [array(1)],
    "first-follows": [vector(9, follow=True)],
    "short": [array(1), vector(1), array(1)],  # done long before the next step is there
    "waits": [array(60), array(80), vector(70), vector(9), array(90)],
    "side-by-side": [array(90, rows=9), vector(90, follow=True), array(80, follow=True, rows=3)],
    "own-unit-busy": [array(200), vector(30, follow=True), vector(70, follow=True), array(9)],
    "own-unit-last": [vector(30), array(200, follow=True), vector(10), vector(300, follow=True)],
    "end-of-the-first": [array(200), vector(20, follow=True)],
    "many-rows": [vector(299, rows=299), array(250, follow=True, rows=120)],
}

SHAPES = [
    {},
    {
        "lanes": 16, "columns": 16, "array_requant": 4, "act_words": (8192, 9),
        "param_words": (700, 1),
    },
    {
        "lanes": 1, "columns": 1, "array_requant": 1, "vector_requant": 1, "act_words": (1, 1),
        "weight_words": 1,
    },
]  # fmt: skip
SHAPE_NAMES = ["4x4", "16x16", "1x1"]


def program(dut: Control, steps: list[Step], seed: int) -> list[list[int]]:
    """Random chunks of each step, but for unit, ``follow`` and ``last_step``."""
    rng = random.Random(seed)
    front_bits = chunks(dut.front_layout) * CHUNK_BITS
    places = {
        "follow": dut.front_layout["follow"].offset,
        "unit": front_bits + dut.back_layout["unit"].offset,
        "last_step": front_bits + dut.back_layout["last_step"].offset,
    }
    result = []
    for i, step in enumerate(steps):
        word = rng.getrandbits(dut.step_chunks * CHUNK_BITS)
        fixed = {"follow": step.follow, "unit": step.unit.value, "last_step": i == len(steps) - 1}
        for name, value in fixed.items():
            word = word & ~(1 << places[name]) | int(value) << places[name]
        mask = (1 << CHUNK_BITS) - 1
        result.append([word >> CHUNK_BITS * c & mask for c in range(dut.step_chunks)])
    return result


def begins(steps: list[Step], fetch: int) -> list[int]:
    """Cycles from ``go`` in which the steps begin: fetched, and the units idle that must be."""
    result: list[int] = []
    ends = dict.fromkeys(Unit, 0)
    for step in steps:
        ready = (result[-1] if result else 0) + fetch
        units = [step.unit] if step.follow else list(Unit)
        result.append(max(ready, *(ends[unit] for unit in units)))
        ends[step.unit] = result[-1] + 1 + step.cycles
    return result


@dataclass
class Model:
    """What the controller shows of one unit."""

    front: int = 0
    back: int = 0
    known: bool = False  # whether there has been a step
    rows: int = 0
    running: int = 0


async def play_once(
    ctx: Any, dut: Control, steps: list[Step], words: list[list[int]], models: dict[Unit, Model],
    rng: random.Random,
) -> None:  # fmt: skip
    fetch = cost.FETCH_LATENCY + dut.step_chunks
    starts = [begin + 1 for begin in begins(steps, fetch)]
    ends = [start + step.cycles for start, step in zip(starts, steps, strict=True)]
    front_chunks = chunks(dut.front_layout)
    row_dones: dict[Unit, set[int]] = {unit: set() for unit in Unit}
    dones: dict[Unit, set[int]] = {unit: set() for unit in Unit}
    for step, start, end in zip(steps, starts, ends, strict=True):
        early = rng.sample(range(start, end), step.rows - 1)
        row_dones[step.unit] |= {*early, end}
        dones[step.unit].add(end)
    for t in range(max(ends) + 4):
        for unit, model in models.items():
            for i, step in enumerate(steps):
                if step.unit is unit and starts[i] == t:
                    mask = [(1 << x.size) - 1 for x in (dut.front_layout, dut.back_layout)]
                    model.front = pack(words[i][:front_chunks], CHUNK_BITS) & mask[0]
                    model.back = pack(words[i][front_chunks:], CHUNK_BITS) & mask[1]
                    model.rows, model.running, model.known = 0, 1, True
        ctx.set(dut.go, t == 0)
        for unit in Unit:
            name = unit.name.lower()
            ctx.set(getattr(dut, f"{name}_row_done"), t in row_dones[unit])
            ctx.set(getattr(dut, f"{name}_done"), t in dones[unit])
        assert ctx.get(dut.busy) == (0 < t <= max(ends)), t
        for unit, model in models.items():

            def port(member: str, name: str = unit.name.lower()) -> int:
                signal = getattr(dut, f"{name}_{member}")
                return ctx.get(signal.as_value() if member in ("front", "back") else signal)

            own = {start for start, step in zip(starts, steps, strict=True) if step.unit is unit}
            assert port("start") == (t in own), (t, unit)
            assert port("running") == model.running, (t, unit)
            assert port("idle") == (not model.running or t in dones[unit]), (t, unit)
            if model.known:
                assert (port("front"), port("back")) == (model.front, model.back), (t, unit)
                assert port("rows") == model.rows, (t, unit)
            model.rows += t in row_dones[unit]
            model.running &= t not in dones[unit]
        await ctx.tick()


def run(steps: list[Step], params: EngineParams, seed: int = 1) -> None:
    dut = Control(params)
    words = program(dut, steps, seed)
    rng = random.Random(seed)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load_en, 1)
        for address, word in enumerate(word for step in words for word in step):
            ctx.set(dut.load_address, address)
            ctx.set(dut.load_data, word)
            await ctx.tick()
        ctx.set(dut.load_en, 0)
        models = {unit: Model() for unit in Unit}
        for _ in range(2):  # the program runs again from its first step
            await play_once(ctx, dut, steps, words, models, rng)

    simulate(dut, bench)


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, shape: dict[str, Any]) -> None:
    steps = PROGRAMS[name]
    # As deep as the program: what is fetched beyond its end does not matter.
    words = Control(small_params(**shape)).step_chunks * len(steps)
    run(steps, small_params(program_words=words, **shape))


@pytest.mark.parametrize("seed", range(6))
def test_random_program(seed: int) -> None:
    rng = random.Random(seed)
    steps = []
    for _ in range(12):
        cycles = rng.choice([1, 2, 10, 14, 15, 16, 17, 18, 40, rng.randrange(1, 100)])
        rows = rng.randrange(1, cycles + 1)
        unit = rng.choice(list(Unit))
        steps.append(Step(unit=unit, cycles=cycles, follow=rng.random() < 0.5, rows=rows))
    run(steps, small_params(program_words=500), seed)


@pytest.mark.parametrize("first", range(1, 30))
def test_a_unit_ends_as_a_step_is_fetched(first: int) -> None:
    """The end of a step at every distance from the moment when the next one is there."""
    for follow in (False, True):
        for units in ((Unit.ARRAY, Unit.ARRAY), (Unit.ARRAY, Unit.VECTOR)):
            steps = [
                Step(unit=units[0], cycles=first),
                Step(unit=units[1], cycles=3, follow=follow, rows=2),
            ]
            run(steps, small_params(program_words=100))


def test_idle_without_go() -> None:
    dut = Control(small_params())
    watched = (dut.busy, dut.array_start, dut.vector_start, dut.array_idle, dut.vector_idle)

    async def bench(ctx: Any) -> None:
        for _ in range(40):
            _clk, _rst, *values = await ctx.tick().sample(*watched)
            assert values == [0, 0, 0, 1, 1]

    simulate(dut, bench)


@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_NAMES)
def test_step_chunks(shape: dict[str, Any]) -> None:
    dut = Control(small_params(**shape))
    assert dut.step_chunks == chunks(dut.front_layout) + chunks(dut.back_layout)
