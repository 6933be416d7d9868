"""Values some cycles later."""

from typing import Any

from amaranth.hdl import Module, Signal


def delay(m: Module, value: Any, cycles: int, name: str) -> Any:
    """The value ``cycles`` clock cycles later, through registers called after ``name``."""
    for stage in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{stage}")
        m.d.sync += later.eq(value)
        value = later
    return value
