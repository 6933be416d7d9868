"""Register bus: words over the bus and over streams, the map, every refusal, interrupts."""

import random
from typing import Any

import pytest

from tests.hw.bus_bench import HASH, LIMITS, PREDICTED, BusBench, RefusedError, bus_params
from tests.hw.link_bench import CYCLES, ref_results
from weft.hw.bus.params import BusParams
from weft.hw.bus.registers import BY_NAME, REGISTERS, Access, Field, Register
from weft.hw.progress import State

BUS_IN, BUS_OUT, AUTO = (
    BY_NAME["MODE"].field(n).mask for n in ("BUS_INPUT", "BUS_OUTPUT", "AUTO_START")
)
START, RESET = (BY_NAME["CONTROL"].field(name).mask for name in ("START", "RESET"))
ADDRESS, SELECT, STATE, LIMIT = (f.mask for f in BY_NAME["ERRORS"].fields)
MEMORY = 21  # place of the memory select in an image address
LANES = [1, 2, 3, 5, 16]


def sample(params: BusParams, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(8 * params.lanes) for _ in range(params.n_in)]


def expected(params: BusParams, words: list[int]) -> list[int]:
    return ref_results(words, params.n_out, 8 * params.lanes)


async def infer(bench: BusBench, ctx: Any, words: list[int]) -> list[int]:
    await bench.write_words(ctx, words)
    await bench.write(ctx, "CONTROL", START)
    await bench.until_done(ctx)
    return await bench.read_words(ctx, bench.params.n_out)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_words_over_the_bus(lanes: int, stall: float) -> None:
    params = bus_params(lanes, 5, 3)

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", BUS_IN | BUS_OUT)
        for seed in range(2):
            words = sample(params, seed)
            assert await infer(bench, ctx, words) == expected(params, words)
            assert await bench.read(ctx, "CYCLES") == CYCLES
            assert await bench.state(ctx) == State.LOAD
        assert await bench.read(ctx, "ERRORS") == 0

    bench = BusBench(params, master=master, stall=stall).run()
    assert bench.inputs == [sample(params, 0), sample(params, 1)]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("auto", [False, True])
def test_words_over_the_streams(lanes: int, stall: float, auto: bool) -> None:
    params = bus_params(lanes, 4, 3)
    samples = [sample(params, seed) for seed in range(3)]

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", AUTO if auto else 0)
        for n in range(3):
            while len(bench.inputs) == n:
                ready = await bench.state(ctx) == State.READY
                if ready and not auto:
                    await bench.write(ctx, "CONTROL", START)
        while len(bench.received) < 9:
            await ctx.tick()
        assert await bench.read(ctx, "ERRORS") == 0

    stream = [word for words in samples for word in words]
    bench = BusBench(params, master=master, stall=stall, stream_in=stream, stream_out=True).run()
    assert bench.inputs == samples
    results = [expected(params, words) for words in samples]
    assert bench.received == [(word, i == 2) for words in results for i, word in enumerate(words)]


@pytest.mark.parametrize("mode", [BUS_IN, BUS_OUT])
def test_one_way_over_the_bus_and_the_other_over_a_stream(mode: int) -> None:
    """The stream that is not chosen moves no word, though both its ends are ready."""
    params = bus_params(3, 2, 2)
    words = sample(params)

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", mode)
        if mode == BUS_IN:
            await bench.write_words(ctx, words)
        while await bench.state(ctx) != State.READY:
            pass
        await bench.write(ctx, "CONTROL", START)
        if mode == BUS_OUT:
            await bench.until_done(ctx)
            assert await bench.read_words(ctx, 2) == expected(params, words)
        await ctx.tick().repeat(80)

    stream = words if mode == BUS_OUT else [1, 2, 3]
    bench = BusBench(params, master=master, stream_in=stream, stream_out=True).run()
    assert bench.inputs == [words]
    got = [word for word, _ in bench.received]
    assert got == ([] if mode == BUS_OUT else expected(params, words))


