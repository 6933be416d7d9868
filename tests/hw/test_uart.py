"""UART: bit timing, start and stop bits that are none, back pressure."""

import gc
import random
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from weft.hw.uart import Receiver, Transmitter

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, *random.Random(1).randbytes(10)]


def run(dut: Any, *benches: Callable[[Any], Any], background: tuple[Any, ...] = ()) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for bench in benches:
        sim.add_testbench(bench)
    for bench in background:
        sim.add_testbench(bench, background=True)
    sim.run()


async def hold(ctx: Any, line: Any, level: int, cycles: float, rest: list[float]) -> None:
    """Drive a line for a number of cycles that need not be whole; ``rest`` carries the fraction."""
    rest[0] += cycles
    whole = int(rest[0])
    rest[0] -= whole
    ctx.set(line, level)
    if whole:
        await ctx.tick().repeat(whole)


async def send(ctx: Any, line: Any, byte: int, bit: float, stop: int = 1) -> None:
    rest = [0.0]
    for level in (0, *((byte >> i) & 1 for i in range(8)), stop):
        await hold(ctx, line, level, bit, rest)


async def sample(ctx: Any, *signals: Any) -> Any:
    """Values at the next clock edge."""
    _clk, _rst, *values = await ctx.tick().sample(*signals)
    return values


@pytest.mark.parametrize(
    ("divisor", "speed"),
    [(4, 1), (5, 1), (16, 0.97), (16, 1), (16, 1.03), (25, 0.97), (25, 1), (25, 1.03)],
)
def test_receiver_takes_bytes_of_a_slightly_wrong_speed(divisor: int, speed: float) -> None:
    dut = Receiver(divisor=divisor)
    got: list[int] = []

    async def line(ctx: Any) -> None:
        await ctx.tick().repeat(3)
        for byte in BYTES:
            await send(ctx, dut.rx, byte, divisor * speed)
        await ctx.tick().repeat(2 * divisor)

    async def reader(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        while True:
            valid, payload, framing, overrun = await sample(
                ctx, dut.o.valid, dut.o.payload, dut.framing_error, dut.overrun
            )
            assert not framing
            assert not overrun
            if valid:
                got.append(payload)

    run(dut, line, background=(reader,))
    assert got == BYTES


def test_receiver_holds_a_byte_under_stalls() -> None:
    divisor = 8
    dut = Receiver(divisor=divisor)
    stalls = random.Random(2)
    got: list[int] = []

    async def line(ctx: Any) -> None:
        for byte in BYTES:
            await send(ctx, dut.rx, byte, divisor)
        await ctx.tick().repeat(12 * divisor)

    async def reader(ctx: Any) -> None:
        while True:
            await ctx.tick().repeat(stalls.randrange(1, 8 * divisor))
            ctx.set(dut.o.ready, 1)
            valid = payload = 0
            while not valid:
                valid, payload = await sample(ctx, dut.o.valid, dut.o.payload)
            ctx.set(dut.o.ready, 0)
            got.append(payload)

    run(dut, line, background=(reader,))
    assert got == BYTES


def faults(scenario: Callable[[Any, Any], Any], divisor: int = 8) -> tuple[list[int], int, int]:
    """Bytes, framing errors and overruns that a scenario on the line causes (reader ready)."""
    dut = Receiver(divisor=divisor)
    got: list[int] = []
    errors = [0, 0]

    async def line(ctx: Any) -> None:
        await ctx.tick()
        await scenario(ctx, dut)
        await ctx.tick().repeat(12 * divisor)

    async def reader(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        while True:
            valid, ready, payload, framing, overrun = await sample(
                ctx, dut.o.valid, dut.o.ready, dut.o.payload, dut.framing_error, dut.overrun
            )
            if valid and ready:
                got.append(payload)
            errors[0] += framing
            errors[1] += overrun

    run(dut, line, background=(reader,))
    return got, errors[0], errors[1]


def test_receiver_ignores_a_pulse_shorter_than_half_a_bit() -> None:
    async def scenario(ctx: Any, dut: Receiver) -> None:
        ctx.set(dut.rx, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(10)
        await send(ctx, dut.rx, 0xA5, 8)

    assert faults(scenario) == ([0xA5], 0, 0)


def test_receiver_drops_a_byte_without_stop_bit_and_waits_for_a_high_line() -> None:
    async def scenario(ctx: Any, dut: Receiver) -> None:
        await send(ctx, dut.rx, 0x00, 8, stop=0)
        await ctx.tick().repeat(200)  # a break: one error, not a row of zero bytes
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(4)
        await send(ctx, dut.rx, 0x3C, 8)

    assert faults(scenario) == ([0x3C], 1, 0)


def test_receiver_reports_overrun_and_keeps_the_first_byte() -> None:
    async def scenario(ctx: Any, dut: Receiver) -> None:
        ctx.set(dut.o.ready, 0)
        await send(ctx, dut.rx, 0x11, 8)
        await send(ctx, dut.rx, 0x22, 8)
        await ctx.tick().repeat(8)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(2)
        await send(ctx, dut.rx, 0x33, 8)

    assert faults(scenario) == ([0x11, 0x33], 0, 1)


@pytest.mark.parametrize("divisor", [4, 9])
@pytest.mark.parametrize("gap", [0, 30])
def test_transmitter_bit_times_are_exact(divisor: int, gap: int) -> None:
    dut = Transmitter(divisor=divisor)
    levels: list[int] = []

    async def writer(ctx: Any) -> None:
        for byte in BYTES:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            if gap:
                await ctx.tick().repeat(gap)
        await ctx.tick().repeat(12 * divisor)

    async def line(ctx: Any) -> None:
        while True:
            levels.extend(await sample(ctx, dut.tx))

    run(dut, writer, background=(line,))
    at = 0
    for byte in BYTES:
        at = levels.index(0, at)
        bits = [0, *((byte >> i) & 1 for i in range(8)), 1]
        assert levels[at : at + 10 * divisor] == [b for b in bits for _ in range(divisor)]
        at += 10 * divisor
    assert set(levels[at:]) == {1}


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")  # it never came to be
@pytest.mark.parametrize("component", [Receiver, Transmitter])
def test_divisor_is_checked(component: Any) -> None:
    with pytest.raises(ValueError, match=r"^divisor must be 4 cycles per bit or more, not 3$"):
        component(divisor=3)
    gc.collect()  # so that Amaranth's warning about it falls into this test
