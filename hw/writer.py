"""Where results go: the address generator of an output path."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.drain import GROUP
from weft.hw.params import EngineParams, Unit
from weft.hw.step import back_layout


class Writer(wiring.Component):
    """Word, group and lane mask of each result group, one cycle after its ``group`` flags.

    A pixel's groups lie one after the other from ``out_group`` of its first word; pixels are
    ``out_col`` words apart, rows ``out_row``. The array gives a pixel's tiles one after the other;
    the vector unit gives a tile, which is a word, of all pixels of a row before the next.

    Members
    -------
    word: activation word. enable: one bit per lane of that word. active: a group is due,
    written or not. row_done, done: with the last group of a row, of the step.
    """

    def __init__(self, params: EngineParams, unit: Unit):
        self.params, self.unit = params, unit
        super().__init__(
            {
                "group": In(GROUP),
                "step": In(back_layout(params)),
                "word": Out(params.act_address_bits),
                "enable": Out(params.lanes),
                "active": Out(1),
                "row_done": Out(1),
                "done": Out(1),
            }
        )

    group: data.View
    step: data.View
    word: Signal
    enable: Signal
    active: Signal
    row_done: Signal
    done: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, step, group = self.params, self.step, self.group
        lanes = p.requant(self.unit)
        n_places = p.groups_per_word(self.unit)
        mask = Signal(lanes)
        place = Signal.like(step.out_group)
        left = Signal.like(step.groups_last)  # groups of the tile still to be written
        opens, target = self._target(m)

        all_lanes = Const(-1, lanes)
        count = Mux(group.last_tile, step.groups_last, step.groups_per_tile)
        m.d.sync += [
            self.active.eq(group.valid),
            self.row_done.eq(group.valid & group.row_done),
            self.done.eq(group.valid & group.done),
            mask.eq(0),
        ]
        with m.If(group.valid & group.first):
            m.d.sync += [left.eq(count - 1), mask.eq(all_lanes)]
        with m.Elif(group.valid):
            m.d.sync += mask.eq(Mux(left != 0, all_lanes, 0))
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        with m.If(group.valid & opens):
            m.d.sync += [self.word.eq(target), place.eq(step.out_group)]
            if self.unit is Unit.ARRAY:
                m.d.sync += mask.eq(step.first_lanes)
        with m.Elif(group.valid & (place == n_places - 1)):
            m.d.sync += [place.eq(0), self.word.eq(self.word + 1)]
        with m.Elif(group.valid):
            m.d.sync += place.eq(place + 1)

        for g in range(n_places):
            lane = slice(g * lanes, (g + 1) * lanes)
            m.d.comb += self.enable[lane].eq(Mux(place == g, mask, Const(0, lanes)))
        return m

    def _target(self, m: Module) -> tuple[Signal, Signal]:
        """Whether the group begins at a word of its own, and which."""
        step, group = self.step, self.group
        row, next_row, pixel, target = (
            Signal.like(self.word, name=name) for name in ("row", "next_row", "pixel", "target")
        )
        opens = Signal()
        m.d.comb += next_row.eq(Mux(group.first_row, step.out_word, row + step.out_row))
        if self.unit is Unit.ARRAY:
            m.d.comb += opens.eq(group.first & group.first_tile)
            m.d.comb += target.eq(Mux(group.first_col, next_row, pixel + step.out_col))
            row_opens = opens & group.first_col
        else:
            tile, next_tile = Signal.like(self.word), Signal.like(self.word)
            m.d.comb += opens.eq(group.first)
            m.d.comb += next_tile.eq(Mux(group.first_tile, next_row, tile + 1))
            m.d.comb += target.eq(Mux(group.first_col, next_tile, pixel + step.out_col))
            row_opens = opens & group.first_col & group.first_tile
            with m.If(group.valid & opens & group.first_col):
                m.d.sync += tile.eq(next_tile)
        with m.If(group.valid & opens):
            m.d.sync += pixel.eq(target)
        with m.If(group.valid & row_opens):
            m.d.sync += row.eq(next_row)
        return opens, target
