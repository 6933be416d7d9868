"""Weights as few-bit codes: each rounding error is made up for by the weights not yet rounded.

Then the scales are fitted to the codes, and each code is chosen again, the others being as they
are, until none gains from it.

Ref: Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained
transformers"; Behdin et al., "QuantEase: optimization-based quantization for language models".
"""

from dataclasses import dataclass

import numpy as np

SHARES = np.arange(0.3, 1.0 + 1e-9, 0.05)
"""Of the largest weight, what the largest code may stand for; the best one is chosen."""

SWEEPS = 4  # over all codes, at most

LEAST_BITS, MOST_BITS = 2, 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounded:
    """codes: int64 [outputs, inputs], within the limit of their bits; scale: float32 [outputs]."""

    codes: np.ndarray
    scale: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """What the codes stand for, float64."""
        return self.codes * self.scale.astype(np.float64)[:, None]


def limit(bits: int) -> int:
    """Largest code: symmetric, 7 for 4 bits, 1 for 2."""
    return (1 << bits - 1) - 1


def rounded(square: np.ndarray, weight: np.ndarray, mask: np.ndarray, bits: int) -> Rounded:
    """Codes of weights [outputs, inputs] that are 0 outside ``mask``.

    square: the inputs' second moments, which say what an error costs.
    """
    scale = _scales(np.diag(square), weight, limit(bits))
    codes = np.zeros(weight.shape, np.int64)
    same: dict[bytes, list[int]] = {}
    for row, kept in enumerate(mask):
        same.setdefault(kept.tobytes(), []).append(row)
    for places in same.values():
        rows = np.array(places)
        kept = np.flatnonzero(mask[rows[0]])
        kept = kept[np.argsort(-np.diag(square)[kept], kind="stable")]
        part = square[np.ix_(kept, kept)]
        exact = weight[np.ix_(rows, kept)]
        own = scale[rows].astype(np.float64)
        found = _compensated(part, exact, own, limit(bits))
        scale[rows], codes[np.ix_(rows, kept)] = _improved(part, exact, own, found, limit(bits))
    return Rounded(codes=codes, scale=scale)


def _scales(power: np.ndarray, weight: np.ndarray, top: int) -> np.ndarray:
    """For each row the scale whose plain rounding costs least, float32; 1 where all are 0."""
    largest = np.abs(weight).max(axis=1, initial=0)
    largest = np.where(largest > 0, largest, top)
    best, lowest = largest / top, np.full(len(weight), np.inf)
    for share in SHARES if top < limit(8) else SHARES[-1:]:
        scale = largest * share / top
        codes = np.clip(np.rint(weight / scale[:, None]), -top, top)
        cost = ((weight - codes * scale[:, None]) ** 2 @ power).reshape(-1)
        best = np.where(cost < lowest, scale, best)
        lowest = np.minimum(cost, lowest)
    return best.astype(np.float32)


def _compensated(square: np.ndarray, weight: np.ndarray, scale: np.ndarray, top: int) -> np.ndarray:
    """Codes of all columns, one after the other."""
    factor = np.linalg.cholesky(np.linalg.inv(square)).T
    weight, codes = weight.copy(), np.zeros(weight.shape, np.int64)
    for place in range(weight.shape[1]):
        code = np.clip(np.rint(weight[:, place] / scale), -top, top)
        codes[:, place] = code
        error = (weight[:, place] - code * scale) / factor[place, place]
        weight[:, place + 1 :] -= error[:, None] * factor[place, place + 1 :]
    return codes


def _improved(
    square: np.ndarray, weight: np.ndarray, scale: np.ndarray, codes: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scales float32 and codes of less error. square: of the weights' inputs."""
    power = np.diag(square)
    for _ in range(SWEEPS):
        scale = _refitted(square, weight, scale, codes)
        before, off = codes.copy(), weight - codes * scale[:, None]
        for place in range(weight.shape[1]):
            exact = codes[:, place] + off @ square[:, place] / (power[place] * scale)
            code = np.clip(np.rint(exact), -top, top).astype(np.int64)
            off[:, place] += (codes[:, place] - code) * scale
            codes[:, place] = code
        if np.array_equal(before, codes):
            break
    return _refitted(square, weight, scale, codes).astype(np.float32), codes


def _refitted(
    square: np.ndarray, weight: np.ndarray, scale: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """The best scales for some codes; the same where codes are 0 or would turn round."""
    reach = codes @ square
    power, fits = np.sum(reach * codes, axis=1), np.sum(reach * weight, axis=1)
    usable = (power > 0) & (fits > 0)
    return np.where(usable, fits / np.where(usable, power, 1), scale)
