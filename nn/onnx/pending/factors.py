"""Integer factors for the operators, chosen to equal ONNX Runtime's float32 arithmetic.

Ref: ONNX Runtime 1.31, MLAS quantised kernels; its results were compared, see docs/ops.md.
"""

import numpy as np

from weft.nn.ir.host_steps import dequantize, quantize
from weft.nn.ir.numerics import Scaling, requantise, round_scaled, scaling_of
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.symbols import Quantisation

ADD_SHIFTS = (56, 48, 40, 32, 24)  # the vector unit shifts by whole bytes
ADD_LIMIT = 1 << 32  # the multipliers are 32 bits wide


def conv_factors(x: Quantisation, weight_scale: np.ndarray, y: Quantisation) -> np.ndarray:
    """s_x * s_w / s_y per channel, rounded to float32 after each operation."""
    product = np.float32(x.scale) * weight_scale.astype(np.float32)
    return product / np.float32(y.scale)


def average_factor(x: Quantisation, count: int, y: Quantisation) -> np.ndarray:
    """s_x / (count * s_y), rounded to float32 after each operation."""
    return np.asarray(np.float32(x.scale) / (np.float32(count) * np.float32(y.scale)))


def rescale_scaling(x: Quantisation, y: Quantisation, low: int, high: int) -> tuple[Scaling, int]:
    """Factor s_x / s_y, and for how many of the 256 codes it differs from Q(DQ(code))."""
    codes = np.arange(CODE_MIN, CODE_MAX + 1)
    values = dequantize(codes + x.offset, x.scale, x.zero_point)
    wanted = quantize(values, y.scale, y.zero_point, y.dtype).astype(np.int64) - y.offset
    wanted = np.clip(wanted, low, high)
    centred = (codes - x.code_zero_point).reshape(1, 1, 1, -1)
    factor = np.float32(x.scale) / np.float32(y.scale)
    best: tuple[int, Scaling] | None = None
    for candidate in neighbours(factor):
        scaling = scaling_of(candidate)
        got = requantise(centred, scaling, y.code_zero_point, low, high)
        wrong = int(np.count_nonzero(got.reshape(-1) != wanted))
        if best is None or wrong < best[0]:
            best = (wrong, scaling)
        if wrong == 0:
            break
    assert best is not None
    return best[1], best[0]


def neighbours(factor: np.float32) -> list[np.float32]:
    """The factor, then the nearest float32 numbers around it."""
    result, below, above = [factor], factor, factor
    for _ in range(4):
        below, above = np.nextafter(below, np.float32(0)), np.nextafter(above, np.float32(np.inf))
        result += [below, above]
    return [item for item in result if np.isfinite(item)]


def add_float(a: Quantisation, b: Quantisation, y: Quantisation, low: int, high: int) -> np.ndarray:
    """Codes [256, 256] of a + b for every pair of codes, as MLAS's QLinearAdd computes them."""
    ratio_a, ratio_b = (
        np.float32(a.scale) / np.float32(y.scale),
        np.float32(b.scale) / np.float32(y.scale),
    )
    fixed = np.float32(y.zero_point) - (
        ratio_a * np.float32(a.zero_point) + ratio_b * np.float32(b.zero_point)
    )
    codes = np.arange(CODE_MIN, CODE_MAX + 1)
    inner = _fma(codes + b.offset, ratio_b, fixed)
    total = _fma((codes + a.offset)[:, None], ratio_a, inner[None, :])
    return np.clip(np.rint(total).astype(np.int64) - y.offset, low, high)


def _fma(x: np.ndarray, factor: np.float32, addend: np.ndarray | np.float32) -> np.ndarray:
    """float32 fused multiply-add; the product of a code and a float32 is exact in float64."""
    exact = x.astype(np.float64) * np.float64(factor) + np.asarray(addend, np.float64)
    return exact.astype(np.float32)


def subtract_float(
    a: Quantisation, b: Quantisation, y: Quantisation, low: int, high: int
) -> np.ndarray:
    """Codes [256, 256] of a - b for every pair of codes, as ONNX Runtime's float32 has them."""
    codes = np.arange(CODE_MIN, CODE_MAX + 1)
    left, right = (dequantize(codes + q.offset, q.scale, q.zero_point) for q in (a, b))
    total = quantize(left[:, None] - right[None, :], y.scale, y.zero_point, y.dtype)
    return np.clip(total.astype(np.int64) - y.offset, low, high)


