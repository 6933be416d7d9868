"""Weights, biases and factors in reading order, against plain loops."""

import numpy as np
import pytest

from weft.engines.common.pack import (
    BIAS_OFFSET,
    POINTS,
    accumulator_range,
    array_weights,
    dense,
    encode_scaling,
    param_groups,
    rolling_weights,
    signed_bits,
    vector_weights,
)
from weft.nn.ir.numerics import Scaling, requantise, round_scaled, scaling_of

CASES = [
    # (c_out, c_in, kh, kw), lanes, columns, empty columns in front
    ((1, 1, 1, 1), 1, 1, 0),
    ((3, 5, 2, 3), 4, 2, 0),
    ((8, 16, 3, 3), 16, 8, 0),
    ((7, 3, 1, 2), 2, 4, 1),
    ((5, 4, 2, 1), 3, 3, 2),
    ((2, 1, 1, 1), 4, 4, 3),
]


def random_weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-255, 256, shape).astype(np.int16)


@pytest.mark.parametrize(("shape", "lanes", "columns", "first"), CASES)
def test_array_weights(shape: tuple[int, ...], lanes: int, columns: int, first: int) -> None:
    weight = random_weights(shape)
    c_out, c_in, kh, kw = shape
    words = -(-c_in // lanes)
    tiles = -(-(first + c_out) // columns)
    expected = np.zeros((tiles * kh * kw * words, lanes, columns), dtype=np.int16)
    for out, c, y, x in np.ndindex(shape):
        tile, column = divmod(first + out, columns)
        tap = (y * kw + x) * words + c // lanes
        expected[tile * kh * kw * words + tap, c % lanes, column] = weight[out, c, y, x]
    packed = array_weights(weight, lanes, columns, first)
    assert packed.dtype == np.int16
    np.testing.assert_array_equal(packed, expected)


@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize(
    ("shape", "lanes"), [((1, 1, 1, 1), 1), ((5, 1, 3, 2), 4), ((8, 1, 1, 3), 4)]
)
def test_vector_weights(shape: tuple[int, ...], lanes: int, taps: int) -> None:
    """Only the first of the T sums has weights."""
    weight = random_weights(shape)
    channels, _, kh, kw = shape
    expected = np.zeros((-(-channels // lanes) * kh * kw, taps * lanes), dtype=np.int16)
    for c, _, y, x in np.ndindex(shape):
        expected[(c // lanes * kh + y) * kw + x, c % lanes] = weight[c, 0, y, x]
    np.testing.assert_array_equal(vector_weights(weight, lanes, taps), expected)


ROLLING = [
    # (channels, 1, kh, kw), lanes, taps, stride
    ((1, 1, 1, 2), 1, 2, 1),
    ((5, 1, 3, 3), 4, 3, 1),
    ((5, 1, 2, 3), 4, 2, 2),
    ((3, 1, 2, 3), 2, 4, 2),  # more taps than outputs that a column belongs to
    ((4, 1, 1, 5), 4, 3, 2),
    ((2, 1, 1, 4), 2, 2, 2),
    ((2, 1, 2, 4), 2, 3, 3),
]


@pytest.mark.parametrize(("shape", "lanes", "taps", "stride"), ROLLING)
def test_rolling_weights(shape: tuple[int, ...], lanes: int, taps: int, stride: int) -> None:
    """A tile's columns end the window of output 0, and lie further left in those after it."""
    weight = random_weights(shape)
    channels, _, kh, kw = shape
    expected = np.zeros((-(-channels // lanes) * kh * stride, taps, lanes), dtype=np.int16)
    for c, _, y, x in np.ndindex(shape):
        for phase in range(stride):
            for tap in range(taps):
                # Column x of the window of output t is column x + t * stride of output 0's.
                if x + tap * stride == kw - stride + phase:
                    word = (c // lanes * kh + y) * stride + phase
                    expected[word, tap, c % lanes] = weight[c, 0, y, x]
    packed = rolling_weights(weight, lanes, taps, stride)
    np.testing.assert_array_equal(packed, expected.reshape(len(expected), -1))
    assert packed.dtype == np.int16


@pytest.mark.parametrize(("shape", "lanes", "taps", "stride"), ROLLING)
def test_rolling_sums_are_the_convolution(
    shape: tuple[int, ...], lanes: int, taps: int, stride: int
) -> None:
    """One row: each tile adds its columns to T sums, then the first is a result and all move on."""
    weight = random_weights(shape)[:lanes]
    channels, _, kh, kw = weight.shape
    outputs = -(-kw // stride)
    if outputs > taps:
        pytest.skip("not enough taps to roll")
    rng = np.random.default_rng(0)
    width = 6
    columns = (width - 1) * stride + kw
    image = np.zeros((kh, columns + 2 * kw, lanes), dtype=np.int64)
    image[:, kw : kw + columns, :channels] = rng.integers(-128, 128, (kh, columns, channels))
    words = rolling_weights(weight, lanes, taps, stride).astype(int)
    words = words.reshape(kh, stride, taps, lanes)
    sums, results = np.zeros((taps, lanes), dtype=int), []
    first = kw + kw - stride - (outputs - 1) * stride  # of the image's columns
    for tile in range(width + outputs - 1):
        for y, phase in np.ndindex(kh, stride):
            sums += words[y, phase] * image[y, first + tile * stride + phase]
        results.append(sums[0])
        sums = np.concatenate([sums[1:], np.zeros((1, lanes), dtype=int)])
    for col, result in enumerate(results[outputs - 1 :]):
        window = image[:, kw + col * stride : kw + col * stride + kw]
        expected = (window[:, :, :channels] * weight[:, 0].transpose(1, 2, 0)).sum(axis=(0, 1))
        np.testing.assert_array_equal(result[:channels], expected)


@pytest.mark.parametrize(
    ("groups", "per_in", "per_out"), [(1, 3, 2), (2, 3, 1), (3, 1, 2), (4, 2, 2)]
)
def test_dense_of_groups(groups: int, per_in: int, per_out: int) -> None:
    weight = random_weights((groups * per_out, per_in, 2, 1))
    expected = np.zeros((groups * per_out, groups * per_in, 2, 1), dtype=np.int16)
    for out, c in np.ndindex(*weight.shape[:2]):
        expected[out, out // per_out * per_in + c] = weight[out, c]
    np.testing.assert_array_equal(dense(weight, groups), expected)


EXPONENTS = [
    -60.0,
    -34.0,
    -33.0,
    -20.3,
    -8.0,
    -1.0,
    -0.5,
    0.0,
    0.7,
    6.99,
    7.0,
    7.9,
    8.0,
    20.0,
    60.0,
]


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_encoded_factors_give_the_reference_results(exponent: float) -> None:
    """32 bits and five binary points stand for every factor: tiny, usual and saturating."""
    scaling = scaling_of(2.0**exponent)
    (factor,), (code,) = encode_scaling(scaling)
    assert 0 <= factor < 1 << 32
    rng = np.random.default_rng(0)
    acc = np.concatenate([np.arange(-300, 301), rng.integers(-(1 << 24), 1 << 24, 500)])
    expected = requantise(acc.reshape(1, 1, 1, -1), scaling, 5, -128, 127).reshape(-1)
    actual = round_scaled(acc * factor, np.full(acc.shape, POINTS[code])) + 5
    np.testing.assert_array_equal(np.clip(actual, -128, 127), expected)


def test_encode_scaling_of_edge_values() -> None:
    mantissa = np.array([0, 1 << 23, (1 << 24) - 1, 1 << 23, 1 << 23, 1 << 23])
    shift = np.array([3, 15, 16, 56, 57, 24])
    factor, code = encode_scaling(Scaling(mantissa=mantissa, shift=shift))
    assert factor.tolist() == [0, (1 << 32) - 1, ((1 << 24) - 1) << 8, 1 << 23, 0, 1 << 23]
    assert code.tolist() == [0, 0, 0, 4, 0, 0]


def test_param_groups_after_empty_channels() -> None:
    bias = np.array([10, 20, 30])
    scaling = scaling_of(np.array([0.5, 0.25, 0.125]))
    params = param_groups(bias, scaling, 3, 4)
    words, factor, code = params.bias, params.factor, params.shift
    offset = BIAS_OFFSET
    assert words.tolist() == [[0, 0, 0, 10 + offset], [20 + offset, 30 + offset, 0, 0]]
    flat_factor, flat_code = encode_scaling(scaling)
    assert factor.reshape(-1)[3:6].tolist() == flat_factor.tolist()
    assert code.reshape(-1)[3:6].tolist() == flat_code.tolist()
    assert not factor.reshape(-1)[[0, 1, 2, 6, 7]].any()


def test_param_groups_spread_one_factor() -> None:
    params = param_groups(np.arange(3), scaling_of(1.0), 0, 2)
    assert params.factor.tolist() == [[1 << 24, 1 << 24], [1 << 24, 0]]


@pytest.mark.parametrize(
    ("lowest", "highest", "bits"),
    [(0, 0, 1), (0, 1, 2), (-1, 0, 1), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (5, 7, 4)],
)
def test_signed_bits(lowest: int, highest: int, bits: int) -> None:
    assert signed_bits(lowest, highest) == bits


@pytest.mark.parametrize("seed", range(20))
def test_accumulator_range_holds_the_extreme_sums(seed: int) -> None:
    """... and one bit less does not."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-255, 256, (4, 6, 2, 2)).astype(np.int16)
    bias = rng.integers(-(1 << 20), 1 << 20, 4)
    sums = []
    for w, b in zip(weight.reshape(4, -1).astype(int), bias, strict=True):
        for sign in (1, -1):
            worst = np.where(sign * w > 0, 127, -128)
            sums.append(int(w @ worst + b + BIAS_OFFSET))
    bits = accumulator_range(weight, bias)
    assert all(-(1 << bits - 1) <= total < 1 << bits - 1 for total in sums)
    assert not all(-(1 << bits - 2) <= total < 1 << bits - 2 for total in sums)


@pytest.mark.parametrize("exponent", [15, 20, 30])
def test_accumulator_range_at_its_edges(exponent: int) -> None:
    """Codes reach 127 and -128, and the bias comes with its offset: exact to one."""
    weight = np.array([[1], [-1]], dtype=np.int16)
    top, bottom = (1 << exponent) - 1 - BIAS_OFFSET, -(1 << exponent) - BIAS_OFFSET
    for highest in (top - 127, top - 128):  # of a weight of 1 and of -1
        row = weight[:1] if highest == top - 127 else weight[1:]
        assert accumulator_range(row, np.array([highest])) == exponent + 1
        assert accumulator_range(row, np.array([highest + 1])) == exponent + 2
    for lowest in (bottom + 128, bottom + 127):
        row = weight[:1] if lowest == bottom + 128 else weight[1:]
        assert accumulator_range(row, np.array([lowest])) == exponent + 1
        assert accumulator_range(row, np.array([lowest - 1])) == exponent + 2