BUILD = {
    "PREDICTED_CYCLES": PREDICTED,
    "LANES": 4,
    "INPUT_WORDS": 3,
    "OUTPUT_WORDS": 2,
    "WORDS_LEFT": 3,
    **{f"PLAN_HASH_{i}": int.from_bytes(HASH[4 * i : 4 * i + 4], "little") for i in range(4)},
}


def test_reset_values() -> None:
    async def master(bench: BusBench, ctx: Any) -> None:
        for register in REGISTERS:
            if register.name == "OUTPUT_DATA":
                continue
            reset = BUILD[register.name] if register.reset is None else register.reset
            assert await bench.read(ctx, register.name) == reset, register.name

    BusBench(bus_params(), master=master).run()


def test_what_may_be_written() -> None:
    """All bits of all registers: read-only ones refuse, plain ones keep their fields."""

    async def master(bench: BusBench, ctx: Any) -> None:
        for register in REGISTERS:
            refuses = not register.writable or register.name == "IMAGE_HIGH"  # no such memory
            assert await bench.refused(ctx, register.name, 0xFFFFFFFF) == refuses, register.name
            if register.access is Access.RW:
                mask = sum(f.mask for f in register.fields) or 0xFFFFFFFF
                assert await bench.read(ctx, register.name) == mask, register.name
        assert await bench.state(ctx) == State.LOAD

    BusBench(bus_params(), master=master).run()


def test_addresses_without_a_register() -> None:
    holes = set(range(0, 256, 4)) - {register.offset for register in REGISTERS}

    async def master(bench: BusBench, ctx: Any) -> None:
        for hole in sorted(holes):
            for we in (0, 1):
                await bench.write(ctx, "ERRORS", 15)
                with pytest.raises(RefusedError):
                    await bench.access(ctx, hole, we, 0, 15)
                assert await bench.read(ctx, "ERRORS") == ADDRESS
        assert (
            await bench.access(ctx, 0x03, 0, 0, 15) == BY_NAME["ID"].reset
        )  # two bits are ignored

    BusBench(bus_params(), master=master).run()


REFUSALS = {  # what was done before: what is refused, why
    "LOAD": [
        ("ID", 0, 15, ADDRESS),
        ("CONTROL", START, 15, STATE),
        ("CONTROL", RESET, 7, SELECT),
        ("INPUT_DATA", 0, 1, SELECT),
        ("IMAGE_LOW", 0, 0, SELECT),
    ],
    "READY": [("INPUT_DATA", 0, 15, STATE)],
    "RUN": [
        ("INPUT_DATA", 0, 15, STATE),
        ("MODE", 0, 15, STATE),
        ("CONTROL", START, 15, STATE),
        ("IMAGE_HIGH", 0, 15, STATE),
        ("OUTPUT_DATA", None, 15, STATE),
    ],
    "DONE": [("INPUT_DATA", 0, 15, STATE), ("MODE", 0, 15, STATE), ("CONTROL", START, 15, STATE)],
}
CASES = [(state, *case) for state, cases in REFUSALS.items() for case in cases]


