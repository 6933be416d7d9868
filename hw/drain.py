"""The drain: takes a tile's sums at once and hands them on R at a time, with their parameters."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.params import EngineParams
from weft.hw.sequencer import FLAGS
from weft.hw.step import Unit, back_layout

LOAD_DELAY = 2
"""Cycles from a tile's strobe to the cycle in which its sums are taken."""

GROUP = data.StructLayout(
    {
        "valid": 1,
        "first": 1,  # group of its pixel
        "first_col": 1,
        "first_row": 1,
        "last": 1,  # group of the step
    }
)


class Drain(wiring.Component):
    """Serialises N (array) or K (vector unit) sums into groups of R.

    A strobe on ``tile`` comes ``LOAD_DELAY`` cycles before the sums are valid; its first group
    leaves on ``sums`` one cycle after they were taken, then one group per cycle.

    Members
    -------
    tile: flags of the tile's last tap, ``active`` as the strobe. step: the output path's fields.
    param_address: leaves so early that the parameters meet ``sums`` after a memory's latency.
    group: what the groups are, in the cycle of ``sums``.
    """

    def __init__(self, params: EngineParams):
        self.params = p = params
        acc = signed(p.accumulator_bits)
        super().__init__(
            {
                "tile": In(FLAGS),
                "unit": In(Unit),
                "step": In(back_layout(p)),
                "array_sums": In(data.ArrayLayout(acc, p.columns)),
                "vector_sums": In(data.ArrayLayout(acc, p.lanes)),
                "param_address": Out(p.param_address_bits),
                "sums": Out(data.ArrayLayout(acc, p.requant_lanes)),
                "group": Out(GROUP),
            }
        )

    tile: data.View
    unit: Signal
    step: data.View
    array_sums: data.View
    vector_sums: data.View
    param_address: Signal
    sums: data.View
    group: data.View

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.params
        strobe = self.tile.active

        left = Signal.like(self.step.groups_per_tile)
        flags = Signal(FLAGS)
        fresh = Signal()  # the next group is the tile's first
        m.d.sync += fresh.eq(strobe)
        with m.If(strobe):
            m.d.sync += [left.eq(self.step.groups_per_tile), flags.eq(self.tile)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        with m.If(strobe & self.tile.first_tile):
            m.d.sync += self.param_address.eq(self.step.param_base)
        with m.Elif((left != 0) & ~self.step.shared_params):
            m.d.sync += self.param_address.eq(self.param_address + 1)

        group = Signal(GROUP)
        m.d.comb += [
            group.valid.eq(left != 0),
            group.first.eq(fresh & flags.first_tile),
            group.first_col.eq(flags.first_col),
            group.first_row.eq(flags.first_row),
            group.last.eq((left == 1) & flags.last_tile),
        ]
        waiting = Signal(GROUP)
        m.d.sync += [waiting.eq(group), self.group.eq(waiting)]

        self._shift(m, strobe)
        return m

    def _shift(self, m: Module, strobe: Signal) -> None:
        """The register of all sums; the array's and the vector unit's share it."""
        p = self.params
        load = Signal(LOAD_DELAY)
        m.d.sync += load.eq(strobe | (load << 1))
        acc = signed(p.accumulator_bits)
        held = Signal(data.ArrayLayout(acc, p.drain_lanes))
        for i in range(p.drain_lanes):
            array = self.array_sums[i] if i < p.columns else None
            vector = self.vector_sums[i] if i < p.lanes else None
            if array is None or vector is None:
                taken = vector if array is None else array
            else:
                taken = Mux(self.unit == Unit.ARRAY, array, vector)
            behind = i + p.requant_lanes
            with m.If(load[-1]):
                m.d.sync += held[i].eq(taken)
            if behind < p.drain_lanes:
                with m.Else():
                    m.d.sync += held[i].eq(held[behind])
        for r in range(p.requant_lanes):
            m.d.comb += self.sums[r].eq(held[r])
