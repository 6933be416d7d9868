"""The hardware of the row formats in ``weft.machine.engine.ROWS``."""

from collections.abc import Callable, Sequence

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data

from weft.hw.rows import dual, packed, plain
from weft.machine.engine import Engine, Style

RowProducts = Callable[[Module, Engine, str, Signal, data.View], Sequence[Value]]
"""A row's N products of its weights, a view of the memory word's fields, and one activation.

They come ``engine.rows.latency`` cycles later. Submodules are called after the name."""

ROW_PRODUCTS: dict[Style, RowProducts] = {
    Style.DSP: plain.products,
    Style.LUT: plain.products,
    Style.PACKED: packed.products,
    Style.DUAL: dual.products,
}
