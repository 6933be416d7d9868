"""The drain: takes a tile's sums at once and hands them on R at a time, with their parameters."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.sequencer import FLAGS
from weft.hw.step import back_layout
from weft.machine.engine import Engine, Unit
from weft.machine.timing import LOAD_DELAY

GROUP = data.StructLayout(
    {
        "valid": 1,
        "first": 1,  # group of its tile
        "first_tile": 1,  # ... of its pixel
        "last_tile": 1,
        "first_col": 1,
        "first_row": 1,
        "row_done": 1,  # the row's last group
        "done": 1,  # the step's last group
    }
)


class Drain(wiring.Component):
    """Serialises a tile's sums, N (array) or K (vector unit) of them, into groups of R.

    A strobe on ``tile`` comes ``LOAD_DELAY`` cycles before the sums are valid; its first group
    leaves on ``group_sums`` one cycle after they were taken, then one group every
    ``requant_interval`` cycles: group g, from 0 on, ``LOAD_DELAY + 1 + g * requant_interval``
    cycles after the strobe. It stays for the whole interval. Strobes are at least ``groups_per_tile
    * requant_interval`` cycles apart.

    Members
    -------
    tile: flags of the tile's last tap, ``active`` as the strobe. step: the output path's fields.
    param_address: leaves so early that parameters meet ``group_sums`` after two registers and a
    memory's latency; they stay as long. group: what the groups are, in the first cycle of
    ``group_sums``, the only one in which ``valid`` is high.
    """

    def __init__(self, params: Engine, unit: Unit):
        self.params, self.unit = params, unit
        acc = signed(params.accumulator_bits)
        super().__init__(
            {
                "tile": In(FLAGS),
                "step": In(back_layout(params)),
                "sums": In(data.ArrayLayout(acc, params.drain_lanes(unit))),
                "param_address": Out(params.param_address_bits),
                "group_sums": Out(data.ArrayLayout(acc, params.requant(unit))),
                "group": Out(GROUP),
            }
        )

    tile: data.View
    step: data.View
    sums: data.View
    param_address: Signal
    group_sums: data.View
    group: data.View

    def elaborate(self, platform: object) -> Module:
        m = Module()
        strobe = self.tile.active

        left = Signal.like(self.step.groups_per_tile)
        more = Signal()  # left != 0
        begins, ends = self._slot(m, strobe)
        flags = Signal(FLAGS)
        fresh = Signal()  # the next group is the tile's first
        m.d.sync += fresh.eq(strobe)
        with m.If(strobe):
            m.d.sync += [left.eq(self.step.groups_per_tile), flags.eq(self.tile), more.eq(1)]
        with m.Elif(ends & more):
            m.d.sync += [left.eq(left - 1), more.eq(left != 1)]
        self._address(m, strobe, ends & more)

        group = Signal(GROUP)
        row_done = begins & (left == 1) & flags.last_tile & flags.last_col
        m.d.comb += [
            group.valid.eq(begins & more),
            group.first.eq(fresh),
            group.first_tile.eq(flags.first_tile),
            group.last_tile.eq(flags.last_tile),
            group.first_col.eq(flags.first_col),
            group.first_row.eq(flags.first_row),
            group.row_done.eq(row_done),
            group.done.eq(row_done & flags.last_row),
        ]
        m.d.comb += self.group.eq(delay(m, group, LOAD_DELAY, "group"))
        self._shift(m, strobe, ends)
        return m

    def _slot(self, m: Module, strobe: Signal) -> tuple[Value, Value]:
        """Whether this is a group's first cycle, its last. A first one follows the strobe."""
        interval = self.params.requant_interval
        if interval == 1:
            return Const(1), Const(1)
        begins, ends = Signal(), Signal()
        cycle = Signal(range(interval))
        m.d.sync += cycle.eq(Mux(strobe | ends, 0, cycle + 1))
        m.d.comb += [begins.eq(cycle == 0), ends.eq(cycle == interval - 1)]
        return begins, ends

    def _address(self, m: Module, strobe: Signal, advance: Value) -> None:
        """Parameters follow the channels: tile by tile, from the start for each pixel."""
        step, address = self.step, self.param_address
        following = Signal.like(address)  # of the next cycle's group
        m.d.comb += following.eq(address + (advance & ~step.shared_params))
        if self.unit is Unit.ARRAY:
            m.d.sync += address.eq(following)
            with m.If(strobe & self.tile.first_tile):
                m.d.sync += address.eq(step.param_base)
            return
        tile = Signal.like(address)  # where the tile's parameters begin, for all columns of a row
        with m.If(~strobe):
            m.d.sync += address.eq(following)
        with m.Elif(~self.tile.first_col):
            m.d.sync += address.eq(tile)
        with m.Elif(self.tile.first_tile):
            m.d.sync += [address.eq(step.param_base), tile.eq(step.param_base)]
        with m.Else():
            m.d.sync += [address.eq(following), tile.eq(following)]

    def _shift(self, m: Module, strobe: Signal, ends: Value) -> None:
        p = self.params
        load = Signal(LOAD_DELAY)
        m.d.sync += load.eq(strobe | (load << 1))
        if p.requant_interval > 1:
            ends = delay(m, ends, LOAD_DELAY, "ends")
        held = Signal(self.sums.shape(), reset_less=True)
        lanes, step = p.drain_lanes(self.unit), p.requant(self.unit)
        for i in range(lanes):
            with m.If(load[-1]):
                m.d.sync += held[i].eq(self.sums[i])
            if i + step < lanes:
                with m.Elif(ends):
                    m.d.sync += held[i].eq(held[i + step])
        for r in range(step):
            m.d.comb += self.group_sums[r].eq(held[r])
