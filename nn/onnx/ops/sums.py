"""Add and Sub of activations: of two tensors, or inside an accumulator where one was never
quantised."""

from weft.errors import ModelError
from weft.nn.onnx.affine import CONSTANTS, add_constant, subtract_constant
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import together
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.add import PendingAdd
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.pending.fused_add import join
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import NO_CLIP, Real


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
            f"inputs of shapes {list(a.shape)} and {list(b.shape)}",
            remedy="broadcasting is not supported, equal shapes are",
            at=node,
        )
    own_shape, order, names = together(node, builder, a, b)
    return PendingAdd(
        origin=node.origin,
        own_shape=own_shape,
        shape=a.shape,
        order=order,
        a=names[0],
        b=names[1],
        minus=minus,
    )


def _real(node: Node, builder: Builder, value: object) -> Real:
    """The other operand of a sum whose one operand is an accumulator."""
    index = 0 if builder.symbol(node, 0) is value else 1
    return builder.real(node, index)
