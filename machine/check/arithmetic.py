"""What datapaths compute: on codes, as hardware does, or on formulas, which stand for all codes.

A formula is a number of 64 bits that stands for how a value is computed: inputs are random numbers,
sums are sums modulo 2**64, and a requantisation mixes the sum with its constants. Two plans whose
results have equal formulas compute the same for every input, but for a chance of about one in
2**50; two that differ in a weight, a tap or a constant do not have them.
"""

from typing import Protocol

import numpy as np

from weft.machine.plan import BIAS_OFFSET, POINTS, Output, VectorOp
from weft.nn.ir.numerics import round_scaled

PAIR_SHIFT = 16
"""Bit at which a pair's second operand sits in the accumulator."""


class Arithmetic(Protocol):
    """Arrays are [n, ...]; activations and sums int64, but for ``dtype``, as memories hold them."""

    dtype: type[np.signedinteger]

    def array(self, acts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sums [..., N] of activations [..., taps * K] times weights [taps * K, N]."""
        ...

    def highest(self, acts: np.ndarray) -> np.ndarray:
        """The highest of a tile's taps: [n, cols, K] of [n, cols, taps, K]."""
        ...

    def pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Both operands of an addition in one sum."""
        ...

    def requantise(
        self, output: Output, total: np.ndarray, factor: np.ndarray, shift: np.ndarray
    ) -> np.ndarray:
        """Results from sums with their bias; factor and shift as the parameter image has them."""
        ...


class Codes:
    """The numbers that hardware has."""

    dtype = np.int8

    def array(self, acts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        # Exact below 2**53. BLAS has no integers.
        return (acts.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)

    def highest(self, acts: np.ndarray) -> np.ndarray:
        return acts.max(axis=2)

    def pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first + (second << PAIR_SHIFT)

    def requantise(
        self, output: Output, total: np.ndarray, factor: np.ndarray, shift: np.ndarray
    ) -> np.ndarray:
        if output.pair:
            lower = (total & 0xFFFF) - BIAS_OFFSET  # halves of bias + 2**15
            product = (total >> PAIR_SHIFT) * output.multiplier + lower * factor
        else:
            product = (total - BIAS_OFFSET) * factor
        point = np.broadcast_to(np.array(POINTS)[shift], product.shape)
        rounded = round_scaled(product, point, odd=output.odd)
        return np.clip(rounded + output.zero_point, output.low, output.high).astype(np.int8)


class Formulas:
    """Numbers that stand for what is computed."""

    dtype = np.int64

    def array(self, acts: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return acts @ weights

    def highest(self, acts: np.ndarray) -> np.ndarray:
        return _mixed(acts).sum(axis=2)  # in any order

    def pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return _mixed(first) + 3 * _mixed(second)

    def requantise(
        self, output: Output, total: np.ndarray, factor: np.ndarray, shift: np.ndarray
    ) -> np.ndarray:
        constants = [output.zero_point, output.low, output.high, int(output.odd), int(output.pair)]
        if output.pair:
            constants += [output.multiplier, int(output.minus)]
        result = _mixed(total)
        for constant in (factor, shift, *constants):
            result = _mixed(result + np.int64(constant))
        return result


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Another number of 64 bits for each, one to one, with no rule that sums would keep."""
    # Ref: Sebastiano Vigna, splitmix64.
    x = numbers.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))).view(np.int64)


def combined(op: VectorOp, output: Output, acts: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """Sums [n, cols, K] of a vector step's taps [n, cols, taps, K], but for ``VectorOp.MAC``."""
    match op:
        case VectorOp.SUM:
            return acts.sum(axis=2)
        case VectorOp.MAX:
            return arithmetic.highest(acts)
        case VectorOp.PAIR:
            second = acts[:, :, 1]
            return arithmetic.pair(acts[:, :, 0], ~second if output.minus else second)
        case VectorOp.PRODUCT:
            first, second = output.zeros
            return (acts[:, :, 0] - first) * (acts[:, :, 1] - second)
        case VectorOp.MAC:
            raise AssertionError("has weights")
