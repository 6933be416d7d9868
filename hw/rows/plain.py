"""A multiplier for each of a row's weights."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data

from weft.hw.multiplier import Multiplier
from weft.machine.engine import Engine


def products(m: Module, params: Engine, name: str, act: Signal, weights: data.View) -> list[Signal]:
    """``weights`` times ``act``, of DSP blocks or LUTs as the engine's style says."""
    result = []
    for field in range(params.rows.fields(params.columns)):
        multiplier = Multiplier(signed(params.weight_bits), signed(8), params.styles.array)
        m.submodules[f"{name}_{field}"] = multiplier
        m.d.comb += [multiplier.a.eq(weights[field]), multiplier.b.eq(act)]
        result.append(multiplier.p)
    return result
