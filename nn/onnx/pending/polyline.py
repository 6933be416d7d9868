"""Any function of one code as two convolutions: a sum of hinges max(code - knot, 0).

The engine has no tables. A function of 256 codes is instead a polyline with integer slopes that
passes each code's result at less than half a step: the first convolution makes the hinges, exact
since they are differences of codes, the second one weighs and sums them. It has to do so without
any rounding error, and does: the polyline is checked at all codes as it is drawn.
"""

from dataclasses import dataclass

import numpy as np

from weft.nn.ir.tensor import CODE_MAX, CODE_MIN

WEIGHT_LIMIT = 127
POINTS = (6, 5, 4, 7, 3, 2, 1)  # binary places of the slopes, tried in this order
N_CODES = CODE_MAX - CODE_MIN + 1


@dataclass(frozen=True, kw_only=True)
class Polyline:
    """sum(weights * max(code - knots, 0)) + start, times 2**-point, is the result, rounded.

    knots: codes, int64 [n]; weights: int64 [n], each within -127..127 (a knot may be there twice).
    """

    knots: np.ndarray
    weights: np.ndarray
    start: int
    point: int


def polyline(target: np.ndarray, low: int, high: int) -> Polyline:
    """Hinges for results [256] of the codes -128..127, each within ``low..high``, its clamp.

    Results are counted from the output's zero point. At the clamp's ends the polyline may go
    beyond.
    """
    found = [_draw(target.astype(np.int64), low, high, point) for point in POINTS]
    return min(found, key=lambda item: len(item.knots))


def _draw(target: np.ndarray, low: int, high: int, point: int) -> Polyline:
    """The polyline with slopes in units of 2**-point that goes as far as it can, each time."""
    unit = 1 << point
    half = unit // 2 - 1 if unit > 1 else 0
    far = np.int64(1) << 20
    floor = np.where(target <= low, -far, target * unit - half)
    roof = np.where(target >= high, far, target * unit + half)
    value = int(np.clip(target[0] * unit, floor[0], roof[0]))
    start, slope, place = value, 0, 0
    knots: list[int] = []
    weights: list[int] = []
    while place < N_CODES - 1:
        length, new = _segment(floor[place + 1 :] - value, roof[place + 1 :] - value)
        change = new - slope
        n = -(-abs(change) // WEIGHT_LIMIT)
        for i in range(n):
            knots.append(place + CODE_MIN)
            weights.append((change * (i + 1)) // n - (change * i) // n)
        slope, value, place = new, value + new * length, place + length
    return Polyline(  # a constant has none; its one does nothing
        knots=np.array(knots or [CODE_MIN], np.int64),
        weights=np.array(weights or [0], np.int64),
        start=start,
        point=point,
    )


def _segment(floor: np.ndarray, roof: np.ndarray) -> tuple[int, int]:
    """Length and slope from 0 between two bounds, so that this piece and the next go far."""
    least, most = _slopes(floor, roof)
    longest = _length(least, most)
    best, choice = -1, (longest, int(least[longest - 1]))
    for length in range(longest, max(1, longest // 2) - 1, -1):
        low, high = int(least[length - 1]), int(most[length - 1])
        for slope in {low, (low + high) // 2, high}:
            reach = length
            if length < len(floor):
                value = slope * length
                reach += _length(*_slopes(floor[length:] - value, roof[length:] - value))
            if reach > best:
                best, choice = reach, (length, slope)
    return choice


def _slopes(floor: np.ndarray, roof: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest slope from 0 that stays between the bounds as far as each place."""
    steps = np.arange(1, len(floor) + 1)
    return np.maximum.accumulate(-(-floor // steps)), np.minimum.accumulate(roof // steps)


def _length(least: np.ndarray, most: np.ndarray) -> int:
    return max(1, int(np.count_nonzero(least <= most)))
