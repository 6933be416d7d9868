"""Constant weights and biases: of Conv, ConvTranspose, Gemm and MatMul."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import Constant, QuantisedConstant, Real


def add_bias(
    node: Node,
    builder: Builder,
    conv: PendingConv,
    index: int,
    times: float = 1.0,
    rounds: bool = True,
) -> PendingConv:
    """The convolution plus a node's input: one constant per output channel, or none.

    ``times`` is a power of two. An int32 bias at the scale s_x * s_w becomes part of the
    accumulator. So does a float one, rounded, since ONNX Runtime does that; it stays real in QONNX,
    which is computed in float, behind a gain, and for operators that ONNX Runtime computes in float
    (not ``rounds``).
    """
    name = node.input(index)
    if not name:
        return conv
    value = builder.symbol(node, index)
    scale = _accumulator_scale(builder, conv.source, conv.weight_scale) / np.float32(times)
    match value:
        case QuantisedConstant() if conv.behind is None and _is_at_scale(value, scale):
            bias = _per_output(node, name, value.centred, conv.channels)
            return replace(conv, bias=conv.bias + bias)
        case QuantisedConstant():
            real = _per_output(node, name, value.real, conv.channels)
        case Constant() if value.array.dtype == np.float32:
            real = _per_output(node, name, value.array.astype(np.float64), conv.channels)
        case Constant():
            raise ModelError(
                f"bias {name!r} has type {value.array.dtype}",
                remedy="float, or int32 with DequantizeLinear behind it, is supported",
                at=node,
            )
        case _:
            raise ModelError(
                f"bias {name!r} is not a constant", remedy="only constants are supported", at=node
            )
    if not np.all(np.isfinite(real)):
        raise ModelError(f"bias {name!r} must hold finite numbers", at=node)
    rounds &= not builder.float_runtime
    return _add_real(node, builder, conv, real, scale, times, rounds)


def _add_real(
    node: Node,
    builder: Builder,
    conv: PendingConv,
    real: np.ndarray,
    scale: np.ndarray,
    times: float,
    rounds: bool,
) -> PendingConv:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exact = np.where(real == 0, 0.0, real / scale.astype(np.float64))
        codes = np.rint(exact)
        # Relative to what float32 can tell apart, the bias is exact or it is rounded.
        rounded = np.any(~(np.abs(exact - codes) <= 1e-6 * np.maximum(np.abs(exact), 1)))
    fits = np.all(np.abs(exact) < 1 << 31)
    if conv.behind is not None or not fits or (rounded and not rounds):
        return conv.then(1.0, real * times)
    if rounded:
        builder.note(
            node.origin,
            "its float bias is rounded to int32 at scale s_x * s_w, as ONNX Runtime does it",
        )
    return replace(conv, bias=conv.bias + codes.astype(np.int64))


def channel_weights(node: Node, builder: Builder, axis: int) -> QuantisedConstant:
    """The second input, per tensor or per channel along ``axis``."""
    value, name = constant_weights(node, builder), node.input(1)
    size = value.scale.size
    if size > 1 and (value.scale.ndim != value.codes.ndim or value.scale.shape[axis] != size):
        raise ModelError(
            f"weight {name!r} is quantised along another axis than its output channels (axis "
            f"{axis})",
            at=node,
        )
    return value


def constant_weights(node: Node, builder: Builder) -> QuantisedConstant:
    """The second input, which has to be a quantised constant."""
    value, name = builder.symbol(node, 1), node.input(1)
    if isinstance(value, Constant):
        raise ModelError(
            f"weight {name!r} is not quantised: store it as int8 or uint8 with DequantizeLinear "
            "behind it",
            at=node,
        )
    if not isinstance(value, QuantisedConstant):
        raise ModelError(
            f"weight {name!r} is not a constant", remedy="only constants are supported", at=node
        )
    return value


def check_channels(
    node: Node, x: Real, weight: QuantisedConstant, *, transposed: bool = False
) -> None:
    """Raise ModelError where input, weights and attributes of a convolution do not fit together.

    transposed: weights are [C_in, C_out per group, ...], else [C_out, C_in per group, ...].
    """
    groups, kernel = node.integer("group", 1), node.integers("kernel_shape")
    rank, shape = len(x.shape), list(weight.shape)
    if rank not in (3, 4) or weight.codes.ndim != rank:
        raise ModelError(
            f"input of shape {list(x.shape)} and weights of shape {shape}",
            remedy=f"1-D and 2-D {'transposed ' if transposed else ''}convolutions are supported",
            at=node,
        )
    c_in = shape[0] if transposed else shape[1] * groups
    if min(shape) < 1 or groups < 1 or shape[0] % groups or x.shape[1] != c_in:
        raise ModelError(
            f"{x.shape[1]} input channels, {groups} groups and weights of shape {shape} do not fit "
            "together",
            at=node,
        )
    if kernel is not None and kernel != weight.shape[2:]:
        raise ModelError(
            f"attribute 'kernel_shape' is {list(kernel)} but the weights have shape {shape}",
            at=node,
        )


def centred_weights(node: Node, weight: QuantisedConstant) -> np.ndarray:
    """Codes with their zero point subtracted, int16."""
    centred = weight.centred
    if np.abs(centred).max(initial=0) > 255:
        raise ModelError(
            f"weight {node.input(1)!r} has codes up to {np.abs(centred).max()} from their zero "
            "point",
            remedy="up to 255 (8 bits with a zero point) is supported",
            at=node,
        )
    return centred.astype(np.int16)


def _accumulator_scale(builder: Builder, source: str, weight_scale: np.ndarray) -> np.ndarray:
    """s_x * s_w as float32, [C_out] or [1]."""
    return np.float32(builder.quantisations[source].scale) * weight_scale.astype(np.float32)


def _is_at_scale(value: QuantisedConstant, scale: np.ndarray) -> bool:
    own = value.scale.reshape(-1).astype(np.float64)
    if own.size != 1 and scale.size not in (1, own.size):
        return False
    return bool(np.allclose(own, scale.astype(np.float64), rtol=1e-5, atol=0))


def _per_output(node: Node, name: str, array: np.ndarray, c_out: int) -> np.ndarray:
    if array.size not in (1, c_out):
        raise ModelError(
            f"bias {name!r} has shape {list(array.shape)}",
            remedy=f"one value per output channel ({c_out}) is needed",
            at=node,
        )
    return np.broadcast_to(array.reshape(-1), (c_out,)).copy()
