"""One lane of the output path: accumulators to int8 codes, exactly as float32 would round."""

# Ref: docs/ops.md, C1 and C2.

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.multiplier import Multiplier
from weft.hw.params import EngineParams
from weft.hw.step import param_layout

LOW_BITS = 16
"""Bits of the accumulator's lower operand; the upper one takes the rest."""

FRACTION_BITS = 25
"""Fraction bits kept before rounding: half a unit in the last place of float32 below 2**9."""

WHOLE_BITS = 10
"""Whole part kept, signed: anything outside saturates whatever the zero point."""

SHIFTS = (24, 32, 40, 48, 56)
"""Where the binary point of a product can lie."""


class RequantiseLane(wiring.Component):
    """``clip(round((acc + bias) * factor * 2**-shift) + zero_point, low, high)``, pipelined.

    The bias is expected with 2**15 added, which makes the lower half a signed number after its top
    bit is flipped. In ``pair`` mode the two halves are two operands with a factor each:
    ``upper * multiplier + lower * factor``. A new value every cycle; ``latency`` cycles.

    Members
    -------
    acc: the accumulator. param: bias, shift and factor of its channel. pair, odd, multiplier,
    zero_point, low, high: constant during a step. code: the int8 result.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.latency = params.requant_latency
        super().__init__(
            {
                "acc": In(signed(params.accumulator_bits)),
                "param": In(param_layout()),
                "pair": In(1),
                "odd": In(1),
                "multiplier": In(32),
                "zero_point": In(signed(8)),
                "low": In(signed(8)),
                "high": In(signed(8)),
                "code": Out(signed(8)),
            }
        )

    acc: Signal
    param: data.View
    pair: Signal
    odd: Signal
    multiplier: Signal
    zero_point: Signal
    low: Signal
    high: Signal
    code: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal.like(self.acc)
        factor = Signal(32)
        m.d.sync += [
            total.eq(self.acc + self.param.bias.as_signed()),
            factor.eq(self.param.factor),
        ]
        product, latency = self._product(m, total, factor)
        shift = self.param.shift
        for stage in range(1 + latency):
            delayed = Signal.like(shift, name=f"shift_{stage}")
            m.d.sync += delayed.eq(shift)
            shift = delayed
        whole, fraction, rest = self._align(m, product, shift)
        self._round(m, whole, fraction, rest)
        return m

    def _product(self, m: Module, total: Signal, factor: Signal) -> tuple[Signal, int]:
        """The scaled sum of both halves, and its latency."""
        style = self.params.requant_multiplier
        lower = Cat(total[: LOW_BITS - 1], ~total[LOW_BITS - 1]).as_signed()
        upper = total[LOW_BITS:].as_signed()
        upper_factor = Mux(self.pair, self.multiplier, factor)
        halves = []
        for name, operand, scale in (("upper", upper, upper_factor), ("lower", lower, factor)):
            parts = []
            for part, bits in (("low", scale[:16]), ("high", scale[16:])):
                multiplier = Multiplier(unsigned(16), operand.shape(), style)
                m.submodules[f"{name}_{part}"] = multiplier
                m.d.comb += [multiplier.a.eq(bits), multiplier.b.eq(operand)]
                parts.append(multiplier.p)
                latency = multiplier.latency
            half = Signal(signed(len(operand) + 32), name=f"{name}_product")
            m.d.sync += half.eq(parts[0] + (parts[1] << 16))
            halves.append(half)
        # The lowest sum is -2**(bits - 1) - 2**15, the bias's offset taken out: one bit more.
        product = Signal(signed(self.params.accumulator_bits + 1 + 32))
        upper_product = Mux(self.pair, halves[0], halves[0] << LOW_BITS)
        m.d.sync += product.eq(upper_product + halves[1])
        return product, latency + 2

    def _align(self, m: Module, product: Signal, shift: Value) -> tuple[Signal, Signal, Signal]:
        """Whole part (saturated), fraction bits and whether anything lies below them."""
        whole = Signal(signed(WHOLE_BITS))
        fraction = Signal(FRACTION_BITS)
        rest = Signal()
        limit = (1 << WHOLE_BITS - 1) - 1
        padded = Cat(Const(0, 1), product)  # room for 25 fraction bits at the smallest shift
        with m.Switch(shift):
            for i, point in enumerate(SHIFTS):
                point += 1
                with m.Case(i) if i < len(SHIFTS) - 1 else m.Default():
                    high = _from(padded, point).as_signed()
                    fits = _from(padded, point + WHOLE_BITS - 1)
                    sign = padded[-1]
                    inside = Mux(sign, fits.all(), ~fits.any())
                    clipped = Mux(sign, -limit - 1, limit)
                    below = point - FRACTION_BITS
                    m.d.sync += [
                        whole.eq(Mux(inside, high, clipped)),
                        fraction.eq(_from(padded, below)[:FRACTION_BITS]),
                        rest.eq(padded[:below].any() if below else 0),
                    ]
        return whole, fraction, rest

    def _round(self, m: Module, whole: Signal, fraction: Signal, rest: Signal) -> None:
        sign = whole[-1]
        magnitude = Signal(WHOLE_BITS - 1)
        m.d.comb += magnitude.eq(whole[:-1] ^ sign.replicate(WHOLE_BITS - 1))
        # mask: 2**n - 1 for a whole part of n bits, the distance from a tie that float32 loses.
        above = fraction[-1]
        distance = Signal(FRACTION_BITS - 1)  # from the tie, one's complement below it
        mask = Signal.like(distance)
        m.d.comb += mask.eq(Cat(magnitude[i:].any() for i in range(WHOLE_BITS - 1)))
        m.d.comb += distance.eq(fraction[:-1] ^ (~above).replicate(FRACTION_BITS - 1))

        # Stage 1: compare. Stage 2: decide. Stage 3: add. Stage 4: clip.
        within = Signal()
        edge = Signal()
        half_up = Signal()
        whole_1 = Signal.like(whole)
        m.d.sync += [
            within.eq(~(distance & ~mask).any()),
            edge.eq(above & ~rest & (distance == mask + 1)),
            half_up.eq(above),
            whole_1.eq(whole),
        ]
        up = Signal()
        whole_2 = Signal.like(whole)
        m.d.sync += [
            up.eq(Mux(within | edge, whole_1[0] ^ self.odd, half_up)),
            whole_2.eq(whole_1),
        ]
        result = Signal(signed(WHOLE_BITS + 2))
        m.d.sync += result.eq(whole_2 + Cat(up, 0).as_signed() + self.zero_point)
        clipped = Mux(result < self.low, self.low, Mux(result > self.high, self.high, result))
        m.d.sync += self.code.eq(clipped)


def _from(value: Value, start: int) -> Value:
    """The bits of a signed value from ``start`` up, sign-extended past its end."""
    if start < len(value):
        return value[start:]
    return value[-1]
