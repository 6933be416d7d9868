"""Host link: whole inferences, image writes, every refusal, resynchronisation, damaged requests."""

import dataclasses
import gc
import random
import re
import zlib
from pathlib import Path

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from tests.hw.link_bench import (
    CYCLES,
    IDENTITY,
    LIMITS,
    TIMEOUT_BITS,
    Bench,
    image_request,
    link_params,
    ref_results,
)
from tests.hw.link_fuzz import damaged
from weft.hw.link.crc import Crc32
from weft.hw.link.frame_receiver import FrameReceiver
from weft.hw.link.link import Link
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import (
    IMAGE_WRITES,
    MAX_PAYLOAD,
    REPLY_SYNC,
    SYNC,
    UNKNOWN,
    VERSION,
    Command,
    Error,
    Frames,
    frame,
    reply,
    request,
)
from weft.hw.progress import State

IDENTIFY, STATUS, RESET = (
    request(command) for command in (Command.IDENTIFY, Command.STATUS, Command.RESET)
)
START, OUTPUT = request(Command.START), request(Command.OUTPUT)
TIMEOUT = 1 << TIMEOUT_BITS


def input_requests(params: LinkParams, data: bytes) -> list[bytes]:
    size = params.inputs.full_bytes
    return [request(Command.INPUT, data[i : i + size]) for i in range(0, len(data), size)]


def inference(params: LinkParams, data: bytes) -> list[bytes | int]:
    """Everything that it takes, with time for the core to run."""
    outputs = [OUTPUT] * params.outputs.count
    return [*input_requests(params, data), START, 100, *outputs]


def ref_replies(params: LinkParams, data: bytes) -> list[bytes]:
    """What comes back for ``inference``."""
    lanes = params.lanes
    words = [int.from_bytes(data[i : i + lanes], "little") for i in range(0, len(data), lanes)]
    results = ref_results(words, params.n_out, 8 * lanes)
    back = b"".join(word.to_bytes(lanes, "little") for word in results)
    size = params.outputs.full_bytes
    return [
        *[reply(Command.INPUT)] * params.inputs.count,
        reply(Command.START),
        b"",
        *(reply(Command.OUTPUT, back[i : i + size]) for i in range(0, len(back), size)),
    ]


def status(state: State, cycles: int = 0) -> bytes:
    return reply(Command.STATUS, cycles.to_bytes(4, "little") + bytes([state]))


SHAPES = [(1, 1, 1), (1, 5, 300), (3, 7, 1), (4, 70, 64), (8, 31, 32), (16, 16, 2), (40, 2, 7)]


@pytest.mark.parametrize(("lanes", "n_in", "n_out"), SHAPES)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_inferences(lanes: int, n_in: int, n_out: int, stall: float) -> None:
    params = link_params(lanes, n_in, n_out)
    samples = [random.Random(seed).randbytes(lanes * n_in) for seed in range(2)]
    script = [item for data in samples for item in inference(params, data)]
    bench = Bench(params, script, stall).run()
    assert bench.replies == [r for data in samples for r in ref_replies(params, data)]
    assert bench.resets == 0


@pytest.mark.parametrize(("lanes", "n_words"), [(1, 255), (1, 256), (4, 63), (4, 64), (255, 2)])
def test_frames_hold_whole_words(lanes: int, n_words: int) -> None:
    frames = Frames(lanes=lanes, n_words=n_words)
    sizes = [frames.full_bytes] * (frames.count - 1) + [frames.last_bytes]
    assert sum(sizes) == lanes * n_words
    assert all(0 < size <= MAX_PAYLOAD and size % lanes == 0 for size in sizes)
    assert frames.full_bytes + lanes > MAX_PAYLOAD


def test_lane_0_comes_first() -> None:
    bench = Bench(link_params(4, 1, 1), inference(link_params(4, 1, 1), bytes([1, 2, 3, 4]))).run()
    assert bench.inputs == [[0x04030201]]
    assert bench.replies[-1] == reply(Command.OUTPUT, bytes([1, 2, 3, 4]))


def test_identity_and_status() -> None:
    params = link_params()
    first = request(Command.INPUT, bytes(12))
    script = [IDENTIFY, STATUS, first, STATUS, START, STATUS, 700, STATUS, OUTPUT, STATUS]
    bench = Bench(params, script, run_cycles=600).run()
    assert bench.replies[0] == reply(Command.IDENTIFY, bytes([VERSION]) + IDENTITY)
    states = [State.LOAD, State.READY, State.RUN, State.DONE, State.LOAD]
    cycles = [0, 0, 0, CYCLES, CYCLES]
    assert bench.replies[1::2] == [
        status(state, count) for state, count in zip(states, cycles, strict=True)
    ]


