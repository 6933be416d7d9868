"""The vector unit: K lanes, each with its own accumulator (depthwise, pools, pairs)."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.multiplier import Multiplier
from weft.hw.params import EngineParams
from weft.hw.ram import Ram
from weft.hw.step import VectorOp

PAIR_SHIFT = 16
"""Where the second operand of a pair sits in the accumulator."""


class VectorUnit(wiring.Component):
    """Accumulates each lane over the taps of a tile as ``op`` says.

    ``sums`` holds the K results in the cycle ``vector_latency`` after the last tap was issued.

    Members
    -------
    lanes: K int8 activations of a tap, ``ROW_LATENCY`` cycles after its issue. address: of its
    weights (for MAC), one cycle after its issue. first: marks a tile's first tap, at its issue.
    load_*: writes chunks of the weight memory.
    """

    def __init__(self, params: EngineParams, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        p = params
        super().__init__(
            {
                "op": In(VectorOp),
                "lanes": In(data.ArrayLayout(signed(8), p.lanes)),
                "address": In(p.weight_address_bits),
                "first": In(1),
                "sums": Out(data.ArrayLayout(signed(p.accumulator_bits), p.lanes)),
                "load_en": In(p.vector_chunks),
                "load_address": In(p.weight_address_bits),
                "load_data": In(p.lanes * p.weight_bits),
            }
        )

    op: Signal
    lanes: data.View
    address: Signal
    first: Signal
    sums: data.View
    load_en: Signal
    load_address: Signal
    load_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        ram = Ram(
            width=p.lanes * p.weight_bits,
            depth=p.vector_words,
            grain=p.lanes * p.weight_bits // p.vector_chunks,
            init_file=f"{self.image_dir}/vector.hex" if self.image_dir else "",
        )
        m.submodules.weights = ram
        m.d.comb += [
            ram.r_addr.eq(self.address),
            ram.w_en.eq(self.load_en),
            ram.w_addr.eq(self.load_address),
            ram.w_data.eq(self.load_data),
        ]
        weights = data.View(data.ArrayLayout(signed(p.weight_bits), p.lanes), ram.r_data)

        first = self.first
        for stage in range(p.vector_latency - 1):
            delayed = Signal(name=f"first_{stage}")
            m.d.sync += delayed.eq(first)
            first = delayed
        for k in range(p.lanes):
            self._lane(m, k, weights[k], first)
        return m

    def _lane(self, m: Module, k: int, weight: Signal, first: Signal) -> None:
        multiplier = Multiplier(
            signed(self.params.weight_bits), signed(8), self.params.vector_multiplier
        )
        m.submodules[f"mul_{k}"] = multiplier
        m.d.comb += [multiplier.a.eq(weight), multiplier.b.eq(self.lanes[k])]
        act = self.lanes[k]
        for stage in range(multiplier.latency):
            delayed = Signal(signed(8), name=f"act_{k}_{stage}")
            m.d.sync += delayed.eq(act)
            act = delayed
        total = self.sums[k]
        with m.Switch(self.op):
            with m.Case(VectorOp.MAC):
                m.d.sync += total.eq(multiplier.p + Mux(first, 0, total))
            with m.Case(VectorOp.SUM):
                m.d.sync += total.eq(act + Mux(first, 0, total))
            with m.Case(VectorOp.MAX):
                m.d.sync += total.eq(Mux(first | (act > total), act, total))
            with m.Case(VectorOp.PAIR):
                m.d.sync += total.eq(Mux(first, act, total + (act << PAIR_SHIFT)))


