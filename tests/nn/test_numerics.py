"""docs/ops.md, C1 to C3: integer rounding equals float32's."""

import numpy as np
import pytest

from weft.nn.ir.numerics import bit_length, requantise, round_scaled, scaling_of


def float_codes(acc: np.ndarray, factor: np.ndarray, zero_point: int) -> np.ndarray:
    product = acc.astype(np.float32) * factor
    return np.clip(np.rint(product).astype(np.float64) + zero_point, -128, 127)


def integer_codes(acc: np.ndarray, factor: np.ndarray, zero_point: int) -> np.ndarray:
    """One factor per accumulator: the channel axis carries the samples."""
    return requantise(acc.reshape(1, -1, 1, 1), scaling_of(factor), zero_point, -128, 127).reshape(
        -1
    )


def test_c1_scaling_is_the_float32_number() -> None:
    rng = np.random.default_rng(1)
    factors = np.exp(rng.uniform(-40, 5, 10_000)).astype(np.float32)
    scaling = scaling_of(factors)
    assert np.array_equal(np.ldexp(scaling.mantissa.astype(float), -scaling.shift), factors)
    assert scaling.mantissa.min() >= 1 << 23


@pytest.mark.parametrize("factor", [-1.0, np.inf, np.nan])
def test_c1_rejects(factor: float) -> None:
    with pytest.raises(ValueError, match="a scale factor must be finite and not negative"):
        scaling_of(factor)


def test_bit_length() -> None:
    values = np.array([0, 1, 2, 3, 4, 255, 256, (1 << 40) - 1, 1 << 40])
    assert bit_length(values).tolist() == [int(value).bit_length() for value in values]


@pytest.mark.parametrize("seed", range(4))
def test_c2_random(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 1_000_000
    acc = rng.integers(-(1 << 24) + 1, 1 << 24, count) >> rng.integers(0, 24, count)
    factor = np.exp2(rng.uniform(-36, 9, count)).astype(np.float32)
    zero_point = int(rng.integers(-128, 128))
    assert np.array_equal(
        integer_codes(acc, factor, zero_point), float_codes(acc, factor, zero_point)
    )


@pytest.mark.parametrize("seed", range(4))
def test_c3_near_ties(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    count = 500_000
    acc = rng.integers(1, 1 << 24, count) >> rng.integers(0, 23, count)
    acc = np.maximum(acc, 1)
    tie = rng.integers(0, 256, count) + 0.5
    factor = (tie / acc).astype(np.float32)
    for _ in range(int(rng.integers(0, 3))):
        factor = np.nextafter(factor, np.float32(rng.choice([0, 1e9])))
    acc = acc * rng.choice([-1, 1], count)
    assert np.array_equal(integer_codes(acc, factor, -3), float_codes(acc, factor, -3))


def test_c3_exact_ties_go_to_even() -> None:
    acc = np.arange(-9, 10)
    factor = np.full(acc.size, 0.5, np.float32)
    assert integer_codes(acc, factor, 1).tolist() == (np.rint(acc / 2) + 1).tolist()


@pytest.mark.parametrize("odd", [False, True])
def test_c3_odd_puts_the_zero_point_inside(odd: bool) -> None:
    product = np.arange(-64, 65).astype(np.int64)
    wanted = np.rint(product / 8 + int(odd)) - int(odd)
    assert round_scaled(product, np.int64(3), odd).tolist() == wanted.tolist()


@pytest.mark.parametrize("factor", [256.0, 1e20, 2.0**-34, 1e-38, 0.0])
def test_c2_extreme_factors(factor: float) -> None:
    acc = np.array([-(1 << 24) + 1, -1, 0, 1, (1 << 24) - 1])
    factors = np.full(acc.size, factor, np.float32)
    assert np.array_equal(integer_codes(acc, factors, 5), float_codes(acc, factors, 5))
