"""Register bus: words over the bus and over streams, interrupts, resets, pipelined masters."""

from typing import Any

import pytest

from tests.hw.bus_bench import (
    AUTO,
    BUS_IN,
    BUS_OUT,
    MEMORY,
    RESET,
    START,
    BusBench,
    bus_params,
    expected,
    sample,
)
from tests.hw.link_bench import CYCLES
from weft.hw.bus.registers import BY_NAME
from weft.hw.progress import State

LANES = [1, 2, 3, 5, 16]


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
