"""The step controller: what is fetched, when a step begins, and how long it is busy."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hw.support import pack, simulate, small_params
from weft.hw.control import Control
from weft.machine import timing
from weft.machine.engine import Engine, Unit
from weft.machine.fields import FRONT, part_chunks, step_chunks
from weft.machine.images import CHUNK_BITS


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step, and the cycles from its start, and from its last tap, to its last result."""

    unit: Unit
    cycles: int
    follow: bool = False
    rows: int = 1
    drain: int = 0
    gap: int | None = None


def array(cycles: int, **fields: Any) -> Step:
    return Step(unit=Unit.ARRAY, cycles=cycles, **fields)


def vector(cycles: int, **fields: Any) -> Step:
    return Step(unit=Unit.VECTOR, cycles=cycles, **fields)


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
    "chain": [array(60, drain=40), array(60, drain=30, gap=1), array(90, gap=20, rows=9)],
    "chain-late": [array(50, drain=20), array(90, gap=5)],  # fetched when it might have begun
    "chain-too-late": [array(5, drain=4), array(90, gap=2)],  # ... when all is done
    "chain-end": [array(60, drain=40), array(60, gap=39), array(9)],  # with the last result
    "chain-long-gap": [array(250, drain=200), array(250, drain=150, gap=127), array(90, gap=126)],
    "chain-one-drains": [array(99, drain=80), array(90, drain=90, gap=1), array(100, gap=1)],
    "chain-after-follow": [vector(150), array(160, follow=True, drain=60), array(99, gap=1)],
    "chain-before-follow": [
        array(99, drain=80, rows=9), array(99, drain=9, gap=1, rows=19), vector(120, follow=True),
        array(90, follow=True, drain=60), array(99, gap=9), vector(9),
    ],
    "chain-across": [
        array(90, drain=50), vector(70, follow=True), array(90, drain=50), array(60, gap=9),
        vector(9), array(90, drain=50), array(70, gap=9),
    ],
}  # fmt: skip

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
    """Random chunks of each step, but for the fields that control looks at."""
    rng = random.Random(seed)
    front_bits = part_chunks(FRONT, dut.params) * CHUNK_BITS
    places = {"follow": dut.front_layout["follow"]}
    starts = {"follow": 0} | dict.fromkeys(("unit", "last_step", "chain", "gap"), front_bits)
    places |= {name: dut.back_layout[name] for name in starts if name != "follow"}
    result = []
    for i, step in enumerate(steps):
        word = rng.getrandbits(dut.step_chunks * CHUNK_BITS)
        fixed = {"follow": step.follow, "unit": step.unit.index, "last_step": i == len(steps) - 1}
        fixed |= {"chain": step.gap is not None}
        fixed |= {} if step.gap is None else {"gap": step.gap}
        for name, value in fixed.items():
            place = starts[name] + places[name].offset
            word &= ~((1 << places[name].width) - 1 << place)
            word |= int(value) << place
        mask = (1 << CHUNK_BITS) - 1
        result.append([word >> CHUNK_BITS * c & mask for c in range(dut.step_chunks)])
    return result


@dataclass(frozen=True, kw_only=True)
class Times:
    """Cycles of a step, from ``go``: it begins, no other one drains any more, its last result."""

    begin: int
    drained: int
    end: int

    @property
    def start(self) -> int:
        """Its unit starts, and has its front part."""
        return self.begin + 2

    @property
    def back(self) -> int:
        """Its output path has its back part."""
        return self.drained + 1


def times(steps: list[Step], fetch: int) -> list[Times]:
    """When the steps run: fetched, and the units as far as they must be."""
    result: list[Times] = []
    ends = dict.fromkeys(Unit, 0)
    for i, step in enumerate(steps):
        begin = (result[-1].begin if result else 0) + fetch
        idle = ends[step.unit] if step.follow else max(ends.values())
        if step.gap is not None:
            assert step.unit is steps[i - 1].unit is Unit.ARRAY
            issued = result[-1].end - steps[i - 1].drain
            chained = max(issued + 1 + step.gap, ends[Unit.VECTOR], result[-1].drained)
            idle = min(idle, chained)
        begin = max(begin, idle)
        drained = max(begin, ends[step.unit]) + 1
        result.append(Times(begin=begin, drained=drained, end=begin + 2 + step.cycles))
        assert result[-1].end > ends[step.unit]
        ends[step.unit] = result[-1].end
    return result


@dataclass
class Model:
    """What the controller shows of one unit."""

    front: int = 0
    back: int = 0
    known: bool = False  # whether there has been a step
    rows: int = 0
    taken: int = 0
    running: int = 0


