"""The vector unit: K lanes, each with its own accumulators (depthwise, pools, pairs)."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.dual import dual_products
from weft.hw.multiplier import Multiplier
from weft.hw.own import own
from weft.hw.params import EngineParams, Unit, multiplier_latency
from weft.hw.params import Multiplier as Style
from weft.hw.ram import Ram
from weft.hw.step import VectorOp

PAIR_SHIFT = 16
"""Where the second operand of a pair sits in the accumulator."""


class VectorUnit(wiring.Component):
    """Accumulates each lane over the taps of a tile as ``op`` says.

    With ``rolling``, a lane works on T neighbouring output columns at once: every word is
    multiplied by T weights, the sums move on by one column with every tile, and each word of a row
    is read once. Otherwise (and for all but MAC) only the first of the T sums is used.

    ``sums`` holds the K results in the cycle ``unit_latency`` after a tile's last tap was issued.

    Members
    -------
    lanes: K int8 activations of a tap, ``ROW_LATENCY`` cycles after its issue. address: of its
    weights (for MAC), ``WEIGHT_ISSUE`` cycles after its issue. active: a tap is issued; without it
    the sums stay as they are. first: marks a tile's first tap, fresh: and the sums are all new,
    both at its issue. load_*: writes chunks of the weight memory.
    """

    def __init__(self, params: EngineParams, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        p = params
        super().__init__(
            {
                "op": In(VectorOp),
                "rolling": In(1),
                "lanes": In(data.ArrayLayout(signed(8), p.lanes)),
                "address": In(p.weight_address_bits),
                "active": In(1),
                "first": In(1),
                "fresh": In(1),
                "sums": Out(data.ArrayLayout(signed(p.accumulator_bits), p.lanes)),
                "load_en": In(p.vector_chunks),
                "load_address": In(p.weight_address_bits),
                "load_data": In(p.vector_lanes * p.weight_bits),
            }
        )

    op: Signal
    rolling: Signal
    lanes: data.View
    address: Signal
    active: Signal
    first: Signal
    fresh: Signal
    sums: data.View
    load_en: Signal
    load_address: Signal
    load_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        width = p.vector_lanes * p.weight_bits
        ram = Ram(
            width=width,
            depth=p.vector_words,
            grain=width // p.vector_chunks,
            init_file=f"{self.image_dir}/vector.hex" if self.image_dir else "",
        )
        m.submodules.weights = ram
        m.d.comb += [
            ram.r_addr.eq(self.address),
            ram.w_en.eq(self.load_en),
            ram.w_addr.eq(self.load_address),
            ram.w_data.eq(self.load_data),
        ]
        row = data.ArrayLayout(signed(p.weight_bits), p.lanes)
        weights = data.View(data.ArrayLayout(row, p.vector_taps), ram.r_data)

        cycles = p.unit_latency(Unit.VECTOR) - 2  # each lane has the last register for itself
        roll = Signal()
        clear = Signal()
        m.d.comb += [
            roll.eq(self.first & self.rolling & ~self.fresh),
            clear.eq(self.first & ~roll),
        ]
        roll = delay(m, roll, cycles, "roll")
        clear = delay(m, clear, cycles, "clear")
        active = delay(m, self.active, cycles, "active")
        products = self._products(m, weights)
        for k in range(p.lanes):
            self._lane(m, k, products[k], active, roll, clear)
        return m

    def _products(self, m: Module, weights: data.View) -> list[list[Signal]]:
        """T products of each lane."""
        p = self.params
        taps = range(p.vector_taps)
        operands = [[(weights[t][k], self.lanes[k]) for t in taps] for k in range(p.lanes)]
        if p.vector_multiplier is Style.DUAL:
            products = dual_products(m, [pair for lane in operands for pair in lane], "mul")
            return [products[k * len(taps) :][: len(taps)] for k in range(p.lanes)]
        products = []
        for k, lane in enumerate(operands):
            products.append([])
            for t, (weight, act) in enumerate(lane):
                multiplier = Multiplier(signed(p.weight_bits), signed(8), p.vector_multiplier)
                m.submodules[f"mul_{k}_{t}"] = multiplier
                m.d.comb += [multiplier.a.eq(weight), multiplier.b.eq(act)]
                products[k].append(multiplier.p)
        return products

    def _lane(
        self, m: Module, k: int, products: list, active: Signal, roll: Signal, clear: Signal
    ) -> None:
        p = self.params
        op, active, roll, clear = (
            own(m, signal, f"{name}_{k}")
            for name, signal in (
                *(("op", self.op), ("active", active)),
                *(("roll", roll), ("clear", clear)),
            )
        )
        latency = multiplier_latency(p.vector_multiplier, 8)
        act = delay(m, self.lanes[k], latency, f"act_{k}")
        totals = [self.sums[k]]
        totals += [Signal.like(totals[0], name=f"sum_{k}_{t}") for t in range(1, len(products))]
        first, later = totals[0], [*totals[1:], 0]
        # Sums that roll outlive their tile: the idle cycles behind it must not touch them.
        with m.If(active), m.Switch(op):
            with m.Case(VectorOp.MAC):
                for total, after, product in zip(totals, later, products, strict=True):
                    kept = Mux(clear, 0, Mux(roll, after, total))
                    m.d.sync += total.eq(kept + product)
            with m.Case(VectorOp.SUM):
                m.d.sync += first.eq(act + Mux(clear, 0, first))
            with m.Case(VectorOp.MAX):
                largest = first[:8].as_signed()  # so far: an activation
                # The sign of a difference is one carry chain; a comparison takes more.
                behind = (largest - act)[-1]
                m.d.sync += first.eq(Mux(clear | behind, act, largest))
            with m.Case(VectorOp.PAIR):
                m.d.sync += first.eq(Mux(clear, act, first + (act << PAIR_SHIFT)))
