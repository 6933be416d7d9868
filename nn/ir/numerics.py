"""Exact integer arithmetic shared by the reference and the importers (docs/ops.md, C1 to C3)."""

from dataclasses import dataclass

import numpy as np

from weft.nn.ir.rules import need
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaling(Value):
    """Per-channel rescale factors ``mantissa * 2**-shift``: float32 numbers kept as integers.

    mantissa: int64 [n], each 0 or in [2**23, 2**24); shift: int64 [n]. n is the number of output
    channels, or 1 for one factor for all.
    """

    mantissa: np.ndarray
    shift: np.ndarray

    def _check(self) -> None:
        m = self.mantissa
        if m.ndim != 1 or m.shape != self.shift.shape:
            raise ValueError("Scaling: mantissa and shift must be vectors of one length")
        if not np.all((m == 0) | ((m >= 1 << 23) & (m < 1 << 24))):
            raise ValueError("Scaling: every mantissa must be 0 or in [2**23, 2**24)")
        if self.shift.dtype != np.int64 or np.any(np.abs(self.shift) > 200):  # float32: -104..172
            raise ValueError("Scaling: every shift must be an int64 of -200..200")


def check_scaling(name: str, scaling: Scaling, channels: int) -> None:
    """Raise ValueError unless there is one factor, or one per channel."""
    need(scaling.mantissa.size in (1, channels), f"{name!r}: {scaling.mantissa.size} scalings")


def scaling_of(factors: np.ndarray | np.floating | float) -> Scaling:
    """Float32 factors (non-negative, finite) as integers: float32's own mantissa and exponent.

    Raises ValueError for a negative, infinite or NaN factor.
    """
    values = np.atleast_1d(np.asarray(factors, dtype=np.float32)).astype(np.float64)
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ValueError("a scale factor must be finite and not negative")
    fraction, exponent = np.frexp(values)  # value = fraction * 2**exponent, fraction in [0.5, 1)
    mantissa = np.rint(fraction * (1 << 24)).astype(np.int64)
    shift = np.where(mantissa == 0, 0, 24 - exponent).astype(np.int64)
    return Scaling(mantissa=mantissa, shift=shift)


def bit_length(values: np.ndarray) -> np.ndarray:
    """Number of bits of each non-negative integer, 0 for 0."""
    _, exponent = np.frexp(values.astype(np.float64))
    return np.where(values == 0, 0, exponent).astype(np.int64)


def round_scaled(
    product: np.ndarray, shift: np.ndarray | np.int64, odd: bool = False
) -> np.ndarray:
    """round(product * 2**-shift) as float32 followed by round-half-to-even would do it.

    A product within half a unit in the last place of float32 of a tie rounds as that tie. With
    ``odd`` the tie goes to the odd neighbour (an odd zero point is added afterwards, but belongs
    inside the rounding). product: int64, |product| < 2**62; shift: int64, >= 1.
    """
    # Beyond 62 places nothing is left; the clamp keeps the shifts below defined.
    shift = np.minimum(shift, 62)
    magnitude = np.abs(product)
    whole = magnitude >> shift
    distance = magnitude - (whole << shift) - (np.int64(1) << (shift - 1))  # from the tie
    result = whole + (distance > 0)
    # Few products are near a tie: half an ulp is at most whole * 2**(shift - 24).
    near = np.nonzero(np.abs(distance) >> np.maximum(shift - 24, 0) <= whole)
    floor, away = whole[near], np.abs(distance[near])
    exponent = np.broadcast_to(shift, whole.shape)[near] + bit_length(floor) - 25
    tolerance = np.where(exponent >= 0, np.int64(1) << np.maximum(exponent, 0), 0)
    even = floor + ((floor & 1) ^ int(odd))
    result[near] = np.where(away <= tolerance, even, result[near])
    return np.sign(product) * result


def requantise(
    acc: np.ndarray,
    scaling: Scaling,
    zero_point: int,
    low: int,
    high: int,
    odd: bool = False,
) -> np.ndarray:
    """int8 codes from accumulators [N, C, H, W] (|acc| < 2**31); scaling of length C or 1.

    odd: ties go to the odd neighbour, see ``round_scaled``.
    """
    mantissa = scaling.mantissa.reshape(1, -1, 1, 1)
    shift = scaling.shift.reshape(1, -1, 1, 1)
    # A factor of 2**8 or more saturates every non-zero accumulator, as 2**8 does.
    large = shift < 16
    mantissa = np.where(large & (mantissa != 0), 1 << 23, mantissa)
    shift = np.where(large, 15, shift)
    # Below 2**-33 every result is 0: |acc| * mantissa < 2**55.
    mantissa = np.where(shift > 56, 0, mantissa)
    rounded = round_scaled(acc.astype(np.int64) * mantissa, shift, odd)
    return np.clip(rounded + zero_point, low, high).astype(np.int8)