@pytest.mark.parametrize("run_cycles", range(250, 420, 10))
def test_a_status_while_the_run_ends(run_cycles: int) -> None:
    """Whatever changes in the core meanwhile, the reply is of one moment."""
    script = [request(Command.INPUT, bytes(12)), START, STATUS, STATUS, STATUS]
    bench = Bench(link_params(), script, run_cycles=run_cycles).run()
    possible = [status(State.RUN), status(State.DONE, CYCLES)]
    states = [possible.index(back) for back in bench.replies[2:]]
    assert states == sorted(states)
    assert states[-1] == 1


def test_image_writes() -> None:
    writes = [(0x12344, (1 << 36) - 1), (0, 1), (0x10FFF, 0x123456789)]
    full = [(i, i) for i in range(IMAGE_WRITES)]
    script = [image_request(4, *writes), image_request(8, *full), image_request(9, (0, 5))]
    bench = Bench(link_params(), script).run()
    assert bench.replies == [reply(Command.IMAGE)] * 3
    expected = [(4 << 24 | address, data) for address, data in writes]
    expected += [(8 << 24 | address, data) for address, data in full]
    assert bench.images == [*expected, (9 << 24, 5)]


@pytest.mark.parametrize("memory", [*range(11), 16, 17, 127, 255])
def test_addresses_are_checked_before_anything_is_written(memory: int) -> None:
    limit = LIMITS[memory] if memory < len(LIMITS) else 0
    bad = [limit, limit | 1 << 23, (1 << 24) - 1, limit ^ limit & 0xFF | 0x100000]
    good = (max(limit - 1, 0), 7)
    script = [
        image_request(memory, good, good, (address, 9))
        for address in bad
        if limit <= address < 1 << 24
    ]
    bench = Bench(link_params(), [*script, image_request(memory, good)]).run()
    *refused, last = bench.replies
    assert refused == [reply(Command.IMAGE, error=Error.ADDRESS)] * len(script)
    if limit:
        assert last == reply(Command.IMAGE)
        assert bench.images == [(memory << 24 | limit - 1, 7)]
    else:
        assert last == reply(Command.IMAGE, error=Error.ADDRESS)
        assert bench.images == []


@pytest.mark.parametrize("n_memories", [0, 1, 200, 255])
def test_any_number_of_memories(n_memories: int) -> None:
    """The last one can be written, and the next number is refused."""
    limits = (0,) + (3,) * n_memories
    params = dataclasses.replace(link_params(), image_limits=limits)
    numbers = [number for number in (n_memories, n_memories + 1) if number < 256]
    bench = Bench(params, [image_request(number, (2, 9)) for number in numbers]).run()
    errors = [Error.NONE if 0 < number <= n_memories else Error.ADDRESS for number in numbers]
    assert bench.replies == [reply(Command.IMAGE, error=error) for error in errors]
    assert bench.images == [(n_memories << 24 | 2, 9)] * (n_memories > 0)


@pytest.mark.parametrize("command", range(8, 16))
def test_an_image_write_of_version_1(command: int) -> None:
    """There the memory was part of the command, 8 + m, and the payload image writes alone."""
    write = (7).to_bytes(5, "little") + (0).to_bytes(3, "little")
    bench = Bench(link_params(), [request(command, write), IDENTIFY]).run()
    refused = frame(REPLY_SYNC, Error.COMMAND << 4 | UNKNOWN, b"")
    assert bench.replies == [refused, reply(Command.IDENTIFY, b"\2" + IDENTITY)]
    assert bench.images == []


WORDS = bytes(range(1, 13))
FIRST = request(Command.INPUT, WORDS)
IMAGE = image_request(2, (0, 1))