async def play_once(
    ctx: Any, dut: Control, steps: list[Step], words: list[list[int]], models: dict[Unit, Model],
    rng: random.Random,
) -> None:  # fmt: skip
    timed = list(zip(steps, times(steps, timing.FETCH_LATENCY + dut.step_chunks), strict=True))
    front_chunks = part_chunks(FRONT, dut.params)
    masks = [(1 << x.size) - 1 for x in (dut.front_layout, dut.back_layout)]
    row_dones: dict[Unit, set[int]] = {unit: set() for unit in Unit}
    for step, time in timed:
        early = rng.sample(range(time.back, time.end), step.rows - 1)
        row_dones[step.unit] |= {*early, time.end}
    last = max(time.end for _, time in timed)
    for t in range(last + 4):
        ctx.set(dut.go, t == 0)
        issues = [time.end - step.drain for step, time in timed if step.unit is Unit.ARRAY]
        ctx.set(dut.array_issued, t in issues)
        for unit in Unit:
            name = unit.name.lower()
            ctx.set(getattr(dut, f"{name}_row_done"), t in row_dones[unit])
            ends = [time.end for step, time in timed if step.unit is unit]
            ctx.set(getattr(dut, f"{name}_done"), t in ends)
        assert ctx.get(dut.busy) == (0 < t <= last), t
        for unit, model in models.items():
            own = [(i, time) for i, (step, time) in enumerate(timed) if step.unit is unit]
            draining = any(time.begin < t < time.drained for _, time in own)
            for i, time in own:
                if t == time.begin + 1:
                    model.taken = 1
                if t == time.start:
                    model.front = pack(words[i][:front_chunks], CHUNK_BITS) & masks[0]
                    model.running, model.known = 1, True
                if t == (time.drained if time.drained > time.begin + 1 else time.start):
                    model.rows = 0
                if t == time.back:
                    model.back = pack(words[i][front_chunks:], CHUNK_BITS) & masks[1]

            def port(member: str, name: str = unit.name.lower()) -> int:
                signal = getattr(dut, f"{name}_{member}")
                return ctx.get(signal.as_value() if member in ("front", "back") else signal)

            ends = not draining and t in [time.end for _, time in own]
            assert port("start") == (t in [time.start for _, time in own]), (t, unit)
            assert port("running") == model.running, (t, unit)
            assert port("idle") == (not model.taken or ends), (t, unit)
            if model.known:
                assert (port("front"), port("back")) == (model.front, model.back), (t, unit)
                assert port("rows") == (0 if draining else model.rows), (t, unit)
            model.rows += not draining and t in row_dones[unit]
            model.running &= not ends
            model.taken &= not ends
        await ctx.tick()


def run(steps: list[Step], params: Engine, seed: int = 1) -> None:
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


@pytest.mark.parametrize("seed", range(12))
def test_random_program(seed: int) -> None:
    rng = random.Random(seed)
    steps: list[Step] = []
    for _ in range(12):
        cycles = rng.choice([1, 2, 10, 14, 15, 16, 17, 18, 40, rng.randrange(1, 100)])
        rows = rng.randrange(1, cycles + 1)
        unit = rng.choice([Unit.ARRAY, Unit.ARRAY, Unit.VECTOR])
        drain = max(1, rng.randrange(cycles))  # results come after the last tap
        gap = None
        if steps and unit is steps[-1].unit is Unit.ARRAY and rng.random() < 0.8:
            gap = rng.randrange(1, 40)
            cycles += steps[-1].drain  # results come after those of the step before
        follow = gap is None and rng.random() < 0.5
        steps.append(Step(unit=unit, cycles=cycles, follow=follow, rows=rows, drain=drain, gap=gap))
    run(steps, small_params(program_words=500), seed)


def test_programs_chain() -> None:
    """The programs above do what their names say."""
    fetch = timing.FETCH_LATENCY + Control(small_params()).step_chunks
    chained = {
        name: [i for i, time in enumerate(times(steps, fetch)) if time.back > time.start]
        for name, steps in PROGRAMS.items()
    }
    assert {name: found for name, found in chained.items() if found} == {
        "chain": [1, 2],
        "chain-late": [1],
        "chain-long-gap": [1, 2],
        "chain-one-drains": [1, 2],
        "chain-after-follow": [2],
        "chain-before-follow": [1, 4],
        "chain-across": [3, 6],
    }


@pytest.mark.parametrize("drain", range(1, 45))
def test_a_chained_step_at_every_distance(drain: int) -> None:
    """Last tap and last result at every distance from the moment when the next step is there."""
    for gap in (1, drain):
        steps = [array(45, drain=drain), array(drain + 9, gap=gap, rows=3), vector(3)]
        run(steps, small_params(program_words=100))


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
    assert dut.step_chunks == step_chunks(dut.params)
