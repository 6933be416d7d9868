"""Integers for acc * slope + offset: how often the code is the wanted one."""

from dataclasses import replace

import numpy as np
import pytest

from weft.nn.ir.numerics import requantise, scaling_of
from weft.nn.onnx.pending.affine_fit import Affine, Fit, fit
from weft.nn.onnx.symbols import Rounding

REACH = 300


def wanted(slope: np.ndarray, offset: np.ndarray, limit: int) -> Affine:
    reach = np.full(len(slope), REACH)
    return Affine(
        slope=slope,
        offset=offset,
        reach=(-reach, reach),
        limit=np.full_like(reach, limit),
        zero_point=-128,
        low=-128,
        high=127,
    )


def errors(affine: Affine, found: Fit) -> int:
    """Accumulators, of all within reach, that get another code."""
    acc = np.broadcast_to(np.arange(-REACH, REACH + 1), (len(affine.slope), 2 * REACH + 1))
    scaled = acc * found.multiplier[:, None] + found.bias[:, None]
    codes = requantise(
        scaled[None, :, None, :],
        scaling_of(found.factor),
        affine.zero_point,
        affine.low,
        affine.high,
    )[0, :, 0]
    return int(np.count_nonzero(codes != affine.codes(acc)))


def random(channels: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.exp(rng.uniform(np.log(low), np.log(high), channels)), rng.uniform(-99, 200, channels)


def test_large_multipliers_lose_nothing() -> None:
    affine = wanted(*random(64, 0.02, 2), limit=127)
    found = fit(affine)
    assert found.wrong == errors(affine, found) == 0
    assert found.multiplier.max() <= 127


def test_what_is_lost_is_counted() -> None:
    affine = wanted(*random(64, 0.02, 0.5), limit=1)
    found = fit(affine)
    assert 0 < found.wrong <= found.of // 10
    assert found.wrong <= errors(affine, found) <= 2 * found.wrong


@pytest.mark.parametrize("rounding", [Rounding.FLOOR, Rounding.CEIL])
def test_other_roundings_of_whole_sixteenths(rounding: Rounding) -> None:
    affine = wanted(np.full(3, 1 / 16), np.array([0.0, 1.0, -0.5]), limit=127)
    affine = replace(affine, rounding=rounding)
    found = fit(affine)
    assert found.wrong == errors(affine, found) == 0


def test_sign_is_one_from_the_threshold_on() -> None:
    slope, offset = np.array([0.7, 0.7, 0.3, 1.0, 0.1]), np.array([0.0, -0.7, 5.1, 900.0, -900.0])
    affine = wanted(slope, offset, limit=1)
    affine = replace(affine, zero_point=0, low=-1, high=1, rounding=Rounding.SIGN)
    found = fit(affine)
    assert errors(affine, found) == 0
    assert found.multiplier.tolist() == [2] * 5


def test_a_channel_with_one_code_needs_no_weights() -> None:
    affine = wanted(np.array([0.0, 1e-12]), np.array([200.4, 1e3]), limit=9)
    found = fit(affine)
    assert found.multiplier.tolist() == [0, 0]
    assert errors(affine, found) == 0
