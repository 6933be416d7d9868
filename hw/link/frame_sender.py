"""The sending end of the host link: a reply's bytes."""

from amaranth.hdl import Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.link.crc import CrcPort
from weft.hw.link.payload_counter import CounterPort
from weft.hw.link.protocol import REPLY_SYNC


class Part(enum.Enum):
    """What the sender sends next."""

    SYNC = 0
    CODE = 1
    LENGTH = 2
    PAYLOAD = 3
    CRC = 4


class FrameSender(wiring.Component):
    """Sends one reply after the other: each byte to the host, then to the CRC.

    Members
    -------
    go, code: begin a reply; both stay as they are until ``done``, high for one cycle.

    set_length: the counter is to take the payload's length.

    payload: so many bytes.

    payload_due: one is wanted.

    tx: bytes to the host.

    crc, counter: shared with others; the CRC takes ``tx.payload``.
    """

    go: In(1)
    code: In(8)
    payload: In(stream.Signature(8))
    payload_due: Out(1)
    done: Out(1)
    set_length: Out(1)
    tx: Out(stream.Signature(8))
    crc: Out(CrcPort)
    counter: Out(CounterPort)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part = Signal(Part)
        there = Signal()  # a byte to send
        sent = Signal()  # it is with the host, and goes to the CRC
        over = Signal()  # it is there, too
        m.d.comb += [
            there.eq(self.go),
            self.tx.valid.eq(there & ~sent),
            self.crc.valid.eq(sent),
            self.crc.clear.eq(self.go & (part == Part.SYNC)),  # the SYNC is not part of the sum
            self.crc.at_end.eq(part == Part.CRC),
            over.eq(sent & (self.crc.ready | (part == Part.SYNC))),
            self.set_length.eq(self.crc.clear),
            self.counter.clear.eq(self.crc.clear),
            self.counter.step.eq(over & (part == Part.PAYLOAD)),
            self.payload.ready.eq(self.counter.step),
            self.payload_due.eq((part == Part.PAYLOAD) & self.counter.more),
        ]
        with m.If(self.tx.valid & self.tx.ready):
            m.d.sync += sent.eq(1)
        with m.If(over):
            m.d.sync += sent.eq(0)
        with m.Switch(part):
            with m.Case(Part.SYNC):
                m.d.comb += self.tx.payload.eq(REPLY_SYNC)
                with m.If(over):
                    m.d.sync += part.eq(Part.CODE)
            with m.Case(Part.CODE):
                m.d.comb += self.tx.payload.eq(self.code)
                with m.If(over):
                    m.d.sync += part.eq(Part.LENGTH)
            with m.Case(Part.LENGTH):
                m.d.comb += self.tx.payload.eq(self.counter.length)
                with m.If(over):
                    m.d.sync += part.eq(Part.PAYLOAD)
            with m.Case(Part.PAYLOAD):
                m.d.comb += self.tx.payload.eq(self.payload.payload)
                m.d.comb += there.eq(self.payload.valid & self.payload_due)
                with m.If(self.counter.over):
                    m.d.sync += part.eq(Part.CRC)
            with m.Case(Part.CRC):
                m.d.comb += self.tx.payload.eq(self.crc.next_byte)
                with m.If(over & self.crc.last):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += part.eq(Part.SYNC)
        return m
