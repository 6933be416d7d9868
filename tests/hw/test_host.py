"""The host's side: words in, run, words out, with stalls on every handshake."""

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from tests.hw.support import simulate, small_params
from weft.hw.host import Host, Register
from weft.hw.ram import Ram
from weft.machine.engine import Engine
from weft.machine.timing import BANK_LATENCY

LANES = 2
ACT_WORDS = 64
DEPTHS = (5, ACT_WORDS)  # addresses are as wide as the larger bank's
BANK_1 = ACT_WORDS
BEYOND = 0xDEAD
"""A word offered behind the last one: it must stay outside until the next inference."""


class Bench(wiring.Component):
    """A host with the activation memory that the engine gives it: the bank on top."""

    def __init__(self, params: Engine, registers: tuple[int, int, int, int]):
        self.host = Host(params, registers)
        self.ram = Ram(width=8 * params.lanes, depth=2 * ACT_WORDS)
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.host, m.submodules.ram = host, ram = self.host, self.ram
        m.d.comb += [
            ram.w_en.eq(host.write_en),
            ram.w_addr.eq(host.write_address),
            ram.w_data.eq(host.write_data),
            ram.r_addr.eq(host.read_address),
        ]
        m.d.sync += host.read_data.eq(ram.r_data)  # a bank's latency
        return m


def stalls(rng: random.Random, often: float) -> Iterator[int]:
    """Cycles to wait before each transfer."""
    while True:
        yield rng.randrange(1, 9) if rng.random() < often else 0


async def idle(ctx: Any, waits: Iterator[int]) -> None:
    """As many cycles as the next stall takes."""
    for _ in range(next(waits)):
        await ctx.tick()


Place = tuple[int, int, int, int]
"""What the registers say of one inference: input base and words, output base and words."""


class Inferences:
    """One inference per place, the registers rewritten where they change, stalls everywhere.

    ``busy``: cycles that each one takes. ``counts``: what the host counted. The outputs overlap
    the inputs or hold what ran before, so that the words show where they come from.
    """

    def __init__(self, places: list[Place], busy: list[int], often: float):
        self.places, self.busy, self.often = places, busy, often
        self.dut = Bench(small_params(lanes=LANES, act_words=DEPTHS), places[0])
        self.host = self.dut.host
        self.rng = random.Random(1)
        self.inputs = [[self.rng.getrandbits(8 * LANES) for _ in range(n)] for _, n, _, _ in places]
        self.received: list[list[int]] = []
        self.counts: list[int] = []
        self.loaded = 0  # inputs of this inference that have been taken
        self.placed = 0  # inferences whose registers are written

    def run(self) -> list[int]:
        """Simulate, compare the outputs with what lies in memory then; the counts."""
        simulate(self.dut, self.source, self.sink, self.runner, self.monitor)
        memory = [0] * 2 * ACT_WORDS
        for place, words, got in zip(self.places, self.inputs, self.received, strict=True):
            in_base, _, out_base, out_words = place
            memory[in_base : in_base + len(words)] = words
            assert got == memory[out_base : out_base + out_words]
        return self.counts

    async def source(self, ctx: Any) -> None:
        """The input words; after a change of the registers they wait for it."""
        waits, port = stalls(self.rng, self.often), self.host.i
        for n, words in enumerate(self.inputs):
            while self.places[n] != self.places[n - 1] and self.placed <= n:
                await ctx.tick()
            for i, word in enumerate(words):
                await idle(ctx, waits)
                ctx.set(port.valid, 1)
                ctx.set(port.payload, word)
                await ctx.tick().until(port.ready)
                self.loaded = i + 1
                ctx.set(port.valid, 0)
                ctx.set(port.payload, BEYOND)

    async def sink(self, ctx: Any) -> None:
        """Takes the output words."""
        waits, port = stalls(self.rng, self.often), self.host.o
        for _, _, _, words in self.places:
            got: list[int] = []
            for _ in range(words):
                await idle(ctx, waits)
                ctx.set(port.ready, 1)
                (word,) = await ctx.tick().sample(port.payload).until(port.valid)
                ctx.set(port.ready, 0)
                got.append(word)
            self.received.append(got)

    async def runner(self, ctx: Any) -> None:
        """Registers, start and the engine's busy time."""
        waits, before = stalls(self.rng, self.often), self.places[0]
        for place, cycles, words in zip(self.places, self.busy, self.inputs, strict=True):
            if place != before:
                await self.write_registers(ctx, place)
                before = place
            self.placed += 1
            await idle(ctx, waits)
            await self.start(ctx, len(words))
            n_done = len(self.received)
            await self.work(ctx, cycles)
            while len(self.received) == n_done:
                assert not ctx.get(self.host.start_ready)
                await ctx.tick()
            self.counts.append(ctx.get(self.host.cycles))

    async def write_registers(self, ctx: Any, place: Place) -> None:
        """Image writes while idle."""
        for register, value in zip(Register, place, strict=True):
            ctx.set(self.host.register_en, 1)
            ctx.set(self.host.register_index, register)
            ctx.set(self.host.register_data, value)
            await ctx.tick()
        ctx.set(self.host.register_en, 0)

    async def start(self, ctx: Any, n_words: int) -> None:
        """The start is taken when all inputs are there."""
        ctx.set(self.host.start_valid, 1)
        while not ctx.get(self.host.start_ready):
            await ctx.tick()
        assert self.loaded == n_words
        self.loaded = 0
        await ctx.tick()
        ctx.set(self.host.start_valid, 0)

    async def work(self, ctx: Any, cycles: int) -> None:
        """The engine is busy; no word goes in or out."""
        ctx.set(self.host.busy, 1)
        for _ in range(cycles):
            assert not ctx.get(self.host.i.ready)
            assert not ctx.get(self.host.o.valid)
            await ctx.tick()
        ctx.set(self.host.busy, 0)

    async def monitor(self, ctx: Any) -> None:
        """A word that is offered stays until it is taken; ``go`` follows the start's handshake."""
        host = self.host
        offered, started = None, False
        while len(self.received) < len(self.places):
            watched = (host.start_valid, host.start_ready, host.go)
            values = await ctx.tick().sample(host.o.valid, host.o.ready, host.o.payload, *watched)
            valid, ready, word, start_valid, start_ready, go = values[2:]
            assert go == started
            started = start_valid and start_ready
            if offered is not None:
                assert (valid, word) == (1, offered)
            offered = word if valid and not ready else None


