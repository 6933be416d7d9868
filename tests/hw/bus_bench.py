"""A register bus between a scripted Wishbone master and a fake core."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from tests.hw.link_bench import Bench, ref_results, wait_for
from weft.hw.bus.params import BusParams
from weft.hw.bus.register_bank import RegisterBank
from weft.hw.bus.registers import BY_NAME
from weft.hw.bus.wishbone import Wishbone
from weft.hw.progress import State

LIMITS = (0, 5, 256, 257, 0x12345, 1 << 24, 0, 1, 0x300, 2)
HASH = bytes(range(0xA1, 0xA1 + 16))
PREDICTED = 4711


def bus_params(lanes: int = 4, n_in: int = 3, n_out: int = 2) -> BusParams:
    return BusParams(
        lanes=lanes,
        n_in=n_in,
        n_out=n_out,
        image_limits=LIMITS,
        predicted_cycles=PREDICTED,
        plan_hash=HASH,
    )


BUS_IN, BUS_OUT, AUTO = (f.mask for f in BY_NAME["MODE"].fields)
START, RESET = (f.mask for f in BY_NAME["CONTROL"].fields)
MEMORY = 24  # place of the memory's number in an image address


def sample(params: BusParams, seed: int = 0) -> list[int]:
    """Input words."""
    rng = random.Random(seed)
    return [rng.getrandbits(8 * params.lanes) for _ in range(params.n_in)]


def expected(params: BusParams, words: list[int]) -> list[int]:
    """What the fake core makes of them."""
    return ref_results(words, params.n_out, 8 * params.lanes)


class Slave(Elaboratable):
    """Wishbone and registers; the core's and the streams' ports are the registers'."""

    def __init__(self, params: BusParams):
        self.wb: Any = Wishbone()
        self.bank: Any = RegisterBank(params)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.wishbone, m.submodules.bank = self.wb, self.bank
        connect(m, self.wb.registers, self.bank.bus)
        return m


class RefusedError(Exception):
    """The bus answered with ERR."""


@dataclass
class BusBench(Bench):
    """Runs ``master(bench, ctx)``; ``link_bench`` has the core.

    stream_in: words that are offered once MODE was written. received: with ``stream_out``, words
    that came back, with their ``last``.
    """

    params: Any
    script: Any = ()
    master: Callable[["BusBench", Any], Awaitable[None]] | None = None
    stream_in: list[int] = field(default_factory=list)
    stream_out: bool = False
    released: bool = False
    received: list[tuple[int, int]] = field(default_factory=list)

    def run(self) -> "BusBench":
        self.random = random.Random(self.seed)
        slave = Slave(self.params)
        self.dut, self.wb = slave.bank, slave.wb
        sim = Simulator(slave)
        sim.add_clock(1e-6)
        sim.add_testbench(self.drive)
        for bench in (self.core, self.watch, self.source, self.sink):
            sim.add_testbench(bench, background=True)
        sim.run()
        return self

    async def drive(self, ctx: Any) -> None:
        assert self.master is not None
        await self.master(self, ctx)

    async def source(self, ctx: Any) -> None:
        while not self.released:
            await ctx.tick()
        for word in self.stream_in:
            await self.put(ctx, self.dut.i, word)

    async def sink(self, ctx: Any) -> None:
        while self.stream_out:
            await self.wait(ctx)
            ctx.set(self.dut.o.ready, 1)
            both = await wait_for(ctx, self.dut.o.valid, Cat(self.dut.o.payload, self.dut.last))
            ctx.set(self.dut.o.ready, 0)
            bits = 8 * self.params.lanes
            self.received.append((both & (1 << bits) - 1, both >> bits))

    async def access(self, ctx: Any, address: int, we: int, value: int, sel: int) -> int:
        """One classic cycle. Raises RefusedError."""
        wb = self.wb
        while self.random.random() < self.stall:
            ctx.set(wb.cyc, self.random.getrandbits(1))  # without stb it means nothing
            await ctx.tick()
        for signal, x in ((wb.adr, address), (wb.we, we), (wb.dat_w, value), (wb.sel, sel)):
            ctx.set(signal, x)
        ctx.set(wb.cyc, 1)
        ctx.set(wb.stb, 1)
        for _ in range(200):
            _clk, _rst, ack, err, data = await ctx.tick().sample(wb.ack, wb.err, wb.dat_r)
            if ack or err:
                break
        else:
            raise AssertionError("the bus does not answer")
        ctx.set(wb.stb, 0)
        ctx.set(wb.cyc, 0)
        assert not (ack and err)
        if err:
            raise RefusedError
        return data

    async def read(self, ctx: Any, name: str) -> int:
        return await self.access(ctx, BY_NAME[name].offset, 0, 0, 15)

    async def write(self, ctx: Any, name: str, value: int, sel: int = 15) -> None:
        await self.access(ctx, BY_NAME[name].offset, 1, value, sel)
        self.released |= name == "MODE"

    async def refused(self, ctx: Any, name: str, value: int, sel: int = 15) -> bool:
        """Whether a write is."""
        try:
            await self.write(ctx, name, value, sel)
        except RefusedError:
            return True
        return False

    async def state(self, ctx: Any) -> State:
        return State(await self.read(ctx, "STATUS") & 3)

    async def until_done(self, ctx: Any) -> None:
        for _ in range(500):
            if await self.state(ctx) == State.DONE:
                return
        raise AssertionError("the run does not end")

    async def write_words(self, ctx: Any, words: list[int]) -> None:
        for word in words:
            for piece in range(self.params.pieces):
                await self.write(ctx, "INPUT_DATA", word >> 32 * piece & 0xFFFFFFFF)

    async def read_words(self, ctx: Any, n: int) -> list[int]:
        words = []
        for _ in range(n):
            pieces = [await self.read(ctx, "OUTPUT_DATA") for _ in range(self.params.pieces)]
            words.append(sum(piece << 32 * i for i, piece in enumerate(pieces)))
        return words
