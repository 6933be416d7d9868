"""Two lines: exactly the codes that are asked for, or none at all."""

import numpy as np
import pytest

from weft.nn.ir.operator import Operator
from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.piecewise import two_sided
from weft.nn.onnx.symbols import Quantisation

ORIGIN = Origin(name="n", op="PRelu", result="y")
CODES = np.arange(-128, 128)


def made(
    codes: np.ndarray, source_zero: int, zero: int, clamp: tuple[int, int] = (-128, 127)
) -> tuple[list[Operator], np.ndarray | None]:
    """The operators, and what they give for each of the 256 codes in each channel."""
    builder = Builder(name="net", opset=17)
    source = Tensor(name="x", shape=(len(codes), 16, 16), scale=1.0, zero_point=source_zero)
    result = Quantisation(scale=0.5, zero_point=zero, dtype="int8")
    output = Tensor(name="y", shape=source.shape, scale=0.5, zero_point=zero)
    last = two_sided(builder, ORIGIN, source, codes, output, result, clamp)
    if last is None:
        return builder.operators, None
    tensors = {"x": source, "y": output} | builder.tensors
    values = {"x": np.tile(CODES.astype(np.int8).reshape(1, 1, 16, 16), (1, len(codes), 1, 1))}
    for operator in (*builder.operators, last):
        values[operator.output] = operator.compute(tensors, values)
    return [*builder.operators, last], values["y"].reshape(len(codes), 256)


def lines(slopes: np.ndarray, source_zero: int, zero: int) -> np.ndarray:
    """Rows of (slope on the left, slope on the right)."""
    x = CODES - source_zero
    results = np.where(x < 0, slopes[:, :1] * x, slopes[:, 1:] * x)
    return np.clip(np.rint(results) + zero, -128, 127).astype(np.int64)


@pytest.mark.parametrize("seed", range(40))
def test_any_slopes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-2, 2, (int(rng.integers(1, 5)), 2)).astype(np.float32)
    slopes[rng.random(slopes.shape) < 0.2] = 0
    before, after = (int(z) for z in rng.choice([-128, -100, -1, 0, 5, 127], 2))
    clamp = (int(rng.integers(-128, after + 1)), int(rng.integers(after, 128)))
    wanted = np.clip(lines(slopes, before, after), *clamp)
    operators, found = made(wanted, before, after, clamp)
    assert found is not None
    assert np.array_equal(found, wanted)
    assert len(operators) <= 7  # four lines at most, and their sums


def test_a_slope_below_zero_for_all_takes_three_operators() -> None:
    slopes = np.array([[0.1, 1.0]] * 3)
    assert [op.type for op in made(lines(slopes, 3, -7), 3, -7)[0]] == ["Rescale", "Rescale", "Add"]


@pytest.mark.parametrize("zero", [-128, 0, 20])
def test_what_is_no_two_lines(zero: int) -> None:
    x = (CODES - zero) / 16
    for function in (np.tanh(x) * 90, x * x, np.abs(x) * 8 + 1, np.where(x < 1, 0, 8 * x)):
        codes = np.clip(np.rint(function) + 0, -128, 127).astype(np.int64)[None]
        operators, found = made(codes, zero, 0)
        assert (operators, found) == ([], None)
