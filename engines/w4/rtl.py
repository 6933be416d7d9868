"""The multipliers of a w4 engine's array."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data

from weft.engines.w4.row import BITS, PRODUCT_BITS, SHIFT
from weft.hw.multiplier import Multiplier
from weft.machine.engine import Engine, Style


def products(m: Module, params: Engine, name: str, act: Signal, weights: data.View) -> list[Value]:
    """``weights`` times ``act``; what the lower product borrows from the upper one comes back."""
    result: list[Value] = []
    for field in range(params.rows.fields(params.columns)):
        multiplier = Multiplier(signed(SHIFT + BITS), signed(8), Style.DSP)
        m.submodules[f"{name}_{field}"] = multiplier
        low, high = weights[field][:BITS], weights[field][BITS:]
        borrow = multiplier.p[SHIFT - 1]
        m.d.comb += [
            multiplier.a.eq(Cat(low, low[-1].replicate(SHIFT - BITS), high).as_signed()),
            multiplier.b.eq(act),
        ]
        result += [
            multiplier.p[:PRODUCT_BITS].as_signed(),
            multiplier.p[SHIFT : SHIFT + PRODUCT_BITS].as_signed() + borrow,
        ]
    return result[: params.columns]
