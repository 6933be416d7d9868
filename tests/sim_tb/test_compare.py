"""The comparison: equal, one difference, many, and wrong use."""

import numpy as np
import pytest

from weft.sim_tb.compare import compare


def test_equal_tensors():
    values = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    result = compare("conv1", values, values.copy())
    assert result.bit_exact
    assert (result.n_values, result.n_mismatches, result.position) == (24, 0, ())
    assert str(result) == "conv1: all 24 values equal"


def test_first_difference_in_order_of_sample_channel_y_x():
    values = np.zeros((2, 3, 4, 5), np.int8)
    actual = values.copy()
    actual[1, 2, 3, 4] = 127
    actual[1, 0, 2, 1] = -3
    actual[1, 1, 0, 0] = 1
    result = compare("conv1", values, actual)
    assert not result.bit_exact
    assert result.n_mismatches == 3
    assert result.position == (1, 0, 2, 1)
    assert str(result) == (
        "conv1: 3 of 120 values differ (by up to 127), first at sample 1, channel 0, y 2, x 1: "
        "expected 0, got -3"
    )


def test_differences_do_not_wrap():
    low = np.full((1, 1, 1, 1), -128, np.int8)
    high = np.full((1, 1, 1, 1), 127, np.int8)
    result = compare("x", low, high)
    assert (result.expected, result.actual, result.largest) == (-128, 127, 255)


@pytest.mark.parametrize(
    ("expected", "actual", "text"),
    [
        (
            np.zeros((1, 2, 3, 4), np.int8),
            np.zeros((1, 2, 4, 3), np.int8),
            "y: expected int8 [1, 2, 3, 4], but actual is int8 [1, 2, 4, 3]",
        ),
        (
            np.zeros((1, 2, 3, 4), np.int8),
            np.zeros((1, 2, 3, 4), np.uint8),
            "y: actual must be int8 [N, C, H, W], not uint8 [1, 2, 3, 4]",
        ),
        (
            np.zeros((2, 3), np.int8),
            np.zeros((1, 2, 3, 4), np.int8),
            "y: expected must be int8 [N, C, H, W], not int8 [2, 3]",
        ),
    ],
)
def test_wrong_use(expected, actual, text):
    with pytest.raises(ValueError, match="y: ") as caught:
        compare("y", expected, actual)
    assert str(caught.value) == text
