"""Codes of few bits: within their limit, and of less error than plain rounding."""

import numpy as np
import pytest

from weft.nn.compress.rounding import limit, rounded


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Second moments [12, 12] of inputs that depend on each other, and weights [6, 12]."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(12, 12))
    return mixed @ mixed.T / 12 + 0.05 * np.eye(12), rng.normal(size=(6, 12))


def error(square: np.ndarray, off: np.ndarray) -> float:
    return float(np.einsum("ri,ij,rj->", off, square, off))


@pytest.mark.parametrize(("bits", "top"), [(2, 1), (3, 3), (4, 7), (5, 15), (8, 127)])
def test_codes_are_symmetric_and_within_their_bits(bits: int, top: int) -> None:
    square, weight = problem()
    found = rounded(square, weight, np.ones(weight.shape, bool), bits)
    assert limit(bits) == top
    assert np.abs(found.codes).max() == top
    assert found.scale.dtype == np.float32
    assert (found.scale > 0).all()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_less_error_than_plain_rounding(bits: int) -> None:
    square, weight = problem()
    found = rounded(square, weight, np.ones(weight.shape, bool), bits)
    scale = np.abs(weight).max(axis=1, keepdims=True) / limit(bits)
    plain = np.rint(weight / scale) * scale
    assert error(square, found.weight - weight) < 0.5 * error(square, plain - weight)


def test_no_single_code_is_better() -> None:
    square, weight = problem(1)
    found = rounded(square, weight, np.ones(weight.shape, bool), 3)
    least = error(square, found.weight - weight)
    for row, column in np.ndindex(weight.shape):
        for step in (-1, 1):
            codes = found.codes.copy()
            codes[row, column] += step
            if abs(codes[row, column]) <= limit(3):
                off = codes * found.scale.astype(float)[:, None] - weight
                assert error(square, off) >= least * (1 - 1e-6)


def test_masked_weights_stay_zero() -> None:
    square, weight = problem()
    mask = np.random.default_rng(4).random(weight.shape) < 0.5
    found = rounded(square, np.where(mask, weight, 0), mask, 4)
    assert not found.codes[~mask].any()
    assert found.codes[mask].any()


def test_a_row_of_zeros() -> None:
    square, weight = problem()
    weight[2] = 0
    found = rounded(square, weight, np.ones(weight.shape, bool), 4)
    assert not found.codes[2].any()
    assert np.isfinite(found.scale).all()
