"""Where results go: the address generator of an output path."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.drain import GROUP
from weft.hw.step import back_layout
from weft.machine.engine import Engine, Unit

WRITER_LATENCY = 2
"""Cycles from a group's flags to its word and mask."""


class Writer(wiring.Component):
    """Word, group and lane mask of each result group, so many cycles after its ``group`` flags.

    A pixel's groups lie one after the other from ``out_group`` of its first word; pixels are
    ``out_col`` words apart, rows ``out_row``. The array gives a pixel's tiles one after the other;
    the vector unit gives a tile, which is a word, of all pixels of a row before the next.

    Members
    -------
    word: activation word. enable: one bit per lane of that word. active: a group is due,
    written or not. row_done, done: with the last group of a row, of the step.
    """

    def __init__(self, params: Engine, unit: Unit):
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
        p, step = self.params, self.step
        lanes = p.requant(self.unit)
        n_places = p.groups_per_word(self.unit)
        mask = Signal(lanes)
        place = Signal.like(step.out_group)
        left = Signal.like(step.groups_last)  # groups of the tile still to be written
        further = Signal.like(left)  # groups to be written after a tile's first one
        begins = Signal()  # a tile
        opens = Signal()  # a word of its own
        early, group = self.group, Signal(GROUP)
        tile_begins = early.valid & early.first
        word_opens = early.first_tile if self.unit is Unit.ARRAY else Const(1, 1)
        m.d.sync += [
            group.eq(early),
            further.eq(Mux(early.last_tile, step.groups_last, step.groups_per_tile) - 1),
            begins.eq(tile_begins),
            opens.eq(tile_begins & word_opens),
        ]
        target = self._target(m, group, opens)

        all_lanes = Const(-1, lanes)
        m.d.sync += [
            self.active.eq(group.valid),
            self.row_done.eq(group.valid & group.row_done),
            self.done.eq(group.valid & group.done),
            mask.eq(0),
        ]
        with m.If(begins):
            m.d.sync += [left.eq(further), mask.eq(all_lanes)]
        with m.Elif(group.valid):
            m.d.sync += mask.eq(Mux(left != 0, all_lanes, 0))
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
        with m.If(opens):
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

    def _target(self, m: Module, group: data.View, opens: Signal) -> Signal:
        """The word at which a group opens one."""
        step = self.step
        row, next_row, pixel, target = (
            Signal.like(self.word, name=name) for name in ("row", "next_row", "pixel", "target")
        )
        m.d.comb += next_row.eq(Mux(group.first_row, step.out_word, row + step.out_row))
        if self.unit is Unit.ARRAY:
            m.d.comb += target.eq(Mux(group.first_col, next_row, pixel + step.out_col))
            row_opens = opens & group.first_col
        else:
            tile, next_tile = Signal.like(self.word), Signal.like(self.word)
            m.d.comb += next_tile.eq(Mux(group.first_tile, next_row, tile + 1))
            m.d.comb += target.eq(Mux(group.first_col, next_tile, pixel + step.out_col))
            row_opens = opens & group.first_col & group.first_tile
            with m.If(opens & group.first_col):
                m.d.sync += tile.eq(next_tile)
        with m.If(opens):
            m.d.sync += pixel.eq(target)
        with m.If(row_opens):
            m.d.sync += row.eq(next_row)
        return target
