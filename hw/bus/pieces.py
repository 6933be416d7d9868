"""Words of K bytes in pieces of four, the lowest first."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.params import BUS_BYTES, BusParams


class Joiner(wiring.Component):
    """Makes words from pieces. Of a word's last piece only the bytes that it still lacks count.

    Members
    -------
    enable: without it nothing is held.

    push, piece: take a piece, when not ``full``.

    o: the words.
    """

    def __init__(self, params: BusParams):
        self.params = params
        super().__init__(
            {
                "enable": In(1),
                "push": In(1),
                "piece": In(8 * BUS_BYTES),
                "full": Out(1),
                "o": Out(stream.Signature(8 * params.lanes)),
            }
        )

    enable: Signal
    push: Signal
    piece: Signal
    full: Signal
    o: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.params.pieces
        index = Signal(range(n))
        pieces = [Signal(8 * BUS_BYTES, name=f"piece_{i}") for i in range(n)]
        m.d.comb += [self.full.eq(self.o.valid), self.o.payload.eq(Cat(pieces))]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.push):
            m.d.sync += index.eq(index + 1)
            with m.Switch(index):
                for i, register in enumerate(pieces):
                    with m.Case(i):
                        m.d.sync += register.eq(self.piece)
            with m.If(index == n - 1):
                m.d.sync += [index.eq(0), self.o.valid.eq(1)]
        with m.If(~self.enable):
            m.d.sync += [index.eq(0), self.o.valid.eq(0)]
        return m


class Splitter(wiring.Component):
    """Makes pieces from words; the bytes of a word's last piece that it lacks are 0.

    Members
    -------
    enable: without it the next piece is a word's first.

    i: the words.

    valid, piece: there is a piece.

    pop: go on to the next one.
    """

    def __init__(self, params: BusParams):
        self.params = params
        super().__init__(
            {
                "enable": In(1),
                "i": In(stream.Signature(8 * params.lanes)),
                "valid": Out(1),
                "piece": Out(8 * BUS_BYTES),
                "pop": In(1),
            }
        )

    enable: Signal
    i: stream.Interface
    valid: Signal
    piece: Signal
    pop: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.params.pieces
        index = Signal(range(n))
        m.d.comb += [
            self.valid.eq(self.i.valid),
            self.piece.eq(self.i.payload.word_select(index, 8 * BUS_BYTES)),
            self.i.ready.eq(self.pop & (index == n - 1)),
        ]
        with m.If(self.pop):
            m.d.sync += index.eq(index + 1)
        with m.If(self.i.ready | ~self.enable):
            m.d.sync += index.eq(0)
        return m
