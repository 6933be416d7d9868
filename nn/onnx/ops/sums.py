"""Add and Sub of activations: of two tensors, or inside an accumulator where one was never
quantised."""

from dataclasses import dataclass

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.add import Add
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops.affine import CONSTANTS, add_constant, subtract_constant
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.pending.factors import add_factors
from weft.nn.onnx.pending.fused_add import join
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import NO_CLIP, Quantisation, Real
from weft.nn.onnx.views import Order, Shape, same_order


@dataclass(frozen=True, kw_only=True)
class PendingAdd(Pending):
    """A sum of two tensors, or with ``minus`` their difference."""

    a: str
    b: str
    minus: bool = False

    def span(self, builder: Builder) -> tuple[float, float]:
        a, b = builder.span(self.a), builder.span(self.b)
        if self.minus:
            return a[0] - b[1], a[1] - b[0]
        return a[0] + b[0], a[1] + b[1]

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        a, b = builder.quantisations[self.a], builder.quantisations[self.b]
        clamp = self.codes_range(result)
        factors = add_factors(a, b, result, minus=self.minus, **clamp)
        if factors is None:
            raise ModelError(
                f"node {self.node!r} ({self.op}): an input's scale is 256 or more times the "
                "output's scale; less is supported"
            )
        multipliers, shift, wrong = factors
        if wrong:
            done = "subtracted" if self.minus else "added"
            builder.notes.append(
                f"{self.node}: {wrong} of 65536 pairs of codes are {done} differently from "
                "ONNX Runtime"
            )
        return Add(
            name=self.node,
            output=output.name,
            a=self.a,
            b=self.b,
            multipliers=multipliers,
            shift=shift,
            zero_point_inside=not self.minus,
            **clamp,
        )


def add(node: Node, builder: Builder) -> Pending:
    """Add of two activations, or of a bias to a convolution or MatMul."""
    left, right = builder.symbol(node, 0), builder.symbol(node, 1)
    for index, constant in enumerate((left, right)):
        if isinstance(constant, CONSTANTS):
            return add_constant(node, builder, index)
    for first, second in ((left, right), (right, left)):
        if isinstance(first, PendingConv) and first.clip == NO_CLIP:
            other = second if isinstance(second, PendingConv) else _real(node, builder, second)
            return join(node, builder, first, other)
    return _two(node, builder, minus=False)


def subtract(node: Node, builder: Builder) -> Pending:
    """Sub of two activations, of a constant, or from one."""
    if any(isinstance(builder.symbol(node, i), CONSTANTS) for i in (0, 1)):
        return subtract_constant(node, builder)
    return _two(node, builder, minus=True)


def _two(node: Node, builder: Builder, minus: bool) -> PendingAdd:
    a, b = builder.real(node, 0), builder.real(node, 1)
    if a.shape != b.shape:
        raise ModelError(
            f"{node}: inputs of shapes {list(a.shape)} and {list(b.shape)}; broadcasting is not "
            "supported, equal shapes are"
        )
    image, order, names = together(node, builder, a, b)
    return PendingAdd(
        node=node.name,
        op=node.op,
        own_shape=image,
        shape=a.shape,
        order=order,
        a=names[0],
        b=names[1],
        minus=minus,
    )


def together(
    node: Node, builder: Builder, a: Real, b: Real
) -> tuple[Shape, Order, tuple[str, str]]:
    """Two values of one shape as tensors of one shape, that shape, and the view's order."""
    image = _own_shape(builder, a)
    if same_order(a.order, b.order) and _own_shape(builder, b) == image:
        return image, a.order, (a.tensor, b.tensor)
    return a.shape, None, (builder.image(node, a), builder.image(node, b))


def _real(node: Node, builder: Builder, value: object) -> Real:
    """The other operand of a sum whose one operand is an accumulator."""
    index = 0 if builder.symbol(node, 0) is value else 1
    return builder.real(node, index)


def _own_shape(builder: Builder, value: Real) -> Shape:
    return (1, *builder.tensors[value.tensor].shape)
