"""Widths of sums and weights: what a network needs of any engine."""

from dataclasses import dataclass

import numpy as np

from weft.engines.common import pack
from weft.engines.common.phases import phases
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.tensor import Tensor

MIN_ACCUMULATOR_BITS, MAX_ACCUMULATOR_BITS = 25, 32
"""What the engine can be built with; 25 bits hold both operands of an Add."""


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Bits of the accumulators and of the weights; whether activations are multiplied or
    subtracted."""

    accumulator: int
    weight: int
    products: bool = False


def widths_of(graph: Graph) -> Widths:
    """The widths of a network. Raises ModelError where a sum is beyond every engine's.

    They are those of the graph as imported: folded inputs and weights in another order add the same
    numbers.
    """
    bits = [MIN_ACCUMULATOR_BITS]
    wide = False
    for operator in graph.operators:
        if isinstance(operator, Conv):
            weight, tensor = operator.weight, graph.tensor(operator.input)
            for phase in phases(operator, *tensor.shape[1:]):
                bias = bias_of(phase.conv, tensor)
                bits.append(pack.accumulator_range(phase.conv.weight, bias))
            wide |= weight.size > 0 and bool(weight.min() < -128 or weight.max() > 127)
        elif isinstance(operator, AveragePool):
            count = operator.window.kernel[0] * operator.window.kernel[1]
            bias = -graph.tensor(operator.input).zero_point * count
            bits.append(pack.signed_bits(bias - 128 * count, bias + 127 * count + pack.BIAS_OFFSET))
    if max(bits) > MAX_ACCUMULATOR_BITS:
        raise ModelError(
            f"sums of {max(bits)} bits exceed the {MAX_ACCUMULATOR_BITS}-bit accumulators",
            at=graph.name,
        )
    products = any(
        isinstance(x, Mul) or (isinstance(x, Add) and x.multipliers[1] < 0) for x in graph.operators
    )
    return Widths(accumulator=max(bits), weight=9 if wide else 8, products=products)


def bias_of(conv: Conv, tensor: Tensor) -> np.ndarray:
    """Biases int64 [C_out] of a convolution of plain codes: the input's zero point taken off."""
    return conv.bias - tensor.zero_point * conv.weight.astype(np.int64).sum(axis=(1, 2, 3))
