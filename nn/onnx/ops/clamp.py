"""Relu and Clip: of real values a clamp of the next codes, of codes (QCDQ) a clamp of their own."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Codes, Constant, QuantisedConstant, Real, Symbol


def relu(node: Node, builder: Builder) -> Symbol:
    """Relu becomes a clamp of the codes of the next QuantizeLinear."""
    return _clamp(node, builder, 0.0, np.inf)


def clip(node: Node, builder: Builder) -> Symbol:
    """Clip with constant bounds (Relu6 among them)."""
    return _clamp(node, builder, *code_bounds(node, builder))


def code_bounds(node: Node, builder: Builder) -> tuple[float, float]:
    """min and max of a Clip. Raises ModelError where they are not constants."""
    if builder.opset < 11:
        low, high = node.number("min", -np.inf), node.number("max", np.inf)
    else:
        low, high = _bound(node, builder, 1, -np.inf), _bound(node, builder, 2, np.inf)
    if not low <= high:
        raise ModelError(f"{node}: min {low:g} and max {high:g}; min must not be above max")
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
            raise ModelError(f"{node}: bound {node.input(index)!r} must be one constant number")


def _clamp(node: Node, builder: Builder, low: float, high: float) -> Symbol:
    value = builder.symbol(node, 0)
    match value:
        case Real() | Pending():
            return replace(value, clip=value.clip.then(low, high), node=_owner(node, value))
        case Codes():
            return clamp_codes(node, builder, value, low, high)
        case Constant():
            bounds = np.clip([low, high], *_limits(value.array.dtype))
            return Constant(array=np.clip(value.array, *bounds.astype(value.array.dtype)))
        case _:
            builder.real(node, 0)  # says what is wrong with it
            raise AssertionError("unreachable")


def _owner(node: Node, value: Real | Pending) -> str:
    """A clamped operator keeps its own name; a clamped tensor takes the Relu's."""
    return node.name if isinstance(value, Real) else value.node


def _limits(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind not in "iu":
        return -np.inf, np.inf
    info = np.iinfo(dtype)
    return info.min, info.max


def clamp_codes(node: Node, builder: Builder, value: Codes, low: float, high: float) -> Codes:
    """The same codes within bounds given in the model's own type."""
    offset = builder.quantisations[value.tensor].offset
    least, most = (
        int(np.clip(np.rint(bound - offset), CODE_MIN, CODE_MAX)) for bound in (low, high)
    )
    reach = builder.ranges[value.tensor]
    if least <= reach[0] and reach[1] <= most:
        return value
    tensor = builder.tensors[value.tensor].replace(name=node.outputs[0])
    operator = Rescale(
        name=node.name,
        output=tensor.name,
        input=value.tensor,
        scaling=scaling_of(1.0),
        low=least,
        high=most,
    )
    builder.add(operator, tensor, builder.quantisations[value.tensor])
    return replace(value, tensor=tensor.name)
