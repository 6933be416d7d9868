"""Mul of two activations: of one shape, or of an image and one value per channel (a gate)."""

import math
from dataclasses import dataclass

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops.sums import together
from weft.nn.onnx.pending.factors import product_scaling
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Quantisation, Real
from weft.nn.onnx.views import Shape, per_channel


@dataclass(frozen=True, kw_only=True)
class PendingMul(Pending):
    """A product of two tensors."""

    a: str
    b: str

    def span(self, builder: Builder) -> tuple[float, float]:
        a, b = builder.span(self.a), builder.span(self.b)
        corners = [x * y for x in a for y in b]
        return min(corners), max(corners)

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        a, b = builder.quantisations[self.a], builder.quantisations[self.b]
        clamp = self.codes_range(result)
        found = product_scaling(a, b, result, **clamp)
        if found is None:
            raise ModelError(
                f"node {self.node!r} ({self.op}): scales {a.scale:g} and {b.scale:g} over "
                f"{result.scale:g} are beyond float32"
            )
        scaling, wrong = found
        if wrong:
            builder.notes.append(
                f"{self.node}: {wrong} of 65536 pairs of codes are multiplied differently from "
                "ONNX Runtime"
            )
        return Mul(name=self.node, output=output.name, a=self.a, b=self.b, scaling=scaling, **clamp)


def product(node: Node, builder: Builder) -> Pending:
    """Mul of two activations."""
    a, b = builder.real(node, 0), builder.real(node, 1)
    if a.shape == b.shape:
        image, order, names = together(node, builder, a, b)
        return _pending(node, image, a.shape, order, *names)
    for image, gate in ((a, b), (b, a)):
        name = _gate(node, builder, image, gate)
        if name is not None:
            own = (1, *builder.tensors[image.tensor].shape)
            return _pending(node, own, image.shape, image.order, image.tensor, name)
    raise ModelError(
        f"{node}: inputs of shapes {list(a.shape)} and {list(b.shape)}; equal shapes are "
        "supported, and an image times one value per channel"
    )


def _pending(
    node: Node, own_shape: Shape, shape: Shape, order: np.ndarray | None, a: str, b: str
) -> PendingMul:
    return PendingMul(
        node=node.name, op=node.op, own_shape=own_shape, shape=shape, order=order, a=a, b=b
    )


def _gate(node: Node, builder: Builder, image: Real, gate: Real) -> str | None:
    """The tensor [C, 1, 1] of a gate, in the order of the image's channels; None if it is none."""
    channels = builder.tensors[image.tensor].shape[0]
    count = math.prod(gate.shape)
    places = np.arange(count) if gate.order is None else gate.order
    own_shape = (1, *builder.tensors[image.tensor].shape)
    chosen = None
    if count == channels:
        chosen = per_channel(places.reshape(gate.shape), image.shape, own_shape, image.order)
    if chosen is None:
        return None
    order = None if np.array_equal(chosen, np.arange(channels)) else chosen
    view = Real(tensor=gate.tensor, shape=(1, channels, 1, 1), node=gate.node, order=order)
    return builder.image(node, view)
