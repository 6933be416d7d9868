"""W4 engines worth trying on a device."""

import math
from collections.abc import Iterator

from weft.engines.kind import Demand, Pins
from weft.engines.overlapped.candidates import sized, styled
from weft.engines.w4.row import LIMIT
from weft.engines.w4.spec import W4Spec
from weft.machine.engine import Style
from weft.machine.target import Target


def candidates(demand: Demand, target: Target, pins: Pins) -> Iterator[W4Spec]:
    """As ``EngineKind.candidates``; none for an array with larger weights."""
    low, high = demand.array_weights
    if low < -LIMIT or high > LIMIT:
        return
    for bare in sized(W4Spec, demand, target, pins, lambda columns: 2):
        yield styled(bare, target, Style.DSP, bare.lanes * math.ceil(bare.columns / 2))
