"""Two of a row's weights to a DSP block that splits into halves."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data

from weft.hw.dual import dual_products
from weft.machine.engine import Engine


def products(m: Module, params: Engine, name: str, act: Signal, weights: data.View) -> list[Signal]:
    """``weights`` times ``act``, neighbours sharing a block."""
    return dual_products(m, [(weight, act) for weight in weights], name)
