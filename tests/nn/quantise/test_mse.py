"""The choice of a range by its error, against known optima."""

import math

import numpy as np
import pytest

from weft.nn.quantise.mse import mse_range

N_BINS = 8191


def histogram(density: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    edges = np.linspace(-reach, reach, N_BINS + 1)
    return np.rint(density / density.sum() * 1e9).astype(np.int64), edges


def centres(reach: float) -> np.ndarray:
    edges = np.linspace(-reach, reach, N_BINS + 1)
    return (edges[1:] + edges[:-1]) / 2


@pytest.mark.parametrize(("deviation", "reach"), [(1.0, 8.0), (0.01, 0.1), (30.0, 200.0)])
def test_normal(deviation: float, reach: float) -> None:
    """8 bits over a normal distribution: clip at 3.92 standard deviations."""
    # Ref: Banner, Nahshan, Soudry: Post training 4-bit quantization of convolutional networks.
    density = np.exp(-((centres(reach) / deviation) ** 2) / 2)
    low, high = mse_range(*histogram(density, reach), -reach, reach)
    assert low == pytest.approx(-3.92 * deviation, rel=0.03)
    assert high == pytest.approx(3.92 * deviation, rel=0.03)


def test_one_side() -> None:
    """Behind a Relu the lower end is 0, and zeros are exact however many there are."""
    x = centres(8.0)
    density = np.where(x >= 0, np.exp(-x * x / 2), 0.0)
    counts, edges = histogram(density, 8.0)
    some = mse_range(counts, edges, 0.0, 8.0)
    counts[N_BINS // 2] *= 100_000
    assert mse_range(counts, edges, 0.0, 8.0) == pytest.approx(some)
    assert some[0] == 0.0
    assert 3.9 < some[1] < 4.5


def test_even_spread_is_kept() -> None:
    low, high = mse_range(*histogram(np.ones(N_BINS), 2.0), -2.0, 2.0)
    assert (low, high) == (-2.0, 2.0)


def test_nothing_but_zeros() -> None:
    counts, edges = np.zeros(N_BINS, np.int64), np.zeros(N_BINS + 1)
    counts[N_BINS // 2] = 10
    assert mse_range(counts, edges, 0.0, 0.0) == (0.0, 0.0)


def test_each_end_on_its_own() -> None:
    """Negative values end sharply, positive ones thin out."""
    x = centres(16.0)
    density = np.where(x < -1, 0.0, np.where(x < 0, 0.5, np.exp(-np.abs(x) * math.sqrt(2))))
    low, high = mse_range(*histogram(density, 16.0), -1.0, 16.0)
    assert low == pytest.approx(-1, abs=0.02)
    assert 4 < high < 9
