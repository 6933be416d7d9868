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
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary
from weft.hw.pair_add import PairAdd
from weft.machine.engine import Style
from weft.machine.timing import multiplier_latency


class Multiplier(wiring.Component):
    """``p = a * b``, a new pair every cycle.

    Parameters: shapes of ``a`` and ``b`` (at most 18 bits signed or 17 unsigned each, ``b`` at
    most 16 bits for the LUT style) and the style, DSP or LUT. Members: ``a``, ``b``, ``p`` (as
    wide as both together, signed if one of them is). ``latency`` is the number of cycles from
    operands to product.
    """

    def __init__(self, a: ShapeLike, b: ShapeLike, style: Style):
        self.a_shape, self.b_shape, self.style = Shape.cast(a), Shape.cast(b), style
        shapes = (self.a_shape, self.b_shape)
        widths = tuple(shape.width for shape in shapes)
        # A DSP block works in two's complement: an unsigned operand takes one bit more.
        too_wide = any(shape.width + (not shape.signed) > 18 for shape in shapes)
        if too_wide or (style is Style.LUT and widths[1] > 16):
            raise ValueError(f"Multiplier: operands of {widths} bits are too wide for {style}")
        if style is Style.PACKED:
            raise ValueError("Multiplier: packed ones are PackedMultiplier's")
        if style is Style.DUAL:
            raise ValueError("Multiplier: dual ones are DualMultiplier's")
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
        """Row pairs of the operands' partial products, then half as many sums with every cycle."""
        m = Module()
        a_bits, b_bits = self.a_shape.width, self.b_shape.width
        width = a_bits + 3  # up to three times a, and a sign
        sums: list[Value] = []
        for i in range(0, b_bits, 2):
            # The top bit of a signed operand weighs negatively: its row is the one subtracted.
            negative = self.b_shape.signed and i + 2 >= b_bits
            pair = PairAdd(width, subtract=negative)
            m.submodules[f"rows_{i}"] = pair
            alone = i + 1 == b_bits
            low, high = self.a, Cat(Const(0, 1), self.a)
            if self.a_shape.signed:
                high = high.as_signed()
            m.d.comb += [
                pair.a.eq(low if alone else high),
                pair.x.eq(self.b[i] if alone else self.b[i + 1]),
            ]
            if not alone:
                m.d.comb += [pair.b.eq(low), pair.y.eq(self.b[i])]
            sums.append(self._register(m, pair.s, f"rows_{i}"))
        for stage in range(1, self.latency):
            places = 2 << stage - 1
            pairs = [sums[i : i + 2] for i in range(0, len(sums), 2)]
            sums = [
                self._register(m, _add(pair, places), f"sum_{stage}_{i}")
                for i, pair in enumerate(pairs)
            ]
        (total,) = sums
        m.d.comb += self.p.eq(total)
        return m

    def _register(self, m: Module, value: Value, name: str) -> Signal:
        register = Signal(Shape.cast(value.shape()), name=name)
        m.d.sync += register.eq(value)
        return register


def _add(pair: list[Value], places: int) -> Value:
    """A sum and its upper neighbour, which weighs 2**places as much."""
    return pair[0] + (pair[1] << places) if len(pair) == 2 else pair[0]
