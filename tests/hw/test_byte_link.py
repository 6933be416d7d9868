"""Byte link: frames, byte order, stalls on every side, time-out in mid-frame."""

import gc
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.hdl import Const
from amaranth.sim import Simulator

from weft.hw.byte_link import ByteLink

CYCLES = 0x0403_0201
TIMEOUT = 64
ONE = Const(1)


def ref_results(words: list[int], n_out: int, bits: int) -> list[int]:
    """What the fake core below answers: a function of all words and of their order."""
    total = sum((i + 1) * word for i, word in enumerate(words))
    return [(total + i * 0x9E37) % (1 << bits) for i in range(n_out)]


def ref_reply(frame: bytes, lanes: int, n_out: int) -> bytes:
    parts = [frame[i : i + lanes] for i in range(0, len(frame), lanes)]
    results = ref_results([int.from_bytes(p, "little") for p in parts], n_out, 8 * lanes)
    return b"".join(r.to_bytes(lanes, "little") for r in results) + CYCLES.to_bytes(4, "little")


async def wait_for(ctx: Any, condition: Any, value: Any = ONE) -> int:
    """``value`` at the first clock edge at which ``condition`` holds.

    ``tick().until()`` would do, but leaves a warning behind if the simulation ends meanwhile.
    """
    while True:
        _clk, _rst, done, sampled = await ctx.tick().sample(condition, value)
        if done:
            return sampled


@dataclass
class Bench:
    """A link between a host that sends ``script`` (bytes, or pauses in cycles) and a fake core."""

    lanes: int
    n_in: int
    n_out: int
    script: list[bytes | int]
    stall: float = 0.0
    seed: int = 1
    replies: bytearray = field(default_factory=bytearray)
    resets: int = 0

    def run(self) -> "Bench":
        self.dut = ByteLink(
            lanes=self.lanes, n_in=self.n_in, n_out=self.n_out, timeout_cycles=TIMEOUT
        )
        self.random = random.Random(self.seed)
        sim = Simulator(self.dut)
        sim.add_clock(1e-6)
        sim.add_testbench(self.host)
        for bench in (self.core, self.reader, self.watch):
            sim.add_testbench(bench, background=True)
        sim.run()
        return self

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

    async def host(self, ctx: Any) -> None:
        for item in self.script:
            if isinstance(item, int):
                await ctx.tick().repeat(item)
            else:
                for byte in item:
                    await self.put(ctx, self.dut.rx, byte)
        await ctx.tick().repeat(400 + 200 * self.n_out * self.lanes)

    async def reader(self, ctx: Any) -> None:
        while True:
            self.replies.append(await self.get(ctx, self.dut.tx))

    async def watch(self, ctx: Any) -> None:
        while True:
            self.resets += await wait_for(ctx, ONE, self.dut.core_reset)

    async def core(self, ctx: Any) -> None:
        """Follows weft_top's protocol; its words count from 0 again after a reset."""
        while True:
            words: list[int] = []
            while len(words) < self.n_in:
                resets = self.resets
                word = await self.get(ctx, self.dut.words)
                words = [word] if self.resets != resets else [*words, word]
            ctx.set(self.dut.start_ready, 1)
            await wait_for(ctx, self.dut.start_valid)
            ctx.set(self.dut.start_ready, 0)
            await ctx.tick().repeat(20)
            ctx.set(self.dut.cycles, CYCLES)
            for result in ref_results(words, self.n_out, 8 * self.lanes):
                await self.put(ctx, self.dut.results, result)


def frame(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize(
    ("lanes", "n_in", "n_out"), [(1, 1, 1), (1, 5, 2), (4, 3, 2), (8, 1, 3), (3, 7, 1)]
)
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_frames(lanes: int, n_in: int, n_out: int, stall: float) -> None:
    reply_cycles = 400 + 200 * n_out * lanes
    frames = [frame(seed, lanes * n_in) for seed in range(3)]
    script: list[bytes | int] = [x for f in frames for x in (f, reply_cycles)]
    bench = Bench(lanes, n_in, n_out, script, stall).run()
    assert bench.replies == b"".join(ref_reply(f, lanes, n_out) for f in frames)
    assert bench.resets == 0


def test_lane_0_comes_first() -> None:
    bench = Bench(4, 1, 1, [bytes([1, 2, 3, 4])]).run()
    assert bench.replies == bytes([1, 2, 3, 4]) + CYCLES.to_bytes(4, "little")


@pytest.mark.parametrize("n_stray", [1, 3, 4, 5, 11])
def test_partial_frame_is_dropped_after_a_pause(n_stray: int) -> None:
    """Also when whole words of it are in the core already."""
    good = frame(7, 12)
    bench = Bench(4, 3, 2, [b"\xa5" * n_stray, TIMEOUT + 8, good, 900, good]).run()
    assert bench.replies == 2 * ref_reply(good, 4, 2)
    assert bench.resets == 1


def test_a_pause_shorter_than_the_time_out_is_none() -> None:
    good = frame(8, 12)
    bench = Bench(4, 3, 2, [good[:5], TIMEOUT - 4, good[5:6], TIMEOUT - 4, good[6:]]).run()
    assert bench.replies == ref_reply(good, 4, 2)
    assert bench.resets == 0


def test_no_time_out_between_frames() -> None:
    good = frame(9, 12)
    bench = Bench(4, 3, 2, [5 * TIMEOUT, good, 900 + 5 * TIMEOUT, good]).run()
    assert bench.replies == 2 * ref_reply(good, 4, 2)
    assert bench.resets == 0


def test_bytes_before_the_end_of_the_reply_are_discarded() -> None:
    good = frame(10, 12)
    bench = Bench(4, 3, 2, [good, 6, b"xyz", 900, good]).run()
    assert bench.replies == 2 * ref_reply(good, 4, 2)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")  # it never came to be
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes must be 1 or more, not 0"),
        ({"n_in": 0}, "n_in must be 1 or more, not 0"),
        ({"n_out": -1}, "n_out must be 1 or more, not -1"),
        ({"timeout_cycles": 1}, "timeout_cycles must be 2 or more, not 1"),
    ],
)
def test_parameters_are_checked(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        ByteLink(**{"lanes": 4, "n_in": 1, "n_out": 1, **changes})
    gc.collect()  # so that Amaranth's warning about it falls into this test
