"""A lane of the output path: accumulators to int8 codes, exactly as float32 would round."""

# Ref: docs/ops.md, C1 and C2.

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.multiplier import Multiplier
from weft.hw.own import own
from weft.hw.step import param_layout
from weft.machine.engine import Engine
from weft.machine.timing import requant_latency

LOW_BITS = 16
"""Bits of the accumulator's lower operand; the upper one takes the rest."""

FRACTION_BITS = 25
"""Fraction bits kept before rounding: half a unit in the last place of float32 below 2**9."""

WHOLE_BITS = 9
"""Whole part kept, signed: anything outside is clipped whatever the zero point and the fraction."""

SHIFTS = (24, 32, 40, 48, 56)
"""Where the binary point of a product can lie."""

ALIGNED = data.StructLayout(
    {
        "fraction": FRACTION_BITS,
        "whole": signed(WHOLE_BITS),
        "rest": 1,  # something lies below the fraction
        "too_low": 1,  # the whole part lies outside its range, below ...
        "too_high": 1,  # ... or above; the other fields then mean nothing
    }
)
"""A scaled sum, rounded off to what its code depends on."""


class Lane(wiring.Component):
    """What requantisation lanes have in common: ports, and the steps that all of them take.

    ``clip(round((acc + bias) * factor * 2**-shift) + zero_point, low, high)``. The bias is expected
    with 2**15 added, which makes the lower half a signed number after its top bit is flipped. In
    ``pair`` mode the two halves are two operands with a factor each:
    ``upper * multiplier + lower * factor``. With ``odd``, ties go to odd.

    Parameters: ``params``; ``pairs``, whether there is a pair mode, and odd ties.

    Members
    -------
    acc: the accumulator. param: bias, shift and factor of its channel. zero_point, low, high, and
    with ``pairs`` pair, odd, multiplier: constant during a step. code: the int8 result.
    """

    def __init__(self, params: Engine, *, pairs: bool = True, **more: wiring.Member):
        self.params, self.pairs = params, pairs
        self.latency = requant_latency(params)
        super().__init__(
            {
                "acc": In(signed(params.accumulator_bits)),
                "param": In(param_layout()),
                "zero_point": In(signed(8)),
                "low": In(signed(8)),
                "high": In(signed(8)),
                "code": Out(signed(8)),
                **({"pair": In(1), "odd": In(1), "multiplier": In(32)} if pairs else {}),
                **more,
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

    def total(self) -> Value:
        """The sum with its bias; of the accumulator's width."""
        return (self.acc + self.param.bias.as_signed())[: self.params.accumulator_bits]


def operands(total: Value) -> tuple[Value, Value]:
    """A sum's lower operand, whose offset goes, and its upper one; both signed."""
    lower = Cat(total[: LOW_BITS - 1], ~total[LOW_BITS - 1]).as_signed()
    return lower, total[LOW_BITS:].as_signed()


def tie_mask(whole: Value) -> Value:
    """2**n - 1 for a whole part of n bits."""
    n_bits = WHOLE_BITS - 1
    magnitude = whole[:-1] ^ whole[-1].replicate(n_bits)
    return Cat(magnitude[i:].any() for i in range(n_bits))


def near_tie(aligned: data.View, mask: Value) -> tuple[Value, Value, Value]:
    """Whether float32 sees a tie: within half a unit of its last place, or just at its edge; and
    whether the fraction is at least a half.

    A whole part of n bits leaves float32 a distance from a tie of up to 2**n of our units, beyond
    which only an exact 2**n above it rounds to the tie, too. mask: ``tie_mask`` of the whole part.
    """
    edge = Cat(Const(1, 1), mask) & ~Cat(mask, Const(0, 1))  # 2**n
    half_up = aligned.fraction[-1]
    # From the tie, one's complement below it.
    distance = aligned.fraction[:-1] ^ (~half_up).replicate(FRACTION_BITS - 1)
    low, high = distance[:WHOLE_BITS], distance[WHOLE_BITS:]
    outside = low & ~Cat(mask, Const(0, 1))
    within = ~outside.any() & ~high.any()
    at_edge = half_up & ~aligned.rest & (low == edge) & ~high.any()
    return within, at_edge, half_up


def round_up(within: Value, edge: Value, half_up: Value, whole: Value, odd: Value) -> Value:
    """Whether the whole part goes up by one: ties to even (or odd), all else to the nearest."""
    return Mux(within | edge, whole[0] ^ odd, half_up)


def clip(result: Value, too_low: Value, too_high: Value, low: Value, high: Value) -> Value:
    """The code of a rounded value with its zero point; too_low, too_high: what lies far outside."""
    # The sign of a difference is one carry chain; a comparison takes more.
    below = too_low | (~too_high & (result - low)[-1])
    above = too_high | (high - result)[-1]
    return Mux(below, low, Mux(above, high, result))


class RequantiseLane(Lane):
    """A lane that takes a new value every cycle; the code leaves ``latency`` cycles later."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal.like(self.acc)
        factor = Signal(32)
        m.d.sync += [total.eq(self.total()), factor.eq(self.param.factor)]
        product, latency = self._product(m, total, factor)
        shift = delay(m, self.param.shift, 1 + latency, "shift")
        self._round(m, self._align(m, product, shift))
        return m

    def _product(self, m: Module, total: Signal, factor: Signal) -> tuple[Signal, int]:
        """The scaled sum of both halves, and its latency."""
        style = self.params.styles.requant
        lower, upper = operands(total)
        pair: Value = own(m, self.pair, "pair") if self.pairs else Const(0, 1)
        second = own(m, self.multiplier, "multiplier") if self.pairs else factor
        upper_factor = Mux(pair, second, factor)
        halves = []
        for name, operand, scale in (("upper", upper, upper_factor), ("lower", lower, factor)):
            parts = []
            for part, bits in (("low", scale[:16]), ("high", scale[16:])):
                multiplier = Multiplier(unsigned(16), operand.shape(), style)
                m.submodules[f"{name}_{part}"] = multiplier
                m.d.comb += [multiplier.a.eq(bits), multiplier.b.eq(operand)]
                parts.append(multiplier.p)
                latency = multiplier.latency
            half = (parts[0] + (parts[1] << 16))[: len(operand) + 32].as_signed()
            if name == "upper":  # its place is chosen here: the next sum's carry chain is longer
                half = Mux(pair, half, half << LOW_BITS)
            halves.append(delay(m, half, 1, f"{name}_product"))
        # The lowest sum is -2**(bits - 1) - 2**15, the bias's offset taken out: one bit more.
        product = Signal(signed(self.params.accumulator_bits + 1 + 32))
        m.d.sync += product.eq(halves[0] + halves[1])
        return product, latency + 2

    def _align(self, m: Module, product: Signal, shift: Value) -> data.View:
        aligned = Signal(ALIGNED)
        padded = Cat(Const(0, 1), product)  # room for 25 fraction bits at the smallest shift
        sign = padded[-1]
        with m.Switch(shift):
            for i, point in enumerate(SHIFTS):
                below = point + 1 - FRACTION_BITS
                with m.Case(i) if i < len(SHIFTS) - 1 else m.Default():
                    above = _from(padded, point + WHOLE_BITS)
                    inside = Mux(sign, above.all(), ~above.any())
                    m.d.sync += [
                        aligned.whole.eq(_from(padded, point + 1).as_signed()),
                        aligned.fraction.eq(_from(padded, below)[:FRACTION_BITS]),
                        aligned.rest.eq(padded[:below].any() if below else 0),
                        aligned.too_low.eq(~inside & sign),
                        aligned.too_high.eq(~inside & ~sign),
                    ]
        return aligned

    def _round(self, m: Module, aligned: data.View) -> None:
        # Stage 1: how wide a tie is. Stage 2: compare. Stage 3: decide. Stage 4: add.
        # Stage 5: clip.
        mask = delay(m, tie_mask(aligned.whole), 1, "mask")
        aligned = delay(m, aligned, 1, "aligned")
        # What is constant during a step goes to all lanes: each has its own registers for it.
        low, high, zero_point = (
            own(m, signal, signal.name) for signal in (self.low, self.high, self.zero_point)
        )
        odd = own(m, self.odd, "odd") if self.pairs else Const(0, 1)
        within, edge, half_up, up = (Signal(name=n) for n in ("within", "edge", "half_up", "up"))
        for signal, value in zip((within, edge, half_up), near_tie(aligned, mask), strict=True):
            m.d.sync += signal.eq(value)
        whole = delay(m, aligned.whole, 1, "whole")
        m.d.sync += up.eq(round_up(within, edge, half_up, whole, odd))
        whole = delay(m, whole, 1, "rounded")
        result = Signal(signed(WHOLE_BITS + 1))
        m.d.sync += result.eq(whole + Cat(up, 0).as_signed() + zero_point)
        too_low = delay(m, aligned.too_low, 3, "too_low")
        too_high = delay(m, aligned.too_high, 3, "too_high")
        m.d.sync += self.code.eq(clip(result, too_low, too_high, low, high))


def _from(value: Value, start: int) -> Value:
    """The bits of a signed value from ``start`` up, sign-extended past its end."""
    if start < len(value):
        return value[start:]
    return value[-1]
