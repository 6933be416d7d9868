"""Registers of one's own: copies that synthesis does not merge."""

from amaranth.hdl import ClockSignal, Instance, Module, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary


class OwnRegister(wiring.Component):
    """``q`` is ``d`` a cycle later, from a register that nothing else shares.

    A signal that many distant places use goes to each through one of these: synthesis would make
    one register of equal ones, with a net across the chip. No reset. Where a family has no cell
    of its own for it (``hw/cells``) it is an ordinary register.
    """

    def __init__(self, width: int):
        super().__init__({"d": In(width), "q": Out(width)})

    d: Signal
    q: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        match platform:
            case CellLibrary():
                m.submodules.cell = Instance(
                    "weft_reg",
                    p_WIDTH=len(self.d),
                    i_clk=ClockSignal(),
                    i_d=self.d,
                    o_q=self.q,
                )
            case _:
                q = Signal.like(self.q, reset_less=True)
                m.d.sync += q.eq(self.d)
                m.d.comb += self.q.eq(q)
        return m


def own(m: Module, value: ValueLike, name: str) -> Signal:
    """The value a cycle later, through a register of one's own called after ``name``."""
    value = Value.cast(value)
    later = Signal(value.shape(), name=f"own_{name}")
    m.submodules[f"own_{name}"] = register = OwnRegister(len(later))
    m.d.comb += [register.d.eq(value), later.eq(register.q)]
    return later
