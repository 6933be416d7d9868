"""The link's one wide register, in which bytes become words and words bytes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class WordShifter(wiring.Component):
    """A shift register of ``n_bytes`` bytes that can be loaded as a whole.

    Members
    -------
    shift: move all bytes down by one and take ``byte`` at the top.

    load: take ``new``, of ``load_bytes`` bytes, at the top.

    value: all bytes.
    """

    def __init__(self, *, n_bytes: int, load_bytes: int):
        self.n_bytes, self.load_bytes = n_bytes, load_bytes
        super().__init__(
            {
                "shift": In(1),
                "byte": In(8),
                "load": In(1),
                "new": In(8 * load_bytes),
                "value": Out(8 * n_bytes),
            }
        )

    shift: Signal
    byte: Signal
    load: Signal
    new: Signal
    value: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.shift):
            m.d.sync += self.value.eq(Cat(self.value, self.byte)[8:])
        with m.Elif(self.load):
            m.d.sync += self.value[-8 * self.load_bytes :].eq(self.new)
        return m
