"""Names in the Verilog that Amaranth writes."""

import re

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from weft.gen.verilog import verilog_of


class Arrays(wiring.Component):
    """A register that is an array of arrays."""

    def __init__(self):
        super().__init__({"o": Out(12)})

    o: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        table = Signal(data.ArrayLayout(data.ArrayLayout(2, 3), 2))
        m.d.sync += table[1][2].eq(table[0][1] + 1)
        m.d.comb += self.o.eq(table)
        return m


def test_no_name_is_that_of_a_bit() -> None:
    """yosys' ABC9 takes a wire ``table[1]`` for bit 1 of the wire ``table``."""
    text = verilog_of(Arrays(), "arrays")
    assert r"\table.1.2 " in text
    assert not re.search(r"\\\S*\[\d+\]\S* ", text)
    assert "o[11:10]" in text  # indices stay
