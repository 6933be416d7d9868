"""Mul of two activations: of one shape, or of an image and one value per channel (a gate)."""

import math
from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.affine import CONSTANTS, multiply_constant
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image, together
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.mul import PendingMul
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.pending.table import PendingTable, finite, table_of
from weft.nn.onnx.symbols import Real, Symbol
from weft.nn.onnx.views import Shape, per_channel


def _product(node: Node, builder: Builder) -> Pending:
    """Mul of two activations."""
    a, b = builder.real(node, 0), builder.real(node, 1)
    if a.shape == b.shape:
        own, order, names = together(node, builder, a, b)
        return _pending(node, own, a.shape, order, *names)
    for whole, gate in ((a, b), (b, a)):
        name = _gate(node, builder, whole, gate)
        if name is not None:
            own = (1, *builder.tensors[whole.tensor].shape)
            return _pending(node, own, whole.shape, whole.order, whole.tensor, name)
    raise ModelError(
        f"inputs of shapes {list(a.shape)} and {list(b.shape)}",
        remedy="equal shapes are supported, and an image times one value per channel",
        at=node,
    )


def multiply(node: Node, builder: Builder) -> Symbol:
    """Mul by a constant, of two functions of one tensor (x * Sigmoid(x)), of two activations."""
    for index in (0, 1):
        if isinstance(builder.symbol(node, index), CONSTANTS):
            return multiply_constant(node, builder, index)
    symbols = builder.symbol(node, 0), builder.symbol(node, 1)
    if any(isinstance(symbol, PendingTable) for symbol in symbols):
        a, b = table_of(node, builder, 0), table_of(node, builder, 1)
        if a.source == b.source and a.shape == b.shape and a.order is b.order:
            return finite(node, replace(a, values=a.values * b.values, origin=node.origin))
    return _product(node, builder)


def _pending(
    node: Node, own_shape: Shape, shape: Shape, order: np.ndarray | None, a: str, b: str
) -> PendingMul:
    return PendingMul(origin=node.origin, own_shape=own_shape, shape=shape, order=order, a=a, b=b)


def _gate(node: Node, builder: Builder, whole: Real, gate: Real) -> str | None:
    """The tensor [C, 1, 1] of a gate, in the order of the image's channels; None if it is none."""
    channels = builder.tensors[whole.tensor].shape[0]
    count = math.prod(gate.shape)
    places = np.arange(count) if gate.order is None else gate.order
    own_shape = (1, *builder.tensors[whole.tensor].shape)
    chosen = None
    if count == channels:
        chosen = per_channel(places.reshape(gate.shape), whole.shape, own_shape, whole.order)
    if chosen is None:
        return None
    order = None if np.array_equal(chosen, np.arange(channels)) else chosen
    view = Real(tensor=gate.tensor, shape=(1, channels, 1, 1), origin=gate.origin, order=order)
    return image(builder, node, view)
