"""Constant weights and biases: of Conv, ConvTranspose, Gemm and MatMul."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import Constant, QuantisedConstant


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
                f"{node}: bias {name!r} has type {value.array.dtype}; float, or int32 with "
                "DequantizeLinear behind it, is supported"
            )
        case _:
            raise ModelError(
                f"{node}: bias {name!r} is not a constant; only constants are supported"
            )
    if not np.all(np.isfinite(real)):
        raise ModelError(f"{node}: bias {name!r} must hold finite numbers")
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
            f"{node}: weight {name!r} is quantised along another axis than its output channels "
            f"(axis {axis})"
        )
    return value


def constant_weights(node: Node, builder: Builder) -> QuantisedConstant:
    """The second input, which has to be a quantised constant."""
    value, name = builder.symbol(node, 1), node.input(1)
    if isinstance(value, Constant):
        raise ModelError(
            f"{node}: weight {name!r} is not quantised: store it as int8 or uint8 with "
            "DequantizeLinear behind it"
        )
    if not isinstance(value, QuantisedConstant):
        raise ModelError(f"{node}: weight {name!r} is not a constant; only constants are supported")
    return value


def centred_weights(node: Node, weight: QuantisedConstant) -> np.ndarray:
    """Codes with their zero point subtracted, int16."""
    centred = weight.centred
    if np.abs(centred).max(initial=0) > 255:
        raise ModelError(
            f"{node}: weight {node.input(1)!r} has codes up to {np.abs(centred).max()} from their "
            "zero point; up to 255 (8 bits with a zero point) is supported"
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
            f"{node}: bias {name!r} has shape {list(array.shape)}; one value per output channel "
            f"({c_out}) is needed"
        )
    return np.broadcast_to(array.reshape(-1), (c_out,)).copy()
