"""BatchNormalization, and Mul, Div, Add, Sub of constants: a gain and an offset per channel."""

import numpy as np

from weft.nn.builder import Builder
from weft.nn.errors import ModelError
from weft.nn.onnx_model import Node
from weft.nn.pending_conv import PendingConv, identity_conv
from weft.nn.qdq_array import add_bias
from weft.nn.symbols import NO_CLIP, Constant, QuantisedConstant
from weft.nn.views import per_channel

CONSTANTS = (Constant, QuantisedConstant)


def batch_normalization(node: Node, builder: Builder) -> PendingConv:
    """BatchNormalization at inference, behind a convolution or alone."""
    if node.integer("training_mode", 0):
        raise ModelError(f"{node}: attribute 'training_mode' = 1 is not supported; 0 is")
    names = ("scale", "bias", "mean", "variance")
    parts = [_constant(node, builder, i + 1, name) for i, name in enumerate(names)]
    scale, bias, mean, variance = (part.reshape(-1) for part in parts)
    if len({part.size for part in parts}) != 1:
        raise ModelError(f"{node}: scale, bias, mean and variance have different sizes")
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        gain = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
        offset = bias - mean * gain
    rank = len(builder.symbol(node, 0).shape)
    column = (1, -1, *[1] * (rank - 2))
    return _affine(node, builder, 0, gain.reshape(column), offset.reshape(column))


def multiply_constant(node: Node, builder: Builder, index: int) -> PendingConv:
    """Mul by the constant input ``index``."""
    factor = _constant(node, builder, index, "factor")
    return _affine(node, builder, 1 - index, factor, np.zeros_like(factor))


def divide(node: Node, builder: Builder) -> PendingConv:
    """Div by a constant."""
    divisor = _constant(node, builder, 1, "divisor")
    with np.errstate(divide="ignore"):
        return _affine(node, builder, 0, 1 / divisor, np.zeros_like(divisor))


def subtract_constant(node: Node, builder: Builder) -> PendingConv:
    """Sub of a constant, or from one."""
    index = 1 if isinstance(builder.symbol(node, 1), CONSTANTS) else 0
    constant = _constant(node, builder, index, "constant")
    sign = 1.0 if index == 1 else -1.0
    return _affine(node, builder, 1 - index, np.full_like(constant, sign), -sign * constant)


def add_constant(node: Node, builder: Builder, index: int) -> PendingConv:
    """Add of the constant input ``index``: an integer bias where it can be one."""
    value, constant = builder.symbol(node, 1 - index), builder.symbol(node, index)
    real = _constant(node, builder, index, "constant")
    if isinstance(value, PendingConv) and value.clip == NO_CLIP:
        fits = per_channel(real, value.shape, value.own_shape, value.order) is not None
        if fits and value.behind is None and constant.shape and real.size == value.channels:
            return add_bias(node, builder, value, index)
    return _affine(node, builder, 1 - index, np.ones_like(real), real)


def _constant(node: Node, builder: Builder, index: int, what: str) -> np.ndarray:
    """A constant input's values, float64."""
    value = builder.symbol(node, index)
    match value:
        case QuantisedConstant():
            return value.real
        case Constant() if value.array.dtype.kind == "f" and np.all(np.isfinite(value.array)):
            return value.array.astype(np.float64)
        case _:
            raise ModelError(
                f"{node}: {what} {node.input(index)!r} is not a constant of finite floats; "
                "only those are supported"
            )


def _affine(
    node: Node, builder: Builder, index: int, gain: np.ndarray, offset: np.ndarray
) -> PendingConv:
    """value * gain + offset; both broadcast against the activation ``index``."""
    value = builder.symbol(node, index)
    if isinstance(value, CONSTANTS):
        raise ModelError(f"{node}: an operation on two constants; fold it beforehand")
    if not np.all(np.isfinite(gain) & np.isfinite(offset)):
        raise ModelError(f"{node}: its constants give numbers that are not finite")
    if not isinstance(value, PendingConv) or value.clip != NO_CLIP:
        value = identity_conv(node.name, node.op, builder, builder.real(node, index))
    parts = [per_channel(x, value.shape, value.own_shape, value.order) for x in (gain, offset)]
    if parts[0] is None or parts[1] is None:
        raise ModelError(
            f"{node}: constant of shape {list(gain.shape)} and activation of shape "
            f"{list(value.shape)}; one value, or one per channel, is supported"
        )
    return value.then(parts[0], parts[1])
