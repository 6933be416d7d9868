"""The QOperator form: QLinearConv, QGemm, QLinearAdd, ... and ConvInteger, MatMulInteger.

Ref: ONNX operators; ONNX Runtime, ContribOperators.md (domain com.microsoft).
"""

import numpy as np

from weft.errors import ModelError
from weft.nn.forms.steps import Handler, Steps
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops import concat, conv, function, host, pool, product, sums
from weft.nn.onnx.ops.qdq import dequantize_linear
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import Codes, Constant, QuantisedConstant, Symbol


def qlinear_conv(node: Node, builder: Builder) -> Symbol:
    """QLinearConv: x, w, y with scale and zero point each, int32 bias."""
    steps = Steps(node=node, builder=builder)
    x, w = steps.dequantised(0), steps.dequantised(3, axis=0)
    y = steps.run(conv.conv, x, w, _bias(steps, 8, 1.0))
    return steps.quantised(y, node.input(6), node.input(7))


def qlinear_matmul(node: Node, builder: Builder) -> Symbol:
    """QLinearMatMul: a, b, y with scale and zero point each."""
    steps = Steps(node=node, builder=builder)
    y = steps.run(conv.matmul, steps.dequantised(0), steps.dequantised(3, axis=1))
    return steps.quantised(y, node.input(6), node.input(7))


def qgemm(node: Node, builder: Builder) -> Symbol:
    """QGemm: a, b, int32 c, y; without y's scale the result is real."""
    steps = Steps(node=node, builder=builder)
    axis = 0 if node.integer("transB", 0) else 1
    x, w = steps.dequantised(0), steps.dequantised(3, axis=axis)
    y = steps.run(conv.gemm, x, w, _bias(steps, 6, node.number("alpha", 1.0)))
    if not node.input(7):
        return builder.symbols[y]
    return steps.quantised(y, node.input(7), node.input(8))


def _bias(steps: Steps, index: int, alpha: float) -> str:
    """An int32 bias, whose scale is alpha * s_x * s_w; '' where there is none."""
    node = steps.node
    if not node.input(index):
        return ""
    codes = steps.array(index, "bias")
    x, w = steps.array(1, "scale").reshape(-1), steps.array(4, "scale").reshape(-1)
    scale = np.float32(alpha) * x * w
    if codes.dtype != np.int32 or codes.size == 0 or scale.size not in (1, codes.size):
        raise ModelError(
            f"bias {node.input(index)!r} must be int32 with one value per output channel, not "
            f"{codes.dtype} of shape {list(codes.shape)}",
            at=node,
        )
    zero = np.zeros((), np.int64)
    flat = codes.reshape(-1).astype(np.int64)
    return steps.name(QuantisedConstant(codes=flat, scale=scale, zero_point=zero))


def qlinear_binary(handler: Handler) -> Handler:
    """QLinearAdd, QLinearMul: a and b with scale and zero point each, then y's."""

    def imported(node: Node, builder: Builder) -> Symbol:
        """Both operands dequantised, the operator, its result quantised."""
        steps = Steps(node=node, builder=builder)
        y = steps.run(handler, steps.dequantised(0), steps.dequantised(3))
        return steps.quantised(y, node.input(6), node.input(7))

    return imported


def qlinear_unary(handler: Handler) -> Handler:
    """QLinearGlobalAveragePool, QLinearSigmoid, ...: x, then y's scale and zero point."""

    def imported(node: Node, builder: Builder) -> Symbol:
        """The operand dequantised, the operator, its result quantised."""
        if node.integer("channels_last", 0):
            raise ModelError(
                "attribute 'channels_last' = 1 is not supported", remedy="0 is", at=node
            )
        steps = Steps(node=node, builder=builder)
        y = steps.run(handler, steps.dequantised(0))
        return steps.quantised(y, node.input(3), node.input(4))

    return imported


def qlinear_concat(node: Node, builder: Builder) -> Symbol:
    """QLinearConcat: y's scale and zero point, then each part with its own."""
    steps = Steps(node=node, builder=builder)
    parts = [steps.dequantised(first) for first in range(2, len(node.inputs), 3)]
    y = steps.run(concat.concat, *parts)
    return steps.quantised(y, node.input(0), node.input(1))


def integer(handler: Handler, axis: int) -> Handler:
    """ConvInteger, MatMulInteger: codes in, the bare accumulator out."""

    def imported(node: Node, builder: Builder) -> Symbol:
        """The operator on dequantised codes, its scale taken out again."""
        steps = Steps(node=node, builder=builder)
        scale = 1.0
        x = builder.symbol(node, 0)
        if isinstance(x, Codes):
            scale = builder.quantisations[x.tensor].scale
        zero = node.input(2) or steps.constant(0, steps.dtype())
        codes = steps.run(
            dequantize_linear, node.input(0), steps.constant(scale, "float32"), zero, axis=1
        )
        result = steps.symbol(handler, codes, _plain_weights(steps, axis))
        assert isinstance(result, PendingConv)
        return result.then(1.0 / scale, 0.0)

    return imported


def _plain_weights(steps: Steps, axis: int) -> str:
    """Weights at scale 1, with their zero points."""
    node = steps.node
    codes = steps.array(1, "weight")
    zero = np.zeros((), codes.dtype)
    if node.input(3):
        zero = steps.array(3, "zero point")
    scale = steps.constant(np.ones(zero.shape), "float32")
    inputs = (node.input(1), scale, steps.name(Constant(array=zero)))
    return steps.run(dequantize_linear, *inputs, axis=axis)


HANDLERS: dict[str, Handler] = {
    "ConvInteger": integer(conv.conv, 0),
    "MatMulInteger": integer(conv.matmul, 1),
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "com.microsoft.QGemm": qgemm,
    "com.microsoft.QLinearAdd": qlinear_binary(sums.add),
    "com.microsoft.QLinearAveragePool": qlinear_unary(pool.average_pool),
    "com.microsoft.QLinearConcat": qlinear_concat,
    "com.microsoft.QLinearGlobalAveragePool": qlinear_unary(pool.global_average_pool),
    "com.microsoft.QLinearLeakyRelu": qlinear_unary(function.unary(function.leaky_relu)),
    "com.microsoft.QLinearMul": qlinear_binary(product.multiply),
    "com.microsoft.QLinearReduceMean": qlinear_unary(pool.reduce_mean),
    "com.microsoft.QLinearSigmoid": qlinear_unary(function.unary(function.sigmoid)),
    "com.microsoft.QLinearSoftmax": qlinear_unary(host.softmax),
}
