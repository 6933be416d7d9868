"""Which codes each element of a tensor can take, whatever the network's inputs are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weft.nn.graph import CODE_MAX, CODE_MIN, Add, Conv, Graph, Mul, Tensor
from weft.nn.reference import Codes, compute, conv


@dataclass(frozen=True, kw_only=True, eq=False)
class Range:
    """Bounds of a tensor's codes: ``low <= code <= high``, int8 [C, H, W] each."""

    low: np.ndarray
    high: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """bool [C]: channels that no input of the network can change (maybe not flat ones)."""
        return np.asarray((self.low == self.high).all(axis=(1, 2)))

    @property
    def flat(self) -> np.ndarray:
        """bool [C]: known channels with one code, ``low[c, 0, 0]``, at every position."""
        return self.known & (self.low == self.low[:, :1, :1]).all(axis=(1, 2))


def code_ranges(graph: Graph) -> dict[str, Range]:
    """Bounds of every tensor, from inputs that may be anything.

    The reference itself computes them. No operator but Conv, Mul and a difference falls where an
    input rises: factors are not negative, and C3's rounding, the clamps and the maximum are
    monotone. So its results at the bounds are bounds. A Conv's accumulator is least with the low
    codes under its positive weights and the high codes under its negative ones; a product or a
    difference is least and largest at bounds of both operands. Channels that depend on known ones
    only come out with equal bounds, padding included.
    """
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    low: dict[str, np.ndarray] = {}
    high: dict[str, np.ndarray] = {}
    for edge in graph.inputs:
        shape = (1, *tensors[edge.tensor].shape)
        low[edge.tensor] = np.full(shape, CODE_MIN, dtype=np.int8)
        high[edge.tensor] = np.full(shape, CODE_MAX, dtype=np.int8)
    for operator in graph.operators:
        if isinstance(operator, Conv):
            low[operator.output] = _conv_bound(operator, tensors, low, high)
            high[operator.output] = _conv_bound(operator, tensors, high, low)
        elif isinstance(operator, Mul) or (
            isinstance(operator, Add) and operator.multipliers[1] < 0
        ):
            corners = _corners(operator, tensors, low, high)
            low[operator.output], high[operator.output] = corners.min(axis=0), corners.max(axis=0)
        else:
            low[operator.output] = compute(operator, tensors, low)
            high[operator.output] = compute(operator, tensors, high)
    return {name: Range(low=low[name][0], high=high[name][0]) for name in low}


def _corners(
    operator: Mul | Add, tensors: Mapping[str, Tensor], low: Codes, high: Codes
) -> np.ndarray:
    """The codes at both bounds of either operand, one behind the other."""
    a, b = operator.a, operator.b
    if a == b:  # monotone, but for a square, which falls to 0 and rises again
        nearest = np.clip(tensors[a].zero_point, low[a], high[a]).astype(np.int8)
        ways = [{a: low[a]}, {a: high[a]}, {a: nearest}]
    else:
        ways = [{a: x[a], b: y[b]} for x in (low, high) for y in (low, high)]
    return np.stack([compute(operator, tensors, codes) for codes in ways])


def _conv_bound(
    operator: Conv, tensors: Mapping[str, Tensor], positive: Codes, negative: Codes
) -> np.ndarray:
    """The Conv's codes where positive weights read one set of codes and negative ones the other."""
    weight, groups = operator.weight, operator.groups
    split = np.concatenate([np.maximum(weight, 0), np.minimum(weight, 0)], axis=1)
    size = positive[operator.input].shape[2:]
    sides = [side[operator.input].reshape(1, groups, -1, *size) for side in (positive, negative)]
    codes = np.concatenate(sides, axis=2).reshape(1, -1, *size)
    return conv(operator.replace(weight=split), tensors, {operator.input: codes})
