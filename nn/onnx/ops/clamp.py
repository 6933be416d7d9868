"""Relu and Clip: of real values a clamp of the next codes, of codes (QCDQ) a clamp of their own."""

from dataclasses import replace

import numpy as np

from weft.nn.ir.origin import Origin
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.clamps import bounds_of, clamp_codes
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Codes, Constant, Real, Symbol


def relu(node: Node, builder: Builder) -> Symbol:
    """Relu becomes a clamp of the codes of the next QuantizeLinear."""
    return _clamp(node, builder, 0.0, np.inf)


def clip(node: Node, builder: Builder) -> Symbol:
    """Clip with constant bounds (Relu6 among them)."""
    return _clamp(node, builder, *bounds_of(node, builder))


def _clamp(node: Node, builder: Builder, low: float, high: float) -> Symbol:
    value = builder.symbol(node, 0)
    match value:
        case Real() | Pending():
            return replace(value, clip=value.clip.then(low, high), origin=_owner(node, value))
        case Codes():
            return clamp_codes(node, builder, value, low, high, node.outputs[0])
        case Constant():
            bounds = np.clip([low, high], *_limits(value.array.dtype))
            return Constant(array=np.clip(value.array, *bounds.astype(value.array.dtype)))
        case _:
            builder.real(node, 0)  # says what is wrong with it
            raise AssertionError("unreachable")


def _owner(node: Node, value: Real | Pending) -> Origin:
    """A clamped operator is still its own node's; a clamped tensor becomes the Relu's."""
    return node.origin if isinstance(value, Real) else value.origin


def _limits(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind not in "iu":
        return -np.inf, np.inf
    info = np.iinfo(dtype)
    return info.min, info.max
