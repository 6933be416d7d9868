"""CRC-32, one bit per clock cycle.

Ref: IEEE 802.3, in the reflected form of zlib.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.link.protocol import CRC_BYTES

POLYNOMIAL = 0xEDB88320
INITIAL = 0xFFFFFFFF


CrcPort = wiring.Signature(
    {
        "clear": Out(1),
        "valid": Out(1),
        "ready": In(1),
        "at_end": Out(1),
        "last": In(1),
        "next_byte": In(8),
        "good": In(1),
    }
)
"""A user's access to the CRC register.

clear: begin a new message.

valid, ready: a byte is there until it is taken.

at_end: the byte is one of the message's own CRC.

last: of those, the next one is the last.

next_byte: what the next byte of the CRC must be.

good: all bytes of the CRC so far were right.
"""


class Crc32(wiring.Component):
    """CRC-32 of a message that its own CRC follows; a byte is taken in its tenth cycle.

    Members
    -------
    byte: the message's next one, until it is taken.

    port: all others, see ``CrcPort``.
    """

    byte: In(8)
    port: In(CrcPort)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = self.port
        register = Signal(32, init=INITIAL)
        n_bits = Signal(range(8))
        n_bytes = Signal(range(CRC_BYTES))  # of the CRC
        bad = Signal()
        bits = Signal(8)  # of the byte, from a register: it comes from far
        held = Signal()
        differs = bits[0] ^ register[0]
        m.d.comb += [
            port.last.eq(n_bytes == CRC_BYTES - 1),
            port.next_byte.eq(~register[:8]),
            port.good.eq(~bad),
        ]
        m.d.sync += port.ready.eq(0)
        with m.If(port.ready):
            m.d.sync += [n_bytes.eq(n_bytes + port.at_end), held.eq(0)]
        with m.Elif(~held):
            m.d.sync += [bits.eq(self.byte), held.eq(port.valid)]
        with m.Elif(port.valid):
            m.d.sync += [bits.eq(bits >> 1), n_bits.eq(n_bits + 1), port.ready.eq(n_bits == 7)]
            # During its own bytes the register only moves out.
            m.d.sync += register.eq((register >> 1) ^ Mux(differs & ~port.at_end, POLYNOMIAL, 0))
            m.d.sync += bad.eq(bad | (port.at_end & ~differs))
        with m.If(port.clear):
            m.d.sync += [register.eq(INITIAL), n_bits.eq(0), n_bytes.eq(0), bad.eq(0)]
            m.d.sync += [port.ready.eq(0), held.eq(0)]
        return m
