"""Clamps: the bounds of a Clip, and codes within bounds."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.symbols import Codes, Constant, QuantisedConstant


def bounds_of(node: Node, builder: Builder) -> tuple[float, float]:
    """min and max of a Clip. Raises ModelError where they are not constants."""
    if builder.opset < 11:
        low, high = node.number("min", -np.inf), node.number("max", np.inf)
    else:
        low, high = _bound(node, builder, 1, -np.inf), _bound(node, builder, 2, np.inf)
    if not low <= high:
        raise ModelError(
            f"min {low:g} and max {high:g}", remedy="min must not be above max", at=node
        )
    return low, high


def _bound(node: Node, builder: Builder, index: int, default: float) -> float:
    if not node.input(index):
        return default
    value = builder.symbol(node, index)
    match value:
        case Constant() if value.array.size == 1 and value.array.dtype.kind in "fiu":
            return float(value.array.reshape(()))
        case QuantisedConstant() if value.codes.size == 1:
            return float(np.float32(value.real.reshape(())))
        case _:
            raise ModelError(f"bound {node.input(index)!r} must be one constant number", at=node)


def clamp_codes(
    node: Node, builder: Builder, value: Codes, low: float, high: float, output: str
) -> Codes:
    """The same codes within bounds given in the model's own type, as a tensor ``output``."""
    offset = builder.quantisations[value.tensor].offset
    least, most = (
        int(np.clip(np.rint(bound - offset), CODE_MIN, CODE_MAX)) for bound in (low, high)
    )
    reach = builder.ranges[value.tensor]
    if least <= reach[0] and reach[1] <= most:
        return value
    tensor = builder.tensors[value.tensor].replace(name=output)
    operator = Rescale(
        name=node.name,
        output=tensor.name,
        input=value.tensor,
        scaling=scaling_of(1.0),
        low=least,
        high=most,
    )
    builder.add(node.origin, operator, tensor, builder.quantisations[value.tensor])
    return replace(value, tensor=tensor.name)
