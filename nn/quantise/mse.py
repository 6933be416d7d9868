"""The range of an activation that loses least, measured as the mean squared error of its codes."""

import numpy as np

N_CODES = 256
SHRINK = np.linspace(0.2, 1.0, 81)  # of the lowest and of the highest value
ROUNDS = 2


def mse_range(
    counts: np.ndarray, edges: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    """The range inside low..high (which holds all values, and 0) with the smallest error.

    counts: int [bins], how many values lie between ``edges`` [bins + 1], an odd number of bins from
    -reach to reach, so that 0 is in the middle of one. Both ends are drawn in together at first,
    then one at a time: one end's best depends on the other's.
    """
    used = counts > 0
    middle = np.arange(len(counts)) - len(counts) // 2
    centres = (middle * (float(edges[-1] - edges[0]) / len(counts)))[used]
    weights = counts[used].astype(np.float64)

    def best(pairs: list[tuple[float, float]]) -> tuple[float, float]:
        errors = [_error(centres, weights, a * low, b * high) for a, b in pairs]
        # The widest of equals: values that calibration did not see are clipped less.
        least = min(errors)
        return max(pair for pair, error in zip(pairs, errors, strict=True) if error == least)

    a, b = best([(share, share) for share in SHRINK])
    for _ in range(ROUNDS):
        a, b = best([(share, b) for share in SHRINK])
        a, b = best([(a, share) for share in SHRINK])
    return a * low, b * high


def _error(values: np.ndarray, weights: np.ndarray, low: float, high: float) -> float:
    """Sum of squared differences between values and what 8-bit codes over low..high make of them.

    Every value stands for a bin of values, so inside the range the error is that of even spread;
    but 0, which Relu gives so often, always has a code of its own.
    """
    scale = (high - low) / (N_CODES - 1)
    clipped = values - np.clip(values, low, high)
    inside = np.where(values == 0, 0.0, scale * scale / 12)
    return float(np.sum(weights * np.where(clipped == 0, inside, clipped * clipped)))
