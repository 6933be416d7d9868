"""Conv, Gemm and MatMul with constant weights, and their biases: the matrix array's work."""

import math
from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.graph import where_from
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import Constant, QuantisedConstant, Real
from weft.nn.onnx.views import Order, Shape, transposed
from weft.nn.onnx.weights import add_bias, centred_weights, channel_weights, check_channels
from weft.nn.onnx.window import window_of


def conv(node: Node, builder: Builder) -> PendingConv:
    """Conv over one or two spatial dimensions."""
    x = builder.real(node, 0)
    weight = channel_weights(node, builder, 0)
    rank, groups = len(x.shape), node.integer("group", 1)
    check_channels(node, x, weight)
    c_out, per_group = weight.shape[:2]
    source = image(builder, node, x)
    height, width = builder.tensors[source].shape[1:]
    window = window_of(node, weight.shape[2:], (height, width))
    out = window.output_size(height, width)
    codes = centred_weights(node, weight)
    codes = codes.reshape(c_out, per_group, *window.kernel)
    builder.macs += codes.size * out[0] * out[1]
    shape = (1, c_out, *out) if rank == 4 else (1, c_out, out[1])
    scale = weight.scale.reshape(-1)
    pending = PendingConv(
        origin=node.origin,
        own_shape=shape,
        shape=shape,
        source=source,
        weight=codes,
        weight_scale=scale,
        bias=np.zeros(c_out, np.int64),
        window=window,
        groups=groups,
    )
    return add_bias(node, builder, pending, 2)


def gemm(node: Node, builder: Builder) -> PendingConv:
    """Gemm: alpha * (A @ B) + beta * C with constant B and C."""
    if node.integer("transA", 0):
        raise ModelError("attribute 'transA' = 1 is not supported", remedy="0 is", at=node)
    alpha, beta = (_power_of_two(node, name) for name in ("alpha", "beta"))
    transposed = node.integer("transB", 0) != 0
    weight = channel_weights(node, builder, 0 if transposed else 1)
    return _dense(node, builder, weight, transposed, alpha, beta)


def matmul(node: Node, builder: Builder) -> PendingConv:
    """MatMul of an activation with constant weights."""
    left = builder.symbol(node, 0)
    if isinstance(left, Constant | QuantisedConstant):
        raise ModelError("the constant must be the second input, not the first", at=node)
    return _dense(node, builder, channel_weights(node, builder, 1), False, 1.0, 1.0)


def _power_of_two(node: Node, name: str) -> float:
    value = node.number(name, 1.0)
    if not (np.isfinite(value) and value > 0 and np.frexp(value)[0] == 0.5):
        raise ModelError(
            f"attribute {name!r} = {value:g} is not supported",
            remedy="powers of two are: multiply the constants by it before quantisation",
            at=node,
        )
    return value


def _dense(
    node: Node,
    builder: Builder,
    weight: QuantisedConstant,
    transposed: bool,
    alpha: float,
    beta: float,
) -> PendingConv:
    """A fully connected layer as a 1x1 convolution: of a vector, or of all rows of a matrix."""
    x = builder.real(node, 0)
    codes = centred_weights(node, weight)
    matrix = codes if transposed else codes.T
    if codes.ndim != 2 or len(x.shape) < 2 or matrix.shape[1] != x.shape[-1]:
        raise ModelError(
            f"input of shape {list(x.shape)} and weights of shape {list(weight.shape)} do not fit "
            "together",
            remedy="the input's last dimension times one matrix is supported",
            at=node,
        )
    c_out, c_in = matrix.shape
    if any(size != 1 for size in x.shape[1:-1]):
        source, own_shape, order = _rows(node, builder, x, c_out)
    else:
        if x.order is not None:  # the weights follow the Transpose in front of the Flatten
            matrix = matrix[:, np.argsort(x.order)]
        source = image(builder, node, replace(x, shape=(1, c_in), order=None))
        own_shape, order = (1, c_out), None
    builder.macs += matrix.size * math.prod(x.shape[1:-1])
    scale = weight.scale.reshape(-1) * np.float32(alpha)
    pending = PendingConv(
        origin=node.origin,
        own_shape=own_shape,
        shape=(*x.shape[:-1], c_out),
        order=order,
        source=source,
        weight=matrix.reshape(c_out, c_in, 1, 1),
        weight_scale=scale,
        bias=np.zeros(c_out, np.int64),
        window=Window(kernel=(1, 1)),
        groups=1,
    )
    return add_bias(node, builder, pending, 2, beta)


def _rows(node: Node, builder: Builder, x: Real, c_out: int) -> tuple[str, Shape, Order]:
    """Rows [1, ..., K] as an image of K channels: its tensor, the result's shape and view."""
    rank = len(x.shape)
    perm = (0, rank - 1, *range(1, rank - 1))
    shape = tuple(x.shape[axis] for axis in perm)
    turned = replace(x, shape=shape, order=transposed(x.order, x.shape, perm))
    try:
        source = image(builder, node, turned)
    except ModelError as error:
        raise ModelError(
            f"multiplies the last dimension of {list(x.shape)}, which are not the channels of "
            f"{where_from(x.tensor, builder.operators, builder.inputs)}",
            remedy="supported are the model's inputs, results of MatMul and images in NHWC: use "
            "a convolution with channels in front",
            at=node,
        ) from error
    own_shape = (1, c_out, *shape[2:])
    return source, own_shape, transposed(None, own_shape, (0, *range(2, rank), 1))
