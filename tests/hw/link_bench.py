"""A host link between a scripted host and a fake core that remembers what it was told."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Const
from amaranth.sim import Simulator

from weft.hw.link.link import Link
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import Command, request

CYCLES = 0x0403_0201
TIMEOUT_BITS = 7
IDENTITY = bytes(range(0xA1, 0xA1 + 15))
LIMITS = (0, 5, 256, 257, 0x12345, 1 << 24, 0, (1 << 24) - 1, 0x300, 1)
"""Of the registers and nine memories; the last number is no power of two."""

ONE = Const(1)


def link_params(lanes: int = 4, n_in: int = 3, n_out: int = 2) -> LinkParams:
    return LinkParams(lanes=lanes, n_in=n_in, n_out=n_out, image_limits=LIMITS, identity=IDENTITY)


def image_request(memory: int, *writes: tuple[int, int]) -> bytes:
    """An IMAGE request of writes (address, data)."""
    parts = (data.to_bytes(5, "little") + place.to_bytes(3, "little") for place, data in writes)
    return request(Command.IMAGE, bytes([memory]) + b"".join(parts))


def ref_results(words: list[int], n_out: int, bits: int) -> list[int]:
    """What the fake core answers: a function of all words and of their order."""
    total = sum((i + 1) * word for i, word in enumerate(words))
    return [(total + i * 0x9E37) % (1 << bits) for i in range(n_out)]


@dataclass
class Bench:
    """Runs ``script``: bytes that are sent, or numbers of cycles to wait.

    After each item the host waits until the link is quiet. ``replies`` holds the bytes that came
    back after each item, ``images`` the image writes (address, data), ``inputs`` the input words of
    each started inference.
    """

    params: LinkParams
    script: Sequence[bytes | int]
    stall: float = 0.0
    seed: int = 1
    run_cycles: int = 20
    replies: list[bytes] = field(default_factory=list)
    images: list[tuple[int, int]] = field(default_factory=list)
    inputs: list[list[int]] = field(default_factory=list)
    resets: int = 0

    def run(self) -> "Bench":
        self.dut: Any = Link(self.params, timeout_bits=TIMEOUT_BITS)
        self.random = random.Random(self.seed)
        self.back = bytearray()
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(self.host)
        for bench in (self.core, self.reader, self.watch):
            sim.add_testbench(bench, background=True)
        sim.run()
        return self

    async def host(self, ctx: Any) -> None:
        for item in self.script:
            if isinstance(item, int):
                await ctx.tick().repeat(item)
            else:
                for byte in item:
                    await self.put(ctx, self.dut.rx, byte)
            while ctx.get(self.dut.active):
                await ctx.tick()
            self.replies.append(bytes(self.back))
            self.back.clear()

    async def reader(self, ctx: Any) -> None:
        while True:
            self.back.append(await self.get(ctx, self.dut.tx))

    async def watch(self, ctx: Any) -> None:
        dut = self.dut
        signals = (dut.core_reset, dut.image_valid, dut.image.address, dut.image.data)
        async for _clk, _rst, reset, write, address, data in ctx.tick().sample(*signals):
            self.resets += reset
            if write:
                self.images.append((address, data))

    async def core(self, ctx: Any) -> None:
        """Follows weft_top's protocol; its words count from 0 again after a reset."""
        params = self.params
        while True:
            words: list[int] = []
            resets = self.resets
            while len(words) < params.n_in:
                word = await self.get(ctx, self.dut.words)
                words = [*(words if resets == self.resets else []), word]
                resets = self.resets
            ctx.set(self.dut.start_ready, 1)
            if not await self.until(ctx, self.dut.start_valid, resets):
                continue
            ctx.set(self.dut.start_ready, 0)
            self.inputs.append(words)
            for i in range(self.run_cycles):
                ctx.set(self.dut.cycles, i * 0x01010101 & 0xFFFFFFFF)
                await ctx.tick()
            ctx.set(self.dut.cycles, CYCLES)
            for result in ref_results(words, params.n_out, 8 * params.lanes):
                await self.wait(ctx)
                ctx.set(self.dut.results.payload, result)
                ctx.set(self.dut.results.valid, 1)
                there = await self.until(ctx, self.dut.results.ready, resets)
                ctx.set(self.dut.results.valid, 0)
                if not there:
                    break

    async def until(self, ctx: Any, signal: Any, resets: int) -> bool:
        """Whether ``signal`` came before another reset."""
        while True:
            _clk, _rst, there, reset = await ctx.tick().sample(signal, self.dut.core_reset)
            if reset or self.resets != resets:
                ctx.set(self.dut.start_ready, 0)
                return False
            if there:
                return True

    async def wait(self, ctx: Any) -> None:
        while self.random.random() < self.stall:
            await ctx.tick()

    async def put(self, ctx: Any, port: Any, value: int) -> None:
        await self.wait(ctx)
        ctx.set(port.payload, value)
        ctx.set(port.valid, 1)
        await wait_for(ctx, port.ready)
        ctx.set(port.valid, 0)

    async def get(self, ctx: Any, port: Any) -> int:
        await self.wait(ctx)
        ctx.set(port.ready, 1)
        value = await wait_for(ctx, port.valid, port.payload)
        ctx.set(port.ready, 0)
        return value


async def wait_for(ctx: Any, condition: Any, value: Any = ONE) -> int:
    """``value`` at the first clock edge at which ``condition`` holds.

    ``tick().until()`` would do, but leaves a warning behind if the simulation ends meanwhile.
    """
    while True:
        _clk, _rst, done, sampled = await ctx.tick().sample(condition, value)
        if done:
            return sampled
