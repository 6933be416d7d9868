"""Amaranth components as Verilog, with names that no tool takes for others."""

import re

from amaranth.back import verilog
from amaranth.lib import wiring

from weft.gen.process import libraries_tools
from weft.hw.cells import CellLibrary

ESCAPED = re.compile(r"\\\S+ ")
INDEX = re.compile(r"\[(\d+)\]")


def verilog_of(component: wiring.Component, name: str) -> str:
    """The module ``name`` and those below it; leaf cells apart.

    Amaranth makes the elements of an array wires of their own, ``sums[3]`` beside ``sums``. To
    yosys' ABC9 that is the name of a bit of ``sums``, too: it takes one for the other, and ends in
    a failed assertion at best. Here they become ``sums.3``.
    """
    with libraries_tools():
        text = verilog.convert(
            component,
            name=name,
            platform=CellLibrary(),
            strip_internal_attrs=True,
            emit_src=False,
        )
    return ESCAPED.sub(lambda escaped: INDEX.sub(r".\1", escaped[0]), text)