@pytest.mark.parametrize(("when", "name", "value", "sel", "error"), CASES)
def test_refusals(when: str, name: str, value: int | None, sel: int, error: int) -> None:
    """What is refused says why and changes nothing: the inference goes on."""
    params = bus_params()
    words = sample(params)

    async def refuse(bench: BusBench, ctx: Any) -> None:
        assert await bench.read(ctx, "ERRORS") == 0
        state = await bench.state(ctx)
        assert state.name == when
        if value is None:
            with pytest.raises(RefusedError):
                await bench.read(ctx, name)
        else:
            assert await bench.refused(ctx, name, value, sel)
        assert await bench.read(ctx, "ERRORS") == error
        assert await bench.read(ctx, "STATUS") & 0x203 == 0x200 | state
        await bench.write(ctx, "ERRORS", 0xFFFFFFFF ^ error)
        assert await bench.read(ctx, "ERRORS") == error
        await bench.write(ctx, "ERRORS", error)
        assert await bench.read(ctx, "STATUS") & 0x200 == 0

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", BUS_IN | BUS_OUT)
        await bench.write(ctx, "IMAGE_ADDRESS", 1 << MEMORY)
        await bench.write_words(ctx, words[:1])
        if when == "LOAD":
            await refuse(bench, ctx)
        await bench.write_words(ctx, words[1:])
        if when == "READY":
            await refuse(bench, ctx)
        await bench.write(ctx, "CONTROL", START)
        if when == "RUN":
            await refuse(bench, ctx)
        await bench.until_done(ctx)
        if when == "DONE":
            await refuse(bench, ctx)
        assert await bench.read_words(ctx, 2) == expected(params, words)
        assert await bench.read(ctx, "MODE") == BUS_IN | BUS_OUT

    bench = BusBench(params, master=master, run_cycles=120).run()
    assert (bench.inputs, bench.images, bench.resets) == ([words], [], 0)


def test_data_registers_are_the_streams_unless_chosen() -> None:
    async def master(bench: BusBench, ctx: Any) -> None:
        assert await bench.refused(ctx, "INPUT_DATA", 1)
        await bench.write(ctx, "MODE", BUS_IN)
        await bench.write_words(ctx, [1, 2, 3])
        await bench.write(ctx, "CONTROL", START)
        await bench.until_done(ctx)
        with pytest.raises(RefusedError):
            await bench.read(ctx, "OUTPUT_DATA")

    BusBench(bus_params(), master=master).run()


@pytest.mark.parametrize(
    ("memory", "limit"), [(m, limit) for m, limit in enumerate(LIMITS) if limit < 1 << MEMORY]
)
def test_image_writes_end_at_the_limit(memory: int, limit: int) -> None:
    """The address counts on after each write, and not after one that is refused."""
    top, n_good = memory << MEMORY, min(limit, 3)
    data = [0xF_FFFF_FFFF, 0x1_2345_6789, 0x8_0000_0001]

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "IMAGE_ADDRESS", top | limit - n_good)
        for value in data[:n_good]:
            await bench.write(ctx, "IMAGE_LOW", value & 0xFFFFFFFF)
            await bench.write(ctx, "IMAGE_HIGH", value >> 32)
        for _ in range(2):
            assert await bench.refused(ctx, "IMAGE_HIGH", 5)
            assert await bench.read(ctx, "IMAGE_ADDRESS") == top | limit
        assert await bench.read(ctx, "ERRORS") == LIMIT

    bench = BusBench(bus_params(), master=master, stall=0.2).run()
    assert bench.images == [(top | limit - n_good + i, data[i]) for i in range(n_good)]


def test_image_writes_wait_for_no_start() -> None:
    """With AUTO_START, READY is the start."""

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", BUS_IN)
        await bench.write(ctx, "IMAGE_ADDRESS", 1 << MEMORY)
        await bench.write_words(ctx, [1, 2, 3])
        await bench.write(ctx, "IMAGE_HIGH", 3)
        await bench.write(ctx, "MODE", BUS_IN | AUTO)
        assert await bench.refused(ctx, "IMAGE_HIGH", 4)
        await bench.until_done(ctx)
        await bench.write(ctx, "IMAGE_HIGH", 5)

    bench = BusBench(bus_params(), master=master, run_cycles=60).run()
    assert [data >> 32 for _, data in bench.images] == [3, 5]


class Watched(BusBench):
    """Notes the order of starts and image writes."""

    async def watch(self, ctx: Any) -> None:
        self.order: list[str] = []
        dut = self.dut
        signals = (dut.image_valid, dut.start_valid & dut.start_ready)
        async for _clk, _rst, write, start in ctx.tick().sample(*signals):
            self.order += ["image"] * write + ["start"] * start


