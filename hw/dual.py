"""Two independent 8 x 8 products from one DSP block that splits into halves."""

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary

LATENCY = 2
"""Cycles from operands to products."""


class DualMultiplier(wiring.Component):
    """``p0 = a0 * b0`` and ``p1 = a1 * b1``, two new pairs every cycle.

    Members: ``a0``, ``b0``, ``a1``, ``b1`` (int8), ``p0``, ``p1`` (16 bits each, ``LATENCY`` cycles
    later).
    """

    def __init__(self) -> None:
        super().__init__(
            {name: In(signed(8)) for name in ("a0", "b0", "a1", "b1")}
            | {name: Out(signed(16)) for name in ("p0", "p1")}
        )

    a0: Signal
    b0: Signal
    a1: Signal
    b1: Signal
    p0: Signal
    p1: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        match platform:
            case CellLibrary():
                m.submodules.cell = Instance(
                    "weft_dual_mul",
                    i_clk=ClockSignal(),
                    i_a0=self.a0,
                    i_b0=self.b0,
                    i_a1=self.a1,
                    i_b1=self.b1,
                    o_p0=self.p0,
                    o_p1=self.p1,
                )
            case _:
                pairs = ((self.a0, self.b0, self.p0), (self.a1, self.b1, self.p1))
                for i, (a, b, p) in enumerate(pairs):
                    a_reg, b_reg = (Signal.like(s, name=f"{n}{i}") for n, s in (("a", a), ("b", b)))
                    m.d.sync += [a_reg.eq(a), b_reg.eq(b), p.eq(a_reg * b_reg)]
        return m


def dual_products(m: Module, operands: list[tuple[Any, Any]], name: str) -> list[Signal]:
    """The products of int8 pairs, neighbours sharing a multiplier, ``LATENCY`` cycles later.

    The last of an odd number takes half a multiplier. Submodules are called after ``name``.
    """
    products = []
    for i in range(0, len(operands), 2):
        multiplier = DualMultiplier()
        m.submodules[f"{name}_{i // 2}"] = multiplier
        halves = (
            (multiplier.a0, multiplier.b0, multiplier.p0),
            (multiplier.a1, multiplier.b1, multiplier.p1),
        )
        for (a, b), (half_a, half_b, half_p) in zip(operands[i : i + 2], halves, strict=False):
            m.d.comb += [half_a.eq(a), half_b.eq(b)]
            products.append(half_p)
    return products
