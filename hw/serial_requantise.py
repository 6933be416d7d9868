"""A small lane of the output path: a single multiplier, a result every four cycles."""

# Ref: docs/ops.md, C1 and C2.

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In

from weft.hw.delay import delay
from weft.hw.multiplier import Multiplier
from weft.hw.requantise import (
    ALIGNED,
    FRACTION_BITS,
    LOW_BITS,
    WHOLE_BITS,
    Lane,
    clip,
    near_tie,
    operands,
    round_up,
    tie_mask,
)
from weft.machine.engine import SERIAL_CYCLES, Engine

SUM_BITS = 34
"""Partial sum: two products of 16 signed by 16 unsigned bits, doubled, and what is left of two."""

WINDOW_BITS = FRACTION_BITS + WHOLE_BITS
"""Bits of the aligned product that count one by one."""

SHIFTER_BITS = WINDOW_BITS + 16
"""Of the product, when only bytes of two limbs are left to be shifted out."""

SETTLED = data.StructLayout(
    {
        "top": SHIFTER_BITS - 2 * LOW_BITS,  # what lies above the limbs
        "sign": 1,
        "beyond": 1,  # the value does not fit
        "rest": 1,  # something lay in a limb that is gone
    }
)
"""A sum that is complete."""


class SerialRequantiseLane(Lane):
    """The function of ``RequantiseLane`` with one multiplier.

    ``start`` is high in the cycle in which ``acc`` and ``param`` are valid; they need not stay.
    Starts are at least ``SERIAL_CYCLES`` apart. ``code`` is valid ``latency`` cycles after its
    start and stays until the next one's is.

    The operands of a pair have at most 9 bits, as an int8 less its zero point has.

    The products of 16-bit limbs come in the order lower * low, upper * low, lower * high, upper *
    high. They are added to a sum that moves down by one limb where the next product weighs more:
    before the second and the fourth one, in pair mode before the third. Limbs that leave it go to
    ``limbs``. All of it is doubled: then fractions begin with a limb or in its middle. Once the sum
    is complete, it moves down once more in pair mode, and where the lowest limb lies below any
    fraction. What is left of the shift is up to two bytes; three in pair mode, where the last point
    would take four, but three make as sure a zero of so small a value.
    """

    def __init__(self, params: Engine):
        super().__init__(params, start=In(1))

    start: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = self._times(m)
        product, first = self._product(m, at)
        settles = first + SERIAL_CYCLES
        code = self._code(m, at, settles)
        settled, limbs = self._sum(m, product, at[first:], code)
        aligned = self._align(m, settled, limbs, at[settles + 1], code)
        self._round(m, aligned, at[-1])
        return m

    def _times(self, m: Module) -> list[Signal]:
        """High in cycle 0, 1, ... from the start on."""
        at = [self.start]
        for cycle in range(1, self.latency):
            later = Signal(name=f"at_{cycle}")
            m.d.sync += later.eq(at[-1])
            at.append(later)
        return at

    def _product(self, m: Module, at: list[Signal]) -> tuple[Signal, int]:
        """The four products, the first ``latency`` cycles after the start, and that number."""
        total = Signal.like(self.acc, reset_less=True)
        limb, later = (Signal(16, name=n, reset_less=True) for n in ("limb", "later"))
        with m.If(at[0]):
            m.d.sync += total.eq(self.total())
        with m.If(at[0] | (at[2] & self.pair)):
            m.d.sync += later.eq(Mux(at[0], self.param.factor[16:], self.multiplier[16:]))
        with m.If(~at[1] | self.pair):
            first = Mux(at[0], self.param.factor[:16], self.multiplier[:16])
            m.d.sync += limb.eq(Mux(at[0] | at[1], first, later))
        lower, upper = operands(total)
        multiplier = Multiplier(unsigned(16), signed(16), self.params.styles.requant)
        m.submodules.multiplier = multiplier
        m.d.comb += [
            multiplier.a.eq(limb),
            multiplier.b.eq(Mux(at[1] | at[3], lower, upper)),
        ]
        return multiplier.p, 1 + multiplier.latency

    def _code(self, m: Module, at: list[Signal], cycle: int) -> Signal:
        """The shift code, there in ``cycle`` after the start and in the next one."""
        code = self.param.shift
        for taken in range(0, cycle, SERIAL_CYCLES):
            later = Signal(3, name=f"code_{taken}", reset_less=True)
            with m.If(at[taken]):
                m.d.sync += later.eq(code)
            code = later
        return code

    def _sum(
        self, m: Module, product: Signal, at: list[Signal], code: Value
    ) -> tuple[data.View, Signal]:
        """The doubled sum and the limbs below it, five cycles after a first product (``at[0]``)."""
        total = Signal(signed(SUM_BITS), reset_less=True)
        limbs = Signal(2 * LOW_BITS, reset_less=True)
        down = Signal()  # the next product weighs a limb more
        m.d.sync += down.eq(Mux(self.pair, at[1], at[0] | at[2]))
        kept = Mux(at[0], 0, Mux(down, total >> LOW_BITS, total))
        m.d.sync += total.eq(kept + (product << 1))
        again = Signal()  # the lowest limb is a former sum's (pair mode), or below any fraction
        m.d.comb += again.eq(self.pair | (code >= 2))
        with m.If(down | (at[4] & again)):
            m.d.sync += limbs.eq(Cat(limbs[LOW_BITS:], total[:LOW_BITS]))

        settled = Signal(SETTLED, reset_less=True)
        n_top = len(settled.top)
        beyond = total[n_top - 1 : self.params.accumulator_bits + 2]
        m.d.sync += [
            settled.top.eq(Mux(again, total >> LOW_BITS, total)),
            settled.sign.eq(total[-1]),
            settled.beyond.eq(~again & (beyond ^ total[-1].replicate(len(beyond))).any()),
            settled.rest.eq(again & ~self.pair & limbs[:LOW_BITS].any()),
        ]
        return settled, limbs

    def _align(
        self, m: Module, settled: data.View, limbs: Signal, load: Signal, code: Value
    ) -> data.View:
        """Shifts by up to three bytes: done four cycles after ``load``, gone a cycle later."""
        shifter = Signal(signed(SHIFTER_BITS), reset_less=True)
        left = Signal(2, reset_less=True)
        flags = Signal(
            data.StructLayout(dict.fromkeys(("sign", "beyond", "rest"), 1)), reset_less=True
        )
        last = Mux(self.pair, 3, 2)
        with m.If(load):
            m.d.sync += [
                shifter.eq(Cat(limbs, settled.top)),
                left.eq(Mux(code[2], last, Cat(code[0], code[1] & self.pair))),
                flags.sign.eq(settled.sign),
                flags.beyond.eq(settled.beyond),
                flags.rest.eq(settled.rest),
            ]
        with m.Elif(left != 0):
            m.d.sync += [
                shifter.eq(shifter >> 8),
                left.eq(left - 1),
                flags.rest.eq(flags.rest | shifter[:8].any()),
            ]
        above = shifter[WINDOW_BITS - 1 :]
        outside = flags.beyond | (above ^ flags.sign.replicate(len(above))).any()
        aligned = Signal(ALIGNED)
        m.d.comb += [
            Cat(aligned.fraction, aligned.whole).eq(shifter),
            aligned.rest.eq(flags.rest),
            aligned.too_low.eq(outside & flags.sign),
            aligned.too_high.eq(outside & ~flags.sign),
        ]
        return aligned

    def _round(self, m: Module, aligned: data.View, ends: Signal) -> None:
        # Stage 1: compare. Stage 2: decide and add. Stage 3: clip.
        within, edge, half_up = (Signal(name=name) for name in ("within", "edge", "half_up"))
        for signal, value in zip(
            (within, edge, half_up), near_tie(aligned, tie_mask(aligned.whole)), strict=True
        ):
            m.d.sync += signal.eq(value)
        whole = delay(m, aligned.whole, 1, "whole")
        up = round_up(within, edge, half_up, whole, self.odd)
        result = Signal(signed(WHOLE_BITS + 1))
        m.d.sync += result.eq(whole + Cat(up, 0).as_signed() + self.zero_point)
        too_low = delay(m, aligned.too_low, 2, "too_low")
        too_high = delay(m, aligned.too_high, 2, "too_high")
        with m.If(ends):
            m.d.sync += self.code.eq(clip(result, too_low, too_high, self.low, self.high))
