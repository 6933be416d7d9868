"""Overlapped engines worth trying on a device."""

import math
from collections.abc import Iterator

from weft.engines.kind import Demand, Pins
from weft.engines.overlapped.spec import OverlappedSpec
from weft.errors import ConfigError, FitError, counted
from weft.machine.engine import Style, Styles
from weft.machine.target import Target

SIZES = (1, 2, 4, 8, 16, 32)
"""Lanes and columns that are tried; any others can be pinned."""

REQUANT_PAIRS = (
    *((1, 1), (1, 2), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2)),
    *((4, 4), (4, 8), (8, 2), (8, 4), (8, 8)),
)
"""Results that the array's and the vector unit's output path requantise per cycle."""


def candidates(demand: Demand, target: Target, pins: Pins) -> Iterator[OverlappedSpec]:
    """As ``EngineKind.candidates``, within the target's multipliers."""
    packable = demand.weights[0] > -128 and demand.weights[1] < 128
    taps = (1, 3) if demand.depthwise else (1,)  # rolling helps depthwise convolutions only
    divided = False
    for k, n in _sizes(target, pins, packable):
        for array, vector in (pins.requant_lanes,) if pins.requant_lanes else REQUANT_PAIRS:
            if k % array == 0 and n % array == 0 and k % vector == 0:
                divided = True
                for t in taps:
                    yield _styled(target, k, n, array, vector, t, packable and n % 2 == 0)
    if not divided:
        reason = (
            f"does not divide both {pins.lanes} and {pins.columns}"
            if pins.lanes and pins.columns
            else f"goes with none of the sizes tried ({', '.join(map(str, SIZES))}); "
            "pin --lanes and --columns, too"
        )
        raise ConfigError(
            f"requantise lanes must divide lanes and columns: {pins.requant_text} {reason}"
        )


def _sizes(target: Target, pins: Pins, packable: bool) -> list[tuple[int, int]]:
    """Lanes and columns to try, the largest array first. Raises FitError when there are none."""
    share = target.facts.products_per_dsp
    sizes = [
        (k, n)
        for k in ((pins.lanes,) if pins.lanes else SIZES)
        for n in ((pins.columns,) if pins.columns else SIZES)
        if k * n <= target.dsp * max(share, 1 + (packable and n % 2 == 0))
        or (pins.lanes and pins.columns)
    ]
    if not sizes:
        k, n = pins.lanes or SIZES[0], pins.columns or SIZES[0]
        raise FitError(
            f"it needs {counted(k * n, 'DSP multiplier')} with {counted(k, 'lane')} and "
            f"{counted(n, 'column')}, the board has {target.dsp}",
            at=f"no engine fits {target.name}",
            remedy=pins.advice,
        )
    return sorted(sizes, key=lambda size: (-size[0] * size[1], abs(size[0] - size[1])))


def _styled(
    target: Target, k: int, n: int, array: int, vector: int, taps: int, packable: bool
) -> OverlappedSpec:
    """Multipliers go into DSPs in order of need until the usable share is spent."""
    left = int(target.dsp * target.facts.dsp_share)
    share = target.facts.products_per_dsp
    packed = packable and share == 1 and k * n > left
    styles = [Style.PACKED if packed else Style.DSP]
    left -= math.ceil(k * n / (share + packed))
    for count in (4 * (array + vector), math.ceil(k * taps / share)):
        style = Style.DSP if count <= left else Style.LUT
        left -= count if style is Style.DSP else 0
        styles.append(style)
    return OverlappedSpec(
        lanes=k,
        columns=n,
        array_requant=array,
        vector_requant=vector,
        vector_taps=taps,
        styles=Styles(array=styles[0], requant=styles[1], vector=styles[2]),
    )
