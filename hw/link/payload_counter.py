"""Where in a payload the link is."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

CounterPort = wiring.Signature(
    {"clear": Out(1), "step": Out(1), "index": In(8), "more": In(1), "over": In(1), "length": In(8)}
)
"""What each of those needs who go through payloads: ``clear`` before the first byte, ``step`` with
every byte; ``index`` of the next one, ``more`` when there is one, ``over`` when there is none
(neither, for a cycle, when something has changed), and their number."""


class PayloadCounter(wiring.Component):
    """One length and one index for all who go through payloads, one after the other.

    Members: ``set_length`` to ``new_length``; all others as in ``CounterPort``.
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
