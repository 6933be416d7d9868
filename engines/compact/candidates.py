"""Compact engines worth trying on a device."""

from collections.abc import Iterator

from weft.engines.compact.spec import MAX_LANES, CompactSpec
from weft.engines.kind import Demand, Pins
from weft.errors import ConfigError, FitError
from weft.machine.engine import Style, Styles
from weft.machine.target import Target

LANES = (1, 2, 4)
COLUMNS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
"""What is tried; any others can be pinned."""


def candidates(demand: Demand, target: Target, pins: Pins) -> Iterator[CompactSpec]:
    """As ``EngineKind.candidates``: activations in block RAM or large RAMs, weights resident or
    streamed."""
    if pins.requant_lanes not in (None, (1, 1)):
        raise ConfigError(
            f"--requant-lanes {pins.requant_text}: engines for {target.family} requantise one "
            "result at a time; leave it out"
        )
    if (pins.lanes or 1) > MAX_LANES:
        raise FitError(
            f"those for {target.family} have at most {MAX_LANES} lanes, not {pins.lanes}",
            at=f"no engine fits {target.name}",
            remedy="try fewer --lanes",
        )
    choices = (False, True) if target.spram else (False,)
    for k in (pins.lanes,) if pins.lanes else LANES:
        for n in (pins.columns,) if pins.columns else COLUMNS:
            for single_port in choices:
                for streamed in choices:
                    yield CompactSpec(
                        lanes=k,
                        columns=n,
                        single_port=single_port,
                        streamed=streamed,
                        styles=_styles(target, k, n, demand.widths.weight),
                    )


def _styles(target: Target, k: int, n: int, weight_bits: int) -> Styles:
    """Multipliers that split in two (for 8-bit weights only), in order of need; what is
    left over goes into LUTs."""
    left = target.dsp
    styles = []
    if target.facts.splits_dsp and weight_bits == 8:
        product, array, vector = Style.DUAL, k * -(-n // 2), -(-k // 2)
    else:
        share = target.facts.products_per_dsp
        product, array, vector = Style.DSP, -(-k * n // share), -(-k // share)
    for style, count in ((product, array), (Style.DSP, 1), (product, vector)):
        styles.append(style if count <= left else Style.LUT)
        left -= count if count <= left else 0
    return Styles(array=styles[0], requant=styles[1], vector=styles[2])
