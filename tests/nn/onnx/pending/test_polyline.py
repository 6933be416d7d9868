"""Polyline: the polyline goes through every code's result, for any function."""

import numpy as np
import pytest

from weft.nn.onnx.pending.polyline import WEIGHT_LIMIT, Polyline, polyline

CODES = np.arange(-128, 128)
RNG = np.random.default_rng(0)

FUNCTIONS = {
    "identity": CODES,
    "constant": np.full(256, 7),
    "negated": -CODES - 1,
    "step": np.where(CODES < 3, -128, 127),
    "bump": np.where(CODES == 5, 127, -128),
    "square": np.rint(CODES**2 / 64.0).astype(int) - 128,
    "hard swish": np.rint(1.9 * CODES * np.clip(CODES / 20 + 0.5, 0, 1)).astype(int),
    "sigmoid": np.rint(255 / (1 + np.exp(-CODES / 16.0))).astype(int) - 128,
    "random walk": np.cumsum(RNG.integers(-2, 3, 256)),
    "noise": RNG.integers(-128, 128, 256),
}


def value(drawn: Polyline) -> np.ndarray:
    """The sum, before its rounding, in output steps."""
    reach = np.maximum(CODES[:, None] - drawn.knots, 0)
    return (reach @ drawn.weights + drawn.start) * 2.0**-drawn.point


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_code(name: str) -> None:
    target = np.clip(FUNCTIONS[name], -128, 127)
    drawn = polyline(target, -128, 127)
    assert np.abs(drawn.weights).max() <= WEIGHT_LIMIT
    assert np.array_equal(np.clip(np.rint(value(drawn)), -128, 127), target)


def test_smooth_functions_take_few_hinges() -> None:
    counts = {name: len(polyline(np.clip(f, -128, 127), -128, 127).knots) for name, f in
              FUNCTIONS.items()}  # fmt: skip
    assert counts["identity"] == 1
    assert counts["constant"] == 1
    assert counts["hard swish"] <= 10
    assert counts["sigmoid"] <= 22


def test_no_result_is_a_tie() -> None:
    inner = value(polyline(FUNCTIONS["sigmoid"], -128, 127))
    assert np.abs(np.abs(inner - np.floor(inner)) - 0.5).min() > 0