def add_integer(
    a: Quantisation,
    b: Quantisation,
    y: Quantisation,
    multipliers: tuple[int, int],
    shift: int,
    low: int,
    high: int,
    inside: bool = True,
) -> np.ndarray:
    """Codes [256, 256] of a + b for every pair of codes, as the reference computes them.

    inside: the zero point is in the rounding.
    """
    codes = np.arange(CODE_MIN, CODE_MAX + 1)
    left = (codes - a.code_zero_point) * multipliers[0]
    right = (codes - b.code_zero_point) * multipliers[1]
    odd = inside and bool(y.code_zero_point & 1)
    rounded = round_scaled(left[:, None] + right[None, :], np.int64(shift), odd=odd)
    return np.clip(rounded + y.code_zero_point, low, high)


def add_factors(
    a: Quantisation, b: Quantisation, y: Quantisation, low: int, high: int, minus: bool = False
) -> tuple[tuple[int, int], int, int] | None:
    """Multipliers, shift, and for how many of the 65,536 pairs they differ from ONNX Runtime.

    minus: b is subtracted. None where a factor is 256 or more.
    """
    ratios = [float(np.float32(q.scale) / np.float32(y.scale)) for q in (a, b)]
    shift = next((s for s in ADD_SHIFTS if max(ratios) * 2.0**s < ADD_LIMIT - 4), None)
    if shift is None:
        return None
    first, second = (round(ratio * 2.0**shift) for ratio in ratios)
    wanted = (subtract_float if minus else add_float)(a, b, y, low, high)
    sign = -1 if minus else 1
    best: tuple[int, tuple[int, int]] | None = None
    steps = sorted(
        ((i, j) for i in range(-3, 4) for j in range(-3, 4)), key=lambda s: abs(s[0]) + abs(s[1])
    )
    for i, j in steps:
        pair = (max(first + i, 0), sign * max(second + j, 0))
        got = add_integer(a, b, y, pair, shift, low, high, inside=not minus)
        wrong = int(np.count_nonzero(got != wanted))
        if best is None or wrong < best[0]:
            best = (wrong, pair)
        if wrong == 0:
            break
    assert best is not None
    return best[1], shift, best[0]


def product_float(a: Quantisation, b: Quantisation, y: Quantisation) -> np.ndarray:
    """Codes [256, 256] of a * b for every pair of codes, as MLAS's QLinearMul computes them."""
    codes = np.arange(CODE_MIN, CODE_MAX + 1)
    acc = (codes - a.code_zero_point)[:, None] * (codes - b.code_zero_point)
    total = acc.astype(np.float32) * product_factor(a, b, y) + np.float32(y.zero_point)
    return np.clip(np.rint(total) - y.offset, CODE_MIN, CODE_MAX).astype(np.int64)


def product_factor(a: Quantisation, b: Quantisation, y: Quantisation) -> np.float32:
    """s_a * s_b / s_y, rounded to float32 after each operation."""
    with np.errstate(over="ignore"):
        return np.float32(a.scale) * np.float32(b.scale) / np.float32(y.scale)


def product_scaling(
    a: Quantisation, b: Quantisation, y: Quantisation, low: int, high: int
) -> tuple[Scaling, int] | None:
    """The factor of a product, and for how many of the 65,536 pairs it differs from ONNX Runtime.

    None where it is beyond float32.
    """
    factor = product_factor(a, b, y)
    if not np.isfinite(factor):
        return None
    wanted = np.clip(product_float(a, b, y), low, high)
    codes = np.arange(CODE_MIN, CODE_MAX + 1)
    acc = (codes - a.code_zero_point)[:, None] * (codes - b.code_zero_point)
    odd = bool(y.code_zero_point & 1)
    best: tuple[int, Scaling] | None = None
    for candidate in neighbours(factor):
        scaling = scaling_of(candidate)
        got = requantise(acc[None, None], scaling, y.code_zero_point, low, high, odd=odd)
        wrong = int(np.count_nonzero(got[0, 0] != wanted))
        if best is None or wrong < best[0]:
            best = (wrong, scaling)
        if wrong == 0:
            break
    assert best is not None
    return best[1], best[0]
