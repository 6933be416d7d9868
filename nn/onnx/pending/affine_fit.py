"""Integers for ``acc * slope + offset``: a batch normalisation or float bias behind an accumulator.

The hardware multiplies an integer accumulator by a float32 factor, so an offset has to become part
of the accumulator, where it is rounded to whole steps. Multiplying a channel's weights by an
integer makes those steps finer; where a channel's few thresholds (the accumulators at which the
code changes) then all fall where real arithmetic puts them, nothing is lost.
"""

from dataclasses import dataclass

import numpy as np

from weft.nn.ir.numerics import requantise, scaling_of
from weft.nn.onnx.symbols import Rounding

MAX_ACCUMULATOR = 1 << 24  # float32 tells integers apart up to here
N_MULTIPLIERS = 64  # per channel that are tried, largest first
SIGN_FACTOR = 256.0  # carries any accumulator but 0 beyond the clamp
BELOW = {Rounding.EVEN: 0.5, Rounding.FLOOR: 0.0, Rounding.CEIL: 1.0}
"""How far below a whole number of steps the numbers begin that are rounded to it."""


@dataclass(frozen=True, kw_only=True)
class Affine:
    """What is wanted, per channel: clip(rounding(acc * slope + offset) + zero_point, low, high).

    slope (0 or more) and offset: float64 [C], in output steps; reach: least and largest
    accumulator, int64 [C] each; limit: int64 [C], the largest multiplier that the weights allow.
    table: the codes that are wanted instead, int64 [C, n] from the least accumulator to the
    largest, where float32 arithmetic makes them others.
    """

    slope: np.ndarray
    offset: np.ndarray
    reach: tuple[np.ndarray, np.ndarray]
    limit: np.ndarray
    zero_point: int
    low: int
    high: int
    rounding: Rounding = Rounding.EVEN
    table: np.ndarray | None = None

    def codes(self, acc: np.ndarray) -> np.ndarray:
        """The wanted codes of accumulators [C, n]."""
        if self.table is not None:
            return np.take_along_axis(self.table, acc - self.reach[0][:, None], axis=1)
        steps = acc * self.slope[:, None] + self.offset[:, None]
        return np.clip(self.rounding.round(steps) + self.zero_point, self.low, self.high)

    def edges(self) -> np.ndarray:
        """Accumulators [C, n] on both sides of every threshold within reach, in order.

        With a table all of them.
        """
        if self.table is not None:
            return self.reach[0][:, None] + np.arange(self.table.shape[1])
        steps = np.arange(self.low, self.high + 1) - self.zero_point - BELOW[self.rounding]
        least, most = (bound[:, None] for bound in self.reach)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            place = (steps[None, :] - self.offset[:, None]) / self.slope[:, None]
        place = np.floor(np.clip(np.nan_to_num(place), least - 2.0, most + 2.0)).astype(np.int64)
        near = place[:, :, None] + np.arange(-1, 3)
        near = np.clip(near, least[..., None], most[..., None])
        return np.sort(near.reshape(len(self.slope), -1), axis=1)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Weights times ``multiplier``, plus ``bias``, times ``factor``: int64, int64, float32 [C].

    wrong: how many of the accumulators next to a threshold get another code than wanted; of: how
    many there are.
    """

    multiplier: np.ndarray
    bias: np.ndarray
    factor: np.ndarray
    wrong: int
    of: int


def fit(wanted: Affine) -> Fit:
    """The best multiplier, bias and factor of every channel, of those that are tried."""
    if wanted.rounding is Rounding.SIGN:
        return _sign(wanted)
    acc = wanted.edges()
    codes = wanted.codes(acc)
    count = len(acc) + int(np.count_nonzero(np.diff(acc, axis=1)))  # equal ones count once
    best = _Best(wanted, codes)
    if not best.wrong.any():
        return best.fit(count)
    for multiplier in _multipliers(wanted):
        for bias in _biases(wanted, multiplier):
            for factor in _factors(wanted, multiplier):
                best.offer(wanted, acc, codes, (multiplier, bias, factor))
                if not best.wrong.any():
                    return best.fit(count)
    return best.fit(count)


class _Best:
    """The best choice of every channel so far; one that has a single code needs no weights."""

    def __init__(self, wanted: Affine, codes: np.ndarray) -> None:
        constant = (codes == codes[:, :1]).all(axis=1)
        self.wrong = np.where(constant, 0, np.iinfo(np.int64).max)
        self.multiplier = np.where(constant, 0, 1)
        self.bias = np.where(constant, codes[:, 0] - wanted.zero_point, 0).astype(np.int64)
        self.factor = np.ones(len(codes), np.float32)

    def offer(
        self,
        wanted: Affine,
        acc: np.ndarray,
        codes: np.ndarray,
        choice: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        """Take the choice for the channels in which it is better."""
        open_ = np.flatnonzero(self.wrong)
        multiplier, bias, factor = (part[open_] for part in choice)
        scaled = acc[open_] * multiplier[:, None] + bias[:, None]
        got = requantise(
            scaled[None, :, None, :],
            scaling_of(factor),
            wanted.zero_point,
            wanted.low,
            wanted.high,
        )[0, :, 0]
        differs = got != codes[open_]
        differs[:, 1:] &= np.diff(acc[open_], axis=1) != 0
        wrong = differs.sum(axis=1)
        better = wrong < self.wrong[open_]
        where = open_[better]
        self.wrong[where] = wrong[better]
        self.multiplier[where] = multiplier[better]
        self.bias[where] = bias[better]
        self.factor[where] = factor[better]

    def fit(self, count: int) -> Fit:
        return Fit(
            multiplier=self.multiplier,
            bias=self.bias,
            factor=self.factor,
            wrong=int(self.wrong.sum()),
            of=count,
        )


def _multipliers(wanted: Affine) -> list[np.ndarray]:
    """Multipliers [C] to try: the largest ones that keep the accumulator exact."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        offset = np.nan_to_num(np.abs(wanted.offset / wanted.slope), posinf=0.0)
    reach = np.maximum(np.abs(wanted.reach[0]), np.abs(wanted.reach[1])) + offset
    room = np.clip((MAX_ACCUMULATOR - 1) // np.maximum(reach, 1), 1, 1 << 20).astype(np.int64)
    most = np.maximum(np.minimum(wanted.limit, room), 1)
    return [np.maximum(most - i, 1) for i in range(min(N_MULTIPLIERS, int(most.max())))]


def _biases(wanted: Affine, multiplier: np.ndarray) -> list[np.ndarray]:
    """The offset in whole accumulator steps, rounded each way, then one further."""
    shift = BELOW[wanted.rounding] - 0.5
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exact = multiplier * (wanted.offset + shift) / wanted.slope
    exact = np.clip(np.nan_to_num(exact), -(2.0**30), 2.0**30)
    nearest = np.rint(exact)
    other = nearest + np.where(exact >= nearest, 1, -1)
    order = [nearest, other, 2 * nearest - other]
    return [bias.astype(np.int64) for bias in order]


def _factors(wanted: Affine, multiplier: np.ndarray) -> list[np.ndarray]:
    """float32 factors: the exact one and its neighbours."""
    exact = np.minimum(wanted.slope / multiplier, 2.0**60).astype(np.float32)
    result, below, above = [exact], exact, exact
    for _ in range(2):
        below = np.nextafter(below, np.float32(0))
        above = np.nextafter(above, np.float32(np.inf))
        result += [below, above]
    return result


def _sign(wanted: Affine) -> Fit:
    """1 from the threshold on and -1 below it: 2 * (acc - threshold) + 1 is never 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = -wanted.offset / wanted.slope
    least, most = wanted.reach
    always = np.where(wanted.offset >= 0, least, most + 1)
    place = np.where(wanted.slope == 0, always, np.clip(place, least - 1.0, most + 2.0))
    threshold = np.ceil(place).astype(np.int64)
    for candidate in (threshold + 1, threshold, threshold - 1):  # the least that gives 1
        reached = wanted.codes(candidate[:, None])[:, 0] > wanted.zero_point
        threshold = np.where(reached & (wanted.slope > 0), candidate, threshold)
    return Fit(
        multiplier=np.full_like(threshold, 2),
        bias=1 - 2 * threshold,
        factor=np.full(len(threshold), SIGN_FACTOR, np.float32),
        wrong=0,
        of=len(threshold),
    )
