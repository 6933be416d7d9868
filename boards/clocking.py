"""The design's clock, from the board's clock pin: directly or through a PLL."""

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.boards.families.pll import Pll


class Clocking(wiring.Component):
    """Makes a clock that is fit for the design.

    Members: ``pin``, the oscillator; ``clk``, the clock; ``locked``, whether it is steady
    (asynchronous; always 1 without a PLL).

    Parameters: ``pll``, or None for the oscillator itself.
    """

    pin: In(1)
    clk: Out(1)
    locked: Out(1)

    def __init__(self, pll: Pll | None):
        self.pll = pll
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pll = self.pll
        if pll is None:
            m.d.comb += [self.clk.eq(self.pin), self.locked.eq(1)]
            return m
        ports: dict[str, object] = {
            f"i_{pll.pin}": self.pin,
            f"o_{pll.out}": self.clk,
            f"o_{pll.lock}": self.locked,
            **{f"i_{name}": Const(value, width) for name, width, value in pll.inputs},
        }
        if pll.feedback:
            output, taken = pll.feedback
            loop = Signal()
            ports |= {f"o_{output}": loop, f"i_{taken}": loop}
        settings = {f"p_{name}": value for name, value in pll.parameters}
        attributes = {f"a_{name}": value for name, value in pll.attributes}
        m.submodules.pll = Instance(pll.cell, **settings, **attributes, **ports)
        return m