@pytest.mark.parametrize("wait", range(1, 13))
def test_no_image_write_after_a_start_by_itself(wait: int) -> None:
    """Whatever the cycle of the last input word: at the latest, both come in the same cycle."""

    async def master(bench: Any, ctx: Any) -> None:
        await bench.write(ctx, "IMAGE_ADDRESS", 1 << MEMORY)
        await bench.write(ctx, "MODE", AUTO)
        await ctx.tick().repeat(wait)
        refused = await bench.refused(ctx, "IMAGE_HIGH", 4)
        while "start" not in bench.order:
            await ctx.tick()
        assert bench.order == (["start"] if refused else ["image", "start"])

    Watched(bus_params(), master=master, run_cycles=60, stream_in=[1, 2, 3]).run()


def test_interrupt() -> None:
    """Pending from the run's end, whether enabled or not, until it is cleared."""

    async def master(bench: BusBench, ctx: Any) -> None:
        irq = bench.dut.irq
        await bench.write(ctx, "MODE", BUS_IN | BUS_OUT)
        for enable in (0, 1):
            await bench.write(ctx, "IRQ_ENABLE", enable)
            await bench.write_words(ctx, [1, 2, 3])
            await bench.write(ctx, "CONTROL", START)
            assert (await bench.read(ctx, "IRQ_PENDING"), ctx.get(irq)) == (0, 0)
            await bench.until_done(ctx)
            assert (await bench.read(ctx, "IRQ_PENDING"), ctx.get(irq)) == (1, enable)
            assert await bench.read(ctx, "STATUS") == 0x100 | State.DONE
            await bench.write(ctx, "IRQ_ENABLE", 1)
            assert ctx.get(irq) == 1
            await bench.read_words(ctx, 2)
            assert ctx.get(irq) == 1
            await bench.write(ctx, "IRQ_PENDING", 0)
            assert ctx.get(irq) == 1
            await bench.write(ctx, "IRQ_PENDING", 1)
            assert (await bench.read(ctx, "STATUS"), ctx.get(irq)) == (State.LOAD, 0)

    BusBench(bus_params(), master=master, run_cycles=60).run()


@pytest.mark.parametrize("mode", [BUS_IN | BUS_OUT, BUS_IN | BUS_OUT | AUTO])
@pytest.mark.parametrize("n_steps", range(9))
def test_reset_in_every_state(n_steps: int, mode: int) -> None:
    """Words, and pieces of words, that were on their way are gone; then all is as ever."""
    params = bus_params(5, 2, 2)
    words = sample(params)

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", mode)
        pieces = [piece for word in words for piece in (word & 0xFFFFFFFF, word >> 32)]
        steps = [lambda p=piece: bench.write(ctx, "INPUT_DATA", p) for piece in pieces]
        steps += [] if mode & AUTO else [lambda: bench.write(ctx, "CONTROL", START)]
        steps += [lambda: bench.until_done(ctx), *3 * [lambda: bench.read(ctx, "OUTPUT_DATA")]]
        for step in steps[:n_steps]:
            await step()
        await bench.write(ctx, "CONTROL", RESET | START)
        assert await bench.state(ctx) == State.LOAD
        assert await bench.read(ctx, "WORDS_LEFT") == 2
        assert await bench.read(ctx, "MODE") == mode
        await bench.write_words(ctx, words)
        if not mode & AUTO:
            await bench.write(ctx, "CONTROL", START)
        await bench.until_done(ctx)
        assert await bench.read_words(ctx, 2) == expected(params, words)
        assert await bench.read(ctx, "ERRORS") == 0

    bench = BusBench(params, master=master).run()
    assert bench.resets == 1


