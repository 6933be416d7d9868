"""Register bus: the map, and every access that is refused."""

from typing import Any

import pytest

from tests.hw.bus_bench import (
    AUTO,
    BUS_IN,
    BUS_OUT,
    HASH,
    LIMITS,
    MEMORY,
    PREDICTED,
    RESET,
    START,
    BusBench,
    RefusedError,
    bus_params,
    expected,
    sample,
)
from weft.hw.bus.params import BusParams
from weft.hw.bus.registers import BY_NAME, REGISTERS, Access, Field, Register
from weft.hw.progress import State

ADDRESS, SELECT, STATE, LIMIT = (f.mask for f in BY_NAME["ERRORS"].fields)

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
    ("memory", "limit"),
    [(m, limit) for m, limit in enumerate((*LIMITS, 0)) if limit < 1 << MEMORY]
    + [(16, 0), (255, 0)],
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
