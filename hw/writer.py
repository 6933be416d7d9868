"""Where results go: the address generator of the output path."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.drain import GROUP
from weft.hw.params import EngineParams
from weft.hw.step import back_layout


class Writer(wiring.Component):
    """Word, group and lane mask of each result group, one cycle after its ``group`` flags.

    A pixel's groups lie one after the other from ``out_group`` of its first word; pixels are
    ``out_col`` words apart, rows ``out_row``. Only ``groups_per_pixel`` groups are written.

    Members
    -------
    word: activation word. enable: one bit per lane of that word. done: with the step's last group.
    """

    def __init__(self, params: EngineParams):
        self.params = p = params
        super().__init__(
            {
                "group": In(GROUP),
                "step": In(back_layout(p)),
                "word": Out(p.act_address_bits),
                "enable": Out(p.lanes),
                "done": Out(1),
            }
        )

    group: data.View
    step: data.View
    word: Signal
    enable: Signal
    done: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, step = self.params, self.step
        row, pixel, next_row, next_pixel = (Signal.like(self.word, name=n) for n in (
            "row", "pixel", "next_row", "next_pixel"))
        place = Signal.like(step.out_group)
        left = Signal.like(step.groups_per_pixel)
        mask = Signal(p.requant_lanes)

        start = self.group.first_row & self.group.first_col
        m.d.comb += [
            next_row.eq(Mux(start, step.out_word, row + step.out_row)),
            next_pixel.eq(Mux(self.group.first_col, next_row, pixel + step.out_col)),
        ]
        m.d.sync += [self.done.eq(self.group.valid & self.group.last), mask.eq(0)]
        with m.If(self.group.valid & self.group.first):
            m.d.sync += [
                pixel.eq(next_pixel),
                self.word.eq(next_pixel),
                place.eq(step.out_group),
                left.eq(step.groups_per_pixel - 1),
                mask.eq(step.first_lanes),
            ]
            with m.If(self.group.first_col):
                m.d.sync += row.eq(next_row)
        with m.Elif(self.group.valid):
            m.d.sync += mask.eq((left != 0).replicate(p.requant_lanes))
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.If(place == p.groups_per_word - 1):
                m.d.sync += [place.eq(0), self.word.eq(self.word + 1)]
            with m.Else():
                m.d.sync += place.eq(place + 1)

        for g in range(p.groups_per_word):
            lanes = slice(g * p.requant_lanes, (g + 1) * p.requant_lanes)
            m.d.comb += self.enable[lanes].eq(Mux(place == g, mask, Const(0, p.requant_lanes)))
        return m