@pytest.mark.parametrize("seed", range(8))
def test_reset_while_a_stream_goes_on(seed: int) -> None:
    """Words before the reset are dropped, none after it is."""
    params = bus_params(2, 5, 1)
    stream = list(range(1, 30))

    async def master(bench: BusBench, ctx: Any) -> None:
        await bench.write(ctx, "MODE", BUS_OUT)
        await ctx.tick().repeat(1 + seed)
        await bench.write(ctx, "CONTROL", RESET)
        while await bench.state(ctx) != State.READY:
            pass
        await bench.write(ctx, "CONTROL", START)
        await bench.until_done(ctx)
        assert await bench.read_words(ctx, 1) == expected(params, bench.inputs[-1])

    bench = BusBench(params, master=master, stream_in=stream, seed=seed).run()
    (words,) = bench.inputs
    assert words == list(range(words[0], words[0] + 5))
    assert words[0] > 1 or seed < 4


def test_words_left() -> None:
    async def master(bench: BusBench, ctx: Any) -> None:
        left = []
        await bench.write(ctx, "MODE", BUS_IN | BUS_OUT)
        for word in (1, 2, 3):
            left.append(await bench.read(ctx, "WORDS_LEFT"))
            await bench.write_words(ctx, [word])
        left.append(await bench.read(ctx, "WORDS_LEFT"))
        await bench.write(ctx, "CONTROL", START)
        left.append(await bench.read(ctx, "WORDS_LEFT"))
        await bench.until_done(ctx)
        for _ in range(2):
            left.append(await bench.read(ctx, "WORDS_LEFT"))
            await bench.read_words(ctx, 1)
        assert left == [3, 2, 1, 0, 0, 2, 1]

    BusBench(bus_params(), master=master, run_cycles=60).run()


def test_pipelined_master() -> None:
    """``stall`` is low in the cycle of the answer only, so that no access is taken twice."""
    accesses = [("IMAGE_LOW", 5), ("IMAGE_LOW", 6), ("IMAGE_LOW", 7)]

    async def master(bench: BusBench, ctx: Any) -> None:
        wb, answers = bench.wb, 0
        ctx.set(wb.cyc, 1)
        for name, value in accesses:
            for signal, x in ((wb.stb, 1), (wb.we, 1), (wb.sel, 15), (wb.dat_w, value)):
                ctx.set(signal, x)
            ctx.set(wb.adr, BY_NAME[name].offset)
            while True:
                _clk, _rst, stall, ack = await ctx.tick().sample(wb.stall, wb.ack)
                answers += ack
                if not stall:
                    break
        ctx.set(wb.stb, 0)
        await ctx.tick().repeat(3)
        ctx.set(wb.cyc, 0)
        assert answers == 3
        assert await bench.read(ctx, "IMAGE_LOW") == 7

    BusBench(bus_params(), master=master).run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes must be 1 or more, not 0"),
        ({"plan_hash": b"ab"}, "plan_hash must have 16 bytes, not 2"),
        ({"predicted_cycles": 1 << 32}, "predicted_cycles must fit 32 bits, not 4294967296"),
    ],
)
def test_bad_params(changes: dict[str, Any], message: str) -> None:
    good = {name: getattr(bus_params(), name) for name in bus_params().__dataclass_fields__}
    with pytest.raises(ValueError, match=message):
        BusParams(**(good | changes))


def test_bad_registers() -> None:
    one = Field(name="A", low=3, bits=2, text="")
    with pytest.raises(ValueError, match="register X: offset 0x2 is no place for one"):
        Register(name="X", offset=2, access=Access.RO, text="")
    for other in (
        Field(name="B", low=4, bits=1, text=""),
        Field(name="B", low=31, bits=2, text=""),
    ):
        with pytest.raises(ValueError, match="register X: field B has no room"):
            Register(name="X", offset=0, access=Access.RO, text="", fields=(one, other))


def test_every_register_has_a_place_of_its_own() -> None:
    assert len({r.offset for r in REGISTERS}) == len(BY_NAME) == len(REGISTERS)
    assert [r.offset for r in REGISTERS] == sorted(r.offset for r in REGISTERS)