@pytest.mark.parametrize(
    ("before", "refused", "error"),
    [
        ([], frame(SYNC, 8, b""), Error.COMMAND),
        ([], frame(SYNC, 7, b"1"), Error.COMMAND),
        ([], frame(SYNC, 0x83, WORDS), Error.COMMAND),
        ([], frame(SYNC, 0xFF, b""), Error.COMMAND),
        ([], request(Command.IDENTIFY, b"1"), Error.LENGTH),
        ([], request(Command.STATUS, b"1"), Error.LENGTH),
        ([], request(Command.RESET, b"1"), Error.LENGTH),
        ([], request(Command.INPUT), Error.LENGTH),
        ([], request(Command.INPUT, WORDS[:8]), Error.LENGTH),
        ([], request(Command.INPUT, WORDS + WORDS), Error.LENGTH),
        ([], request(Command.IMAGE), Error.LENGTH),
        ([], request(Command.IMAGE, b"\2"), Error.LENGTH),
        ([], request(Command.IMAGE, b"\2" + bytes(7)), Error.LENGTH),
        ([], request(Command.IMAGE, b"\2" + bytes(12)), Error.LENGTH),
        ([], START, Error.STATE),
        ([], OUTPUT, Error.STATE),
        ([FIRST], FIRST, Error.STATE),
        ([FIRST], OUTPUT, Error.STATE),
        ([FIRST], request(Command.START, b"1"), Error.LENGTH),
        ([FIRST, START], START, Error.STATE),
        ([FIRST, START], OUTPUT, Error.STATE),
        ([FIRST, START], IMAGE, Error.STATE),
        ([FIRST, START], FIRST, Error.STATE),
        ([FIRST, START, 800], START, Error.STATE),
        ([FIRST, START, 800], FIRST, Error.STATE),
        ([FIRST, START, 800], request(Command.OUTPUT, b"1"), Error.LENGTH),
    ],
)
def test_refusals(before: list[bytes | int], refused: bytes, error: Error) -> None:
    """What is refused changes nothing: the inference goes on as if it had not been."""
    whole = [FIRST, START, 800, OUTPUT]
    script = [*before, refused, *whole[len(before) :]]
    bench = Bench(link_params(), script, run_cycles=700).run()
    replies = ref_replies(link_params(), WORDS)
    assert bench.replies.pop(len(before)) == reply(refused[1], error=error)
    assert bench.replies == replies
    assert bench.images == []