@pytest.mark.parametrize("often", [0, 0.3, 0.9])
@pytest.mark.parametrize(
    "place",
    [
        (0, 1, 0, 1),
        (0, 7, 0, 7),
        (3, 20, 10, 13),
        (5, 1, 0, 64),
        (0, 64, 63, 1),
        (40, 9, 44, 5),
        (BANK_1, 64, BANK_1, 64),
        (BANK_1 + 3, 8, 2, 9),
        (60, 4, BANK_1 + 63, 1),
        (1, 9, BANK_1 + 7, 3),
    ],
    ids=str,
)
def test_inferences(place: Place, often: float) -> None:
    """Three inferences in a row: no word is lost, doubled or taken too early."""
    busy = [12, 1, 30]
    assert Inferences([place] * 3, busy, often).run() == busy


@pytest.mark.parametrize("often", [0, 0.5])
def test_registers_can_be_rewritten(often: float) -> None:
    places = [
        (0, 8, 0, 8),
        (10, 8, 4, 14),
        (BANK_1 + 2, 12, 0, 30),
        (0, 8, BANK_1, 15),
        (0, 8, 0, 8),
    ]
    assert Inferences(places, [5, 6, 7, 8, 9], often).run() == [5, 6, 7, 8, 9]


def test_output_rate() -> None:
    """A ready sink gets a word every ``BANK_LATENCY + 2`` cycles."""
    dut = Bench(small_params(lanes=LANES, act_words=DEPTHS), (0, 1, 0, 9))
    host = dut.host
    valid: list[int] = []

    async def bench(ctx: Any) -> None:
        for signal in (host.i.valid, host.start_valid, host.o.ready):
            ctx.set(signal, 1)
        for t in range(60):
            ctx.set(host.busy, t == 2)
            ctx.set(host.i.valid, t == 0)
            _clk, _rst, out = await ctx.tick().sample(host.o.valid)
            if out:
                valid.append(t)

    simulate(dut, bench)
    assert len(valid) == 9
    assert {b - a for a, b in pairwise(valid)} == {BANK_LATENCY + 2}


def test_registers() -> None:
    """Numbers that generated images and drivers depend on."""
    assert [register.value for register in Register] == list(range(4))
    assert [r.name for r in sorted(Register, key=lambda r: r.value)] == [
        "INPUT_BASE",
        "INPUT_WORDS",
        "OUTPUT_BASE",
        "OUTPUT_WORDS",
    ]
