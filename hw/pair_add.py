"""Two gated numbers added: a pair of rows of a multiplier in LUTs."""

from amaranth.hdl import Instance, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary


class PairAdd(wiring.Component):
    """``s = (a if x) + (b if y)``, or ``(b if y) - (a if x)``; combinational, ``width`` bits.

    A cell of its own, because devices can gate the operands within the carry chain.
    """

    def __init__(self, width: int, *, subtract: bool = False):
        self.width, self.subtract = width, subtract
        super().__init__(
            {
                "a": In(signed(width)),
                "x": In(1),
                "b": In(signed(width)),
                "y": In(1),
                "s": Out(signed(width)),
            }
        )

    a: Signal
    x: Signal
    b: Signal
    y: Signal
    s: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        match platform:
            case CellLibrary():
                m.submodules.cell = Instance(
                    "weft_pair_add",
                    p_WIDTH=self.width,
                    p_SUBTRACT=int(self.subtract),
                    i_a=self.a,
                    i_x=self.x,
                    i_b=self.b,
                    i_y=self.y,
                    o_s=self.s,
                )
            case _:
                a, b = Mux(self.x, self.a, 0), Mux(self.y, self.b, 0)
                m.d.comb += self.s.eq(b - a if self.subtract else b + a)
        return m