@pytest.mark.parametrize("good", [IMAGE, RESET])
def test_every_wrong_bit_is_seen(good: bytes) -> None:
    wrong = []
    for bit in range(8, 8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        wrong.append(bytes(data))
    bench = Bench(link_params(), [*wrong, *inference(link_params(), WORDS)]).run()
    n_wrong = len(wrong)
    assert all(r[1] >> 4 in (Error.CHECKSUM, Error.INCOMPLETE) for r in bench.replies[:n_wrong])
    assert bench.replies[n_wrong:] == ref_replies(link_params(), WORDS)
    assert (bench.images, bench.resets) == ([], 0)


@pytest.mark.parametrize("n_bytes", range(1, len(FIRST)))
def test_a_request_that_stops_is_dropped(n_bytes: int) -> None:
    bench = Bench(link_params(), [FIRST[:n_bytes], *inference(link_params(), WORDS)]).run()
    command = FIRST[1] if n_bytes > 1 else UNKNOWN
    assert bench.replies[0] == reply(command, error=Error.INCOMPLETE)
    assert bench.replies[1:] == ref_replies(link_params(), WORDS)


def test_pauses_within_a_request() -> None:
    """Shorter ones than the time-out; and any between requests."""

    class Slow(Bench):
        async def put(self, ctx, port, value):
            await super().put(ctx, port, value)
            if port is self.dut.rx:
                await ctx.tick().repeat(TIMEOUT - 2)

    bench = Slow(link_params(), [*inference(link_params(), WORDS), 5 * TIMEOUT, STATUS]).run()
    assert bench.replies[:-2] == ref_replies(link_params(), WORDS)


def test_bytes_before_and_after_a_request_are_dropped() -> None:
    script = [b"abc" + STATUS, STATUS + b"xyz", STATUS]
    bench = Bench(link_params(), script).run()
    assert bench.replies == [status(State.LOAD)] * 3


def test_reset_in_every_state() -> None:
    script: list[bytes | int] = []
    whole = [FIRST, START, 100, OUTPUT]
    for n_items in range(4):
        script += [*whole[:n_items], RESET]
    bench = Bench(link_params(), [*script, *whole]).run()
    assert bench.replies[-4:] == ref_replies(link_params(), WORDS)
    assert bench.resets == 4


@pytest.mark.parametrize("n_bytes", [1, 3, 8, len(FIRST) - 1])
def test_the_links_own_reset_in_mid_request(n_bytes: int) -> None:
    reset = Signal()
    link = Link(link_params(), timeout_bits=TIMEOUT_BITS)
    sim = Simulator(ResetInserter(reset)(link))
    sim.add_clock(1e-6)
    back = bytearray()

    async def host(ctx):
        ctx.set(link.tx.ready, 1)
        ctx.set(link.rx.valid, 1)
        for data in (FIRST[:n_bytes], STATUS):
            for byte in data:
                ctx.set(link.rx.payload, byte)
                await ctx.tick().until(link.rx.ready)
            ctx.set(reset, 1)
            ctx.set(link.rx.valid, 0)
            if data == STATUS:
                ctx.set(reset, 0)
                break
            await ctx.tick()
            ctx.set(reset, 0)
            ctx.set(link.rx.valid, 1)
        while ctx.get(link.active):
            _clk, _rst, valid, byte = await ctx.tick().sample(link.tx.valid, link.tx.payload)
            if valid:
                back.append(byte)

    sim.add_testbench(host)
    sim.run()
    assert back == status(State.LOAD)


TRUE_IMAGES = {(2 << 24 | i): i * 0x1234567 for i in range(20)}


@pytest.mark.parametrize("n_frames", [90, pytest.param(900, marks=pytest.mark.slow)])
def test_damaged_requests(n_frames: int) -> None:
    """No hang, no other image write than the true ones, and each inference after them is right."""
    rng = random.Random(n_frames)
    params = link_params(4, 70, 3)
    writes = [(address & 0xFF, data) for address, data in TRUE_IMAGES.items()]
    data = rng.randbytes(280)
    good = [IDENTIFY, STATUS, START, OUTPUT, RESET, *input_requests(params, data)]
    good += [image_request(2, *writes[i : i + 3]) for i in range(0, 20, 3)]
    script: list[bytes | int] = []
    for _ in range(n_frames // 30):
        script += [damaged(rng, good) for _ in range(30)]
        script += [RESET, *inference(params, data)]
    bench = Bench(params, script).run()
    expected = [reply(Command.RESET), *ref_replies(params, data)]
    period = 30 + len(expected)
    for begin in range(30, len(script), period):
        assert bench.replies[begin : begin + len(expected)] == expected
    assert all(TRUE_IMAGES.get(address) == value for address, value in bench.images)


def test_crc_is_that_of_zlib() -> None:
    rng = random.Random(4)
    dut = Crc32()
    sim = Simulator(dut)
    sim.add_clock(1e-6)

    async def take(ctx, byte):
        ctx.set(dut.byte, byte)
        ctx.set(dut.port.valid, 1)
        await ctx.tick().repeat(9)
        assert ctx.get(dut.port.ready)
        await ctx.tick()
        ctx.set(dut.port.valid, 0)

    async def bench(ctx):
        for n_bytes, flip in [(0, 0), (1, 0), (9, 1 << 31), (30, 0), (30, 1), (5, 0)]:
            message = rng.randbytes(n_bytes)
            crc = zlib.crc32(message)
            ctx.set(dut.port.clear, 1)
            await ctx.tick()
            ctx.set(dut.port.clear, 0)
            ctx.set(dut.port.at_end, 0)
            for byte in message:
                await take(ctx, byte)
            ctx.set(dut.port.at_end, 1)
            for i in range(4):
                assert ctx.get(dut.port.next_byte) == crc >> 8 * i & 0xFF
                assert ctx.get(dut.port.last) == (i == 3)
                await take(ctx, (crc ^ flip) >> 8 * i & 0xFF)
            assert ctx.get(dut.port.good) == (flip == 0)

    sim.add_testbench(bench)
    sim.run()


def test_the_documents_examples(root: Path) -> None:
    text = (root / "docs" / "link.md").read_text("utf-8")
    rows = [re.split(" {2,}", line.strip()) for line in text.splitlines() if line[:7] == "    57 "]
    requests, replies = ([bytes.fromhex(row[i]) for row in rows] for i in (0, 1))
    bench = Bench(link_params(4, 1, 1), [*requests[:3], 100, *requests[3:]]).run()
    del bench.replies[3]
    assert len(rows) == len(bench.replies) == 8
    for shown, real in zip(replies, bench.replies, strict=True):
        assert shown == frame(REPLY_SYNC, shown[1], shown[3:-4])
        assert shown[:3] == real[:3]  # cycles and outputs are another core's
    assert replies[0] == bench.replies[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes must be 1 or more, not 0"),
        ({"lanes": 256}, "lanes must be 255 or less, not 256"),
        ({"n_in": 0}, "n_in must be 1 or more, not 0"),
        ({"n_out": -1}, "n_out must be 1 or more, not -1"),
        (
            {"image_limits": (1, -2)},
            r"image_limits must be 1 to 256 numbers of 0 to 16777216, not \(1, -2\)",
        ),
        (
            {"image_limits": ()},
            r"image_limits must be 1 to 256 numbers of 0 to 16777216, not \(\)",
        ),
        ({"identity": b"short"}, "identity must have 15 bytes, not 5"),
    ],
)
def test_parameters_are_checked(changes: dict, message: str) -> None:
    values = {"lanes": 4, "n_in": 1, "n_out": 1, "image_limits": LIMITS, "identity": IDENTITY}
    with pytest.raises(ValueError, match=f"^{message}$"):
        LinkParams(**values | changes)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")  # it never came to be
def test_time_out_is_checked() -> None:
    with pytest.raises(ValueError, match=r"^timeout_bits must be 1 or more, not 0$"):
        FrameReceiver(timeout_bits=0)
    gc.collect()  # so that Amaranth's warning about it falls into this test
