"""The receiving end of the host link: from bytes to one frame in the buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.link.crc import CrcPort
from weft.hw.link.payload_counter import CounterPort
from weft.hw.link.protocol import COMMAND_BITS, SYNC, UNKNOWN, Command


class Part(enum.Enum):
    """What the receiver waits for."""

    SYNC = 0
    COMMAND = 1
    LENGTH = 2
    PAYLOAD = 3
    CRC = 4
    TAKEN = 5


class FrameReceiver(wiring.Component):
    """Finds a frame, writes its payload to the buffer and its bytes to the CRC, and then waits.

    A frame in which no byte comes for ``2 ** timeout_bits`` cycles ends there. Bytes before a SYNC,
    and bytes that come while a frame waits, are dropped.

    Members
    -------
    rx: bytes from the host.

    crc, counter: shared with others; the CRC takes ``rx.payload``.

    set_length: the payload's length is on ``rx.payload``.

    write_en: a byte of the payload is, for the buffer.

    valid, taken: a frame waits until it is taken.

    command: the frame's, or UNKNOWN.

    incomplete: the frame stopped in the middle.

    active: a frame has begun or waits.
    """

    rx: In(stream.Signature(8))
    crc: Out(CrcPort)
    counter: Out(CounterPort)
    set_length: Out(1)
    write_en: Out(1)
    valid: Out(1)
    taken: In(1)
    command: Out(COMMAND_BITS)
    incomplete: Out(1)
    active: Out(1)

    def __init__(self, *, timeout_bits: int):
        if timeout_bits < 1:
            raise ValueError(f"timeout_bits must be 1 or more, not {timeout_bits!r}")
        self.timeout_bits = timeout_bits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte = self.rx.payload
        part, following = Signal(Part), Signal(Part)
        within = Signal()  # a frame has begun and not ended
        pause = Signal(self.timeout_bits + 1)
        wanted = Signal()  # the next byte belongs to the frame
        got = Signal()
        known = Signal()
        with m.Switch(byte):
            with m.Case(*Command):
                m.d.comb += known.eq(1)
        pauses = (part == Part.PAYLOAD) & ~self.counter.more
        m.d.comb += [
            following.eq(part),
            wanted.eq(within & ~pauses),
            self.rx.ready.eq(~self.active | self.valid | (wanted & self.crc.ready)),
            self.crc.valid.eq(wanted & self.rx.valid),
            self.crc.clear.eq(part == Part.SYNC),
            self.crc.at_end.eq(part == Part.CRC),
            got.eq(self.crc.valid & self.crc.ready),
            self.set_length.eq(part == Part.LENGTH),
            self.counter.clear.eq(part == Part.LENGTH),
            self.counter.step.eq(got & (part == Part.PAYLOAD)),
            self.write_en.eq(self.counter.step),
        ]
        # Registers of their own: much depends on these.
        m.d.sync += [
            part.eq(following),
            self.valid.eq(following == Part.TAKEN),
            self.active.eq(following != Part.SYNC),
            within.eq((following != Part.SYNC) & (following != Part.TAKEN)),
        ]
        with m.Switch(part):
            with m.Case(Part.SYNC):
                m.d.sync += self.command.eq(UNKNOWN)
                with m.If(self.rx.valid & (byte == SYNC)):
                    m.d.comb += following.eq(Part.COMMAND)
            with m.Case(Part.COMMAND):
                with m.If(got):
                    m.d.comb += following.eq(Part.LENGTH)
                    with m.If(known):
                        m.d.sync += self.command.eq(byte)
            with m.Case(Part.LENGTH):
                with m.If(got):
                    m.d.comb += following.eq(Part.PAYLOAD)
            with m.Case(Part.PAYLOAD):
                with m.If(self.counter.over):
                    m.d.comb += following.eq(Part.CRC)
            with m.Case(Part.CRC):
                with m.If(got & self.crc.last):
                    m.d.comb += following.eq(Part.TAKEN)
            with m.Case(Part.TAKEN):
                with m.If(self.taken):
                    m.d.comb += following.eq(Part.SYNC)

        with m.If((part == Part.SYNC) | self.crc.valid):
            m.d.sync += pause.eq(0)
        with m.Elif(wanted):
            m.d.sync += pause.eq(pause + 1)
        m.d.comb += self.incomplete.eq(pause[-1])
        with m.If(self.incomplete & wanted):
            m.d.comb += following.eq(Part.TAKEN)
        return m
