"""Runs inside the simulator (a cocotb test module): ``weft_soc`` at the hands of a bus master.

The master and the stream ends are written from docs/integration.md. They change signals after a
rising edge of the clock, and see what is there before the next one. ``build`` in the run directory
is the build directory.
"""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout

from weft.gen.build_dir import read_build
from weft.gen.data import load_inputs
from weft.hw.bus.registers import BY_NAME
from weft.machine import timing
from weft.machine.encode import UPLOAD_RECORD
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.machine.memory_map import memory_map
from weft.nn.ir.host import encode_inputs
from weft.nn.ir.reference import run

BUILD = read_build(Path("build"))
PLAN = BUILD.plan
LANES = PLAN.engine.lanes
PIECES = -(-LANES // 4)
PREDICTED = timing.cycles(PLAN)
RECORDS = np.fromfile("build/images/upload.bin", UPLOAD_RECORD).tolist()
WEIGHTS = memory_map(PLAN.engine).number("weights")
CODES = encode_inputs(BUILD.graph, load_inputs(Path("inputs.npz"), BUILD.graph, 8))
WORDS = pack_inputs(PLAN.inputs, CODES, LANES).view(np.uint8)
EXPECTED = run(BUILD.graph, CODES)
BUS_IN, BUS_OUT, AUTO = 1, 2, 4
START, RESET = 1, 2
LOAD, READY, RUN, DONE = range(4)


class Refused(Exception):
    """The bus answered with ERR."""


class Master:
    """A Wishbone master with classic cycles, and now and then a pause between them."""

    def __init__(self, dut: Any, pause: float = 0.0):
        self.dut, self.pause, self.random = dut, pause, random.Random(7)

    async def access(self, address: int, we: int, data: int = 0, sel: int = 15) -> int:
        dut = self.dut
        while self.random.random() < self.pause:
            await RisingEdge(dut.clk)
        dut.wb_cyc.value = dut.wb_stb.value = 1
        dut.wb_adr.value, dut.wb_we.value = address, we
        dut.wb_dat_w.value, dut.wb_sel.value = data, sel
        ack = err = value = cycles = 0
        while not ack and not err:
            await FallingEdge(dut.clk)
            ack, err, value = int(dut.wb_ack.value), int(dut.wb_err.value), int(dut.wb_dat_r.value)
            await RisingEdge(dut.clk)
            cycles += 1
        assert ack + err == 1
        assert cycles == 2 or (cycles <= 7 and address == BY_NAME["OUTPUT_DATA"].offset)
        dut.wb_cyc.value = dut.wb_stb.value = 0
        dut.wb_adr.value = dut.wb_we.value = dut.wb_dat_w.value = dut.wb_sel.value = 0
        if err:
            raise Refused
        return value

    async def read(self, name: str) -> int:
        return await self.access(BY_NAME[name].offset, 0)

    async def write(self, name: str, value: int, sel: int = 15) -> None:
        await self.access(BY_NAME[name].offset, 1, value, sel)

    async def state(self) -> int:
        return await self.read("STATUS") & 3

    async def refused(self, name: str, value: int | None, sel: int = 15) -> bool:
        try:
            await (self.read(name) if value is None else self.write(name, value, sel))
        except Refused:
            return True
        return False

    async def send(self, words: np.ndarray) -> None:
        """Input words [n, K]."""
        for word in words:
            data = word.tobytes().ljust(4 * PIECES, b"\xaa")  # what a word lacks means nothing
            for i in range(0, len(data), 4):
                await self.write("INPUT_DATA", int.from_bytes(data[i : i + 4], "little"))

    async def receive(self) -> np.ndarray:
        """All output words [n, K]."""
        words = []
        for _ in range(PLAN.outputs.words):
            pieces = [await self.read("OUTPUT_DATA") for _ in range(PIECES)]
            data = b"".join(piece.to_bytes(4, "little") for piece in pieces)
            assert not any(data[LANES:])
            words.append(np.frombuffer(data[:LANES], np.int8))
        return np.stack(words)

    async def write_image(self, address: int, data: int) -> None:
        await self.write("IMAGE_ADDRESS", address)
        await self.write("IMAGE_LOW", data & 0xFFFFFFFF)
        await self.write("IMAGE_HIGH", data >> 32)

    async def infer(self, sample: int, *, check: bool = True) -> np.ndarray:
        """A whole inference over the bus; its outputs and cycles must be right."""
        await self.send(WORDS[sample])
        assert await self.state() == READY
        await self.write("CONTROL", START)
        await done(self.dut)
        assert await self.state() == DONE
        await self.write("IRQ_PENDING", 1)
        words = await self.receive()
        assert await self.state() == LOAD
        assert await self.read("CYCLES") == await self.read("PREDICTED_CYCLES") == PREDICTED
        if check:
            check_words(sample, words)
        return words


def check_words(sample: int, words: np.ndarray) -> None:
    actual = unpack_outputs(PLAN.outputs, words[np.newaxis])
    for port, edge in zip(PLAN.outputs.ports, BUILD.graph.outputs, strict=True):
        expected = EXPECTED[edge.tensor][sample]
        np.testing.assert_array_equal(actual[port.edge.tensor][0], expected)


async def done(dut: Any) -> None:
    """Wait for the interrupt."""
    if not int(dut.irq.value):
        await with_timeout(RisingEdge(dut.irq), 2 * PREDICTED + 100, "step")
    await RisingEdge(dut.clk)


async def reset(dut: Any, pause: float = 0.0, mode: int = BUS_IN | BUS_OUT) -> Master:
    """Power up; the interrupt is enabled."""
    Clock(dut.clk, 2, "step", impl="gpi").start()
    for name in ("cyc", "stb", "we", "adr", "sel", "dat_w"):
        getattr(dut, f"wb_{name}").value = 0
    dut.s_axis_tvalid.value = dut.s_axis_tdata.value = dut.m_axis_tready.value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    master = Master(dut, pause)
    await master.write("MODE", mode)
    await master.write("IRQ_ENABLE", 1)
    return master


@cocotb.test()
async def bus_only(dut: Any) -> None:
    master = await reset(dut, pause=0.3)
    assert await master.read("ID") == int.from_bytes(b"weft", "little")
    hashes = [await master.read(f"PLAN_HASH_{i}") for i in range(4)]
    digest = bytes.fromhex(BUILD.manifest["plan_hash"])[:16]
    assert b"".join(word.to_bytes(4, "little") for word in hashes) == digest
    for name, value in (
        ("LANES", LANES),
        ("INPUT_WORDS", PLAN.inputs.words),
        ("OUTPUT_WORDS", PLAN.outputs.words),
    ):
        assert await master.read(name) == value
    for sample in range(3):
        await master.infer(sample)
    assert await master.read("ERRORS") == 0


async def feed(dut: Any, samples: range, rng: random.Random) -> None:
    """A DMA engine's bursts of input words; a word that is offered stays."""
    for word in (word for sample in samples for word in WORDS[sample]):
        if rng.random() < 0.1:
            await ClockCycles(dut.clk, rng.randrange(1, 30))
        dut.s_axis_tdata.value = int.from_bytes(word.tobytes(), "little")
        dut.s_axis_tvalid.value = 1
        ready = 0
        while not ready:
            await FallingEdge(dut.clk)
            ready = int(dut.s_axis_tready.value)
            await RisingEdge(dut.clk)
        dut.s_axis_tvalid.value = 0


async def drain(dut: Any, rng: random.Random) -> AsyncIterator[tuple[bytes, int]]:
    """Output words with their TLAST; what is offered must stay until it is taken."""
    offered = None
    while True:
        dut.m_axis_tready.value = ready = int(rng.random() < 0.3)
        if offered is None and not int(dut.m_axis_tvalid.value):
            await RisingEdge(dut.m_axis_tvalid)  # of little interest: nothing can be taken
        await FallingEdge(dut.clk)
        now = None
        if int(dut.m_axis_tvalid.value):
            data = int(dut.m_axis_tdata.value).to_bytes(LANES, "little")
            now = (data, int(dut.m_axis_tlast.value))
        assert offered in (None, now)
        await RisingEdge(dut.clk)
        offered = None if ready else now
        if now and ready:
            yield now


@cocotb.test()
async def streams(dut: Any) -> None:
    """Three inferences at the streams' own pace, the bus only looking on."""
    master = await reset(dut, mode=AUTO)
    samples = range(3, 6)
    cocotb.start_soon(feed(dut, samples, random.Random(1)))
    ends, words, sample = [], [], samples.start
    async for data, last in drain(dut, random.Random(2)):
        words.append(np.frombuffer(data, np.int8))
        ends.append(last)
        if last:
            check_words(sample, np.stack(words))
            words, sample = [], sample + 1
            assert await master.read("CYCLES") == PREDICTED
            if sample == samples.stop:
                break
    n = PLAN.outputs.words
    assert ends == 3 * [*(n - 1) * [0], 1]
    assert await master.read("STATUS") == 0x100 | LOAD


@cocotb.test()
async def refusals(dut: Any) -> None:
    """What is refused changes nothing, in the middle of a run, too."""
    master = await reset(dut)
    for address in (0x60, 0xFC):
        for we in (0, 1):
            try:
                await master.access(address, we)
            except Refused:
                continue
            raise AssertionError(f"{address:#x} is no register")
    assert await master.refused("CYCLES", 0)
    assert await master.read("ERRORS") == 1
    for sel in (0, 1, 3, 14):
        assert await master.refused("MODE", 0, sel)
        assert await master.refused("INPUT_DATA", 0, sel)
    assert await master.read("ERRORS") == 3
    assert await master.refused("CONTROL", START)
    limits = BUILD.manifest["image_limits"]
    for memory, limit in enumerate(limits):
        await master.write("IMAGE_ADDRESS", memory << 24 | limit)
        assert await master.refused("IMAGE_HIGH", 0)
    await master.write("ERRORS", 15)
    await master.send(WORDS[0])
    await master.write("CONTROL", START)
    await master.write("IMAGE_ADDRESS", WEIGHTS << 24)
    while await master.state() == RUN:
        for name, value in (("IMAGE_HIGH", 9), ("INPUT_DATA", 9), ("CONTROL", START), ("MODE", 0)):
            assert await master.refused(name, value) or await master.state() == DONE
        if await master.state() == RUN:
            assert await master.refused("OUTPUT_DATA", None) or await master.state() == DONE
        await ClockCycles(dut.clk, 500)
    assert await master.read("ERRORS") == 4
    check_words(0, await master.receive())
    assert await master.read("CYCLES") == PREDICTED


@cocotb.test()
async def resets(dut: Any) -> None:
    """In the middle of loading, and of runs: the next inference begins at once, and is right."""
    master = await reset(dut)
    await master.send(WORDS[1][: PLAN.inputs.words // 2])
    await master.write("INPUT_DATA", 0x01020304)  # half a word
    await master.write("CONTROL", RESET)
    assert await master.read("WORDS_LEFT") == PLAN.inputs.words
    await master.infer(1)
    rng = random.Random(3)
    for cycle in (0, 20, rng.randrange(PREDICTED // 2), PREDICTED - 40):
        await master.send(WORDS[2])
        await master.write("CONTROL", START)
        await ClockCycles(dut.clk, cycle + 1)
        assert await master.state() == RUN
        await master.write("CONTROL", RESET)
        dut.s_axis_tvalid.value = 0
        assert await master.state() == LOAD
        await master.infer(3)


@cocotb.test()
async def uploads(dut: Any) -> None:
    """Other weights give something else; with the records of upload.bin all is as before."""
    master = await reset(dut)
    weights = [address for _, _, address in RECORDS if address >> 24 == WEIGHTS]
    for address in weights[::7]:
        await master.write_image(address, 0)
    words = await master.infer(0, check=False)
    try:
        check_words(0, words)
    except AssertionError:
        pass
    else:
        raise AssertionError("the weights were not written")
    following = None
    for low, high, address in RECORDS:
        if address != following:
            await master.write("IMAGE_ADDRESS", address)
        await master.write("IMAGE_LOW", low)
        await master.write("IMAGE_HIGH", high)
        following = address + 1
    await master.infer(0)
    assert await master.read("ERRORS") == 0
