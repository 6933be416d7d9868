"""Two exact products of one activation from one 18x18 multiplier."""

# Ref: docs/architecture.md, "Two products in one multiplier".

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary
from weft.hw.pair_add import PairAdd
from weft.machine.engine import ROWS, Engine, Style
from weft.machine.rows import PackedRow

SHIFT = PackedRow.SHIFT

LATENCY = ROWS[Style.PACKED].latency
"""Cycles from operands to products."""

LOW_BITS = 6
"""Bits of the upper product that LUTs compute anew: as many as the lower one may overlap."""


def products(m: Module, params: Engine, name: str, act: Signal, weights: data.View) -> list[Signal]:
    """Two products of ``act`` from each of the packed ``weights``."""
    result = []
    for field in range(params.rows.fields(params.columns)):
        pair = PackedMultiplier()
        m.submodules[f"{name}_{field}"] = pair
        m.d.comb += [pair.pair.eq(weights[field]), pair.act.eq(act)]
        result += [pair.low, pair.high]
    return result


class PackedMultiplier(wiring.Component):
    """``low = weight_0 * act`` and ``high = weight_1 * act``, a new triple every cycle.

    Both weights lie in -127..127 and come packed as ``pair = weight_1 * 2**10 + weight_0``. The
    multiplier gives ``pair * act``, in which the lower product reaches up to 6 bits into the upper
    one. The upper product's own low 6 bits, from LUTs, tell how far.

    Members: ``pair`` (18 bits), ``act`` (int8), ``low``, ``high`` (16 bits each, ``LATENCY`` cycles
    later).
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "pair": In(signed(18)),
                "act": In(signed(8)),
                "low": Out(signed(16)),
                "high": Out(signed(16)),
            }
        )

    pair: Signal
    act: Signal
    low: Signal
    high: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product = self._product(m, platform)  # two cycles after the operands

        # The upper weight's low bits: its field is one less where the lower weight is negative.
        weight, act = Signal(LOW_BITS), Signal(LOW_BITS)
        m.d.sync += [
            weight.eq(self.pair[SHIFT : SHIFT + LOW_BITS] + self.pair[SHIFT - 1]),
            act.eq(self.act),
        ]
        sums = []
        for i in range(0, LOW_BITS, 2):
            pair = PairAdd(LOW_BITS - i)  # the rows' bits that lie below 2**LOW_BITS
            m.submodules[f"rows_{i}"] = pair
            total = Signal(LOW_BITS, name=f"sum_{i}")
            m.d.comb += [
                pair.a.eq(weight),
                pair.x.eq(act[i]),
                pair.b.eq(weight << 1),
                pair.y.eq(act[i + 1]),
            ]
            m.d.sync += total.eq(pair.s << i)
            sums.append(total)
        expected = Signal(LOW_BITS)
        delayed = Signal.like(product)
        m.d.sync += [expected.eq(sums[0] + sums[1] + sums[2]), delayed.eq(product)]

        upper = delayed[SHIFT:].as_signed()
        carried = Signal(signed(LOW_BITS))  # what the lower product adds to the upper field
        m.d.comb += carried.eq(upper - expected)
        m.d.sync += [
            self.high.eq(upper - carried),
            self.low.eq(Cat(delayed[:SHIFT], carried).as_signed()),
        ]
        return m

    def _product(self, m: Module, platform: object) -> Signal:
        product = Signal(signed(26))
        match platform:
            case CellLibrary():
                m.submodules.cell = Instance(
                    "weft_mul",
                    p_A_BITS=18,
                    p_B_BITS=8,
                    p_A_SIGNED=1,
                    p_B_SIGNED=1,
                    i_clk=ClockSignal(),
                    i_a=self.pair,
                    i_b=self.act,
                    o_p=product,
                )
            case _:
                pair, act = Signal.like(self.pair), Signal.like(self.act)
                m.d.sync += [pair.eq(self.pair), act.eq(self.act), product.eq(pair * act)]
        return product
