"""Overlapped engines worth trying on a device."""

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

from weft.engines.kind import Demand, Pins
from weft.engines.overlapped.spec import OverlappedSpec
from weft.errors import ConfigError, FitError, counted
from weft.machine.engine import Style, Styles
from weft.machine.target import Target

Spec = TypeVar("Spec", bound=OverlappedSpec)

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
    share = target.facts.products_per_dsp

    def pairs(columns: int) -> bool:
        return packable and columns % 2 == 0

    for bare in sized(OverlappedSpec, demand, target, pins, lambda n: max(share, 1 + pairs(n))):
        count = bare.multipliers
        packed = pairs(bare.columns) and share == 1 and count > _usable(target)
        style = Style.PACKED if packed else Style.DSP
        yield styled(bare, target, style, math.ceil(count / (share + packed)))


def sized(
    spec: type[Spec], demand: Demand, target: Target, pins: Pins, per_dsp: Callable[[int], int]
) -> Iterator[Spec]:
    """Engines of all sizes that the pins leave, the largest array first, with open styles.

    per_dsp: products of the array that a DSP block gives at most, with so many columns. Raises
    FitError where the array alone has too many, ConfigError where pins do not go together.
    """
    taps = (1, 3) if demand.depthwise else (1,)  # rolling helps depthwise convolutions only
    divided = False
    for k, n in _sizes(target, pins, per_dsp):
        for array, vector in (pins.requant_lanes,) if pins.requant_lanes else REQUANT_PAIRS:
            if k % array == 0 and n % array == 0 and k % vector == 0:
                divided = True
                for t in taps:
                    yield spec(
                        lanes=k,
                        columns=n,
                        array_requant=array,
                        vector_requant=vector,
                        vector_taps=t,
                    )
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


def _sizes(target: Target, pins: Pins, per_dsp: Callable[[int], int]) -> list[tuple[int, int]]:
    """Lanes and columns to try, the largest array first. Raises FitError when there are none."""
    sizes = [
        (k, n)
        for k in ((pins.lanes,) if pins.lanes else SIZES)
        for n in ((pins.columns,) if pins.columns else SIZES)
        if k * n <= target.dsp * per_dsp(n) or (pins.lanes and pins.columns)
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


def _usable(target: Target) -> int:
    """DSP blocks that a large engine may have."""
    return int(target.dsp * target.facts.dsp_share)


def styled(bare: Spec, target: Target, array: Style, dsps: int) -> Spec:
    """The engine with an array of so many DSP blocks; the other multipliers go into what is left of
    the usable ones in order of need, and into LUTs."""
    left = _usable(target) - dsps
    requant = 4 * (bare.array_requant + bare.vector_requant)
    vector = math.ceil(bare.lanes * bare.vector_taps / target.facts.products_per_dsp)
    styles = []
    for count in (requant, vector):
        style = Style.DSP if count <= left else Style.LUT
        left -= count if style is Style.DSP else 0
        styles.append(style)
    return bare.replace(styles=Styles(array=array, requant=styles[0], vector=styles[1]))
