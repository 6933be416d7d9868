"""Where in a payload the link is."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

CounterPort = wiring.Signature(
    {"clear": Out(1), "step": Out(1), "index": In(8), "more": In(1), "over": In(1), "length": In(8)}
)
"""What a unit needs that goes through a payload byte by byte.

clear: before the first byte.

step: with every byte.

index: of the next byte.

more, over: there is a next byte, there is none; neither, for a cycle, after a change.

length: bytes of the payload.
"""


class CounterInterface(wiring.PureInterface):
    """The members of ``CounterPort``, by their types."""

    clear: Signal
    step: Signal
    index: Signal
    more: Signal
    over: Signal
    length: Signal


class PayloadCounter(wiring.Component):
    """One length and one index for all who go through payloads, one after the other.

    Members
    -------
    set_length: take ``new_length``.

    port: all others, see ``CounterPort``.
    """

    set_length: In(1)
    new_length: In(8)
    port: In(CounterPort)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = self.port
        compared, equal = Signal(), Signal()  # as of the cycle before
        m.d.sync += [
            compared.eq(~(self.set_length | port.step | port.clear)),
            equal.eq(port.index == port.length),
        ]
        m.d.comb += [port.more.eq(compared & ~equal), port.over.eq(compared & equal)]
        with m.If(self.set_length):
            m.d.sync += port.length.eq(self.new_length)
        with m.If(port.step):
            m.d.sync += port.index.eq(port.index + 1)
        with m.If(port.clear):
            m.d.sync += port.index.eq(0)
        return m
