"""Pipelined multipliers: one DSP block, or a registered adder tree in LUTs."""

from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    Instance,
    Module,
    Shape,
    ShapeLike,
    Signal,
    Value,
    unsigned,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary
from weft.hw.params import Multiplier as Style
from weft.hw.params import multiplier_latency


class Multiplier(wiring.Component):
    """``p = a * b``, a new pair every cycle.

    Parameters: shapes of ``a`` and ``b`` (at most 18 bits signed or 17 unsigned each, ``b`` at
    most 16 bits for the LUT style) and the style. Members: ``a``, ``b``, ``p`` (as wide as both
    together, signed if one of them is). ``latency`` is the number of cycles from operands to
    product.
    """

    def __init__(self, a: ShapeLike, b: ShapeLike, style: Style):
        self.a_shape, self.b_shape, self.style = Shape.cast(a), Shape.cast(b), style
        shapes = (self.a_shape, self.b_shape)
        widths = tuple(shape.width for shape in shapes)
        # A DSP block works in two's complement: an unsigned operand takes one bit more.
        too_wide = any(shape.width + (not shape.signed) > 18 for shape in shapes)
        if too_wide or (style is Style.LUT and widths[1] > 16):
            raise ValueError(f"Multiplier: operands of {widths} bits are too wide for {style}")
        self.latency = multiplier_latency(style, widths[1])
        product = Shape(sum(widths), signed=any(shape.signed for shape in shapes))
        super().__init__({"a": In(self.a_shape), "b": In(self.b_shape), "p": Out(product)})

    a: Signal
    b: Signal
    p: Signal

    def elaborate(self, platform: object) -> Module:
        if self.style is Style.LUT:
            return self._adder_tree()
        m = Module()
        match platform:
            case CellLibrary():
                m.submodules.cell = Instance(
                    "weft_mul",
                    p_A_BITS=self.a_shape.width,
                    p_B_BITS=self.b_shape.width,
                    p_A_SIGNED=int(self.a_shape.signed),
                    p_B_SIGNED=int(self.b_shape.signed),
                    i_clk=ClockSignal(),
                    i_a=self.a,
                    i_b=self.b,
                    o_p=self.p,
                )
            case _:
                a, b = Signal.like(self.a), Signal.like(self.b)
                m.d.sync += [a.eq(self.a), b.eq(self.b), self.p.eq(a * b)]
        return m

    def _adder_tree(self) -> Module:
        """One register stage for the operands' partial products, then halve the rows per cycle."""
        m = Module()
        a_bits, b_bits = self.a_shape.width, self.b_shape.width
        top = b_bits - 1
        rows: list[Value] = []
        for i in range(b_bits):
            # The top bit of a signed operand weighs negatively.
            term = self.a.as_unsigned() & self.b[i].replicate(a_bits)
            term = term.as_signed() if self.a_shape.signed else term
            negative = self.b_shape.signed and i == top
            shifted = _shift_left(-term if negative else term, i)
            row = Signal(Shape.cast(shifted.shape()), name=f"row_{i}")
            m.d.sync += row.eq(shifted)
            rows.append(row)
        stage = 1
        while stage < self.latency:
            sums = [_add(rows[i : i + 2]) for i in range(0, len(rows), 2)]
            registers = []
            for i, total in enumerate(sums):
                register = Signal(Shape.cast(total.shape()), name=f"sum_{stage}_{i}")
                m.d.sync += register.eq(total)
                registers.append(register)
            rows, stage = registers, stage + 1
        (total,) = rows
        m.d.comb += self.p.eq(total)
        return m


def _add(pair: list[Value]) -> Value:
    return pair[0] + pair[1] if len(pair) == 2 else pair[0]


def _shift_left(value: Value, places: int) -> Value:
    wide = Cat(Const(0, unsigned(places)), value) if places else value
    return wide.as_signed() if Shape.cast(value.shape()).signed else wide.as_unsigned()
