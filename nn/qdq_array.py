"""Conv, Gemm and MatMul with constant weights, and their biases: the matrix array's work."""

from dataclasses import dataclass, replace

import numpy as np

from weft.nn.builder import Builder
from weft.nn.errors import ModelError
from weft.nn.factors import conv_factors
from weft.nn.graph import Conv, Operator, Tensor, Window
from weft.nn.numerics import requantise, scaling_of
from weft.nn.onnx_model import Node
from weft.nn.qdq_window import window_of
from weft.nn.symbols import (
    Constant,
    Pending,
    Quantisation,
    QuantisedConstant,
    Real,
)


@dataclass(frozen=True, kw_only=True)
class PendingConv(Pending):
    """A convolution that waits for its output's quantisation.

    weight: int16 [C_out, C_in / groups, kh, kw]; weight_scale: float32 [C_out] or [1];
    bias: int64 [C_out] at scale s_x * s_w.
    """

    source: str
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    window: Window
    groups: int

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        x = builder.quantisations[self.source]
        with np.errstate(over="ignore", under="ignore"):
            factors = conv_factors(x, self.weight_scale, result)
        if not np.all(np.isfinite(factors)):
            raise ModelError(
                f"node {self.node!r} ({self.op}): the scale factor s_x * s_w / s_y overflows "
                "float32"
            )
        conv = Conv(
            name=self.node,
            output=output.name,
            input=self.source,
            weight=self.weight,
            bias=self.bias,
            scaling=scaling_of(factors),
            window=self.window,
            groups=self.groups,
            **self.codes_range(result),
        )
        self._check_bounds(builder, conv, result)
        return conv

    def _check_bounds(self, builder: Builder, conv: Conv, result: Quantisation) -> None:
        """Accumulators must fit 32 bits; beyond 24 bits float32 is no longer exact."""
        low, high = accumulator_range(self, builder)
        worst = np.maximum(np.abs(low), np.abs(high))
        if worst.max(initial=0) >= 1 << 31:
            channel = int(worst.argmax())
            raise ModelError(
                f"node {self.node!r} ({self.op}): output channel {channel} can reach an "
                f"accumulator of {worst[channel]}, beyond 32 bits; use fewer inputs per output "
                "or smaller weights"
            )
        # From 256 output steps on both ways of rounding saturate.
        factors = conv_factors(builder.quantisations[self.source], self.weight_scale, result)
        large = (worst >= 1 << 24) & (factors.astype(np.float64) * (1 << 24) < 256)
        # Channels without weights have one accumulator only, which can be tried.
        acc = np.where(low == high, low, 0)
        got = requantise(
            acc.reshape(1, -1, 1, 1), conv.scaling, result.code_zero_point, conv.low, conv.high
        ).reshape(-1)
        rounded = np.rint(acc.astype(np.float32) * factors).astype(np.float64)
        wanted = np.clip(rounded + result.code_zero_point, conv.low, conv.high)
        large &= (low != high) | (got != wanted)
        if large.any():
            bits = float(np.log2(worst[large].max()))
            builder.notes.append(
                f"{self.node}: worst-case accumulator 2^{bits:.1f} exceeds float32's 24 bits; "
                "exact unless reached"
            )


def accumulator_range(conv: PendingConv, builder: Builder) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest accumulator [C_out] over all inputs that can occur."""
    zero_point = builder.tensors[conv.source].zero_point
    low, high = (code - zero_point for code in builder.ranges[conv.source])
    if any(conv.window.pads):
        low, high = min(low, 0), max(high, 0)
    weight = conv.weight.reshape(conv.weight.shape[0], -1).astype(np.int64)
    top = np.maximum(weight * low, weight * high).sum(axis=1) + conv.bias
    bottom = np.minimum(weight * low, weight * high).sum(axis=1) + conv.bias
    return bottom, top


def conv(node: Node, builder: Builder) -> PendingConv:
    """Conv over one or two spatial dimensions."""
    x = builder.real(node, 0)
    weight = _weights(node, builder, 0)
    rank, groups = len(x.shape), node.integer("group", 1)
    c_out, per_group = _conv_channels(node, x, weight, groups)
    source = builder.image(node, x)
    height, width = builder.tensors[source].shape[1:]
    window = window_of(node, weight.shape[2:], (height, width))
    out = window.output_size(height, width)
    codes = _centred(node, weight)
    codes = codes.reshape(c_out, per_group, *window.kernel)
    builder.macs += codes.size * out[0] * out[1]
    shape = (1, c_out, *out) if rank == 4 else (1, c_out, out[1])
    scale = weight.scale.reshape(-1)
    bias = _bias(node, builder, 2, c_out, _accumulator_scale(builder, source, scale))
    return PendingConv(
        node=node.name,
        op=node.op,
        own_shape=shape,
        shape=shape,
        source=source,
        weight=codes,
        weight_scale=scale,
        bias=bias,
        window=window,
        groups=groups,
    )


def _conv_channels(node: Node, x: Real, weight: QuantisedConstant, groups: int) -> tuple[int, int]:
    """Output channels, and input channels per group, once everything fits together."""
    rank = len(x.shape)
    if rank not in (3, 4) or weight.codes.ndim != rank:
        raise ModelError(
            f"{node}: input of shape {list(x.shape)} and weights of shape "
            f"{list(weight.shape)}; 1-D and 2-D convolutions are supported"
        )
    c_out, per_group = weight.shape[:2]
    if min(weight.shape) < 1 or groups < 1 or c_out % groups or x.shape[1] != per_group * groups:
        raise ModelError(
            f"{node}: {x.shape[1]} input channels, {groups} groups and weights of shape "
            f"{list(weight.shape)} do not fit together"
        )
    kernel = node.integers("kernel_shape")
    if kernel is not None and kernel != weight.shape[2:]:
        raise ModelError(
            f"{node}: attribute 'kernel_shape' is {list(kernel)} but the weights have shape "
            f"{list(weight.shape)}"
        )
    return c_out, per_group


def gemm(node: Node, builder: Builder) -> PendingConv:
    """Gemm: alpha * (A @ B) + beta * C with constant B and C."""
    if node.integer("transA", 0):
        raise ModelError(f"{node}: attribute 'transA' = 1 is not supported; 0 is")
    alpha, beta = (_power_of_two(node, name) for name in ("alpha", "beta"))
    transposed = node.integer("transB", 0) != 0
    weight = _weights(node, builder, 0 if transposed else 1)
    return _dense(node, builder, weight, transposed, alpha, beta)


def matmul(node: Node, builder: Builder) -> PendingConv:
    """MatMul of an activation with constant weights."""
    left = builder.symbol(node, 0)
    if isinstance(left, Constant | QuantisedConstant):
        raise ModelError(f"{node}: the constant must be the second input, not the first")
    return _dense(node, builder, _weights(node, builder, 1), False, 1.0, 1.0)


def _power_of_two(node: Node, name: str) -> float:
    value = node.number(name, 1.0)
    if not (np.isfinite(value) and value > 0 and np.frexp(value)[0] == 0.5):
        raise ModelError(
            f"{node}: attribute {name!r} = {value:g} is not supported; powers of two are: "
            "multiply the constants by it before quantisation"
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
    """A fully connected layer as a 1x1 convolution on a 1x1 image."""
    x = builder.real(node, 0)
    codes = _centred(node, weight)
    if codes.ndim != 2 or len(x.shape) < 2 or any(size != 1 for size in x.shape[1:-1]):
        raise ModelError(
            f"{node}: input of shape {list(x.shape)} and weights of shape {list(weight.shape)}; "
            "one vector times a matrix is supported: put Flatten before it"
        )
    matrix = codes if transposed else codes.T
    c_out, c_in = matrix.shape
    if c_in != x.shape[-1]:
        raise ModelError(
            f"{node}: input of shape {list(x.shape)} and weights of shape {list(weight.shape)} "
            "do not fit together"
        )
    source = builder.image(node, replace(x, shape=(1, c_in)))
    builder.macs += matrix.size
    scale = weight.scale.reshape(-1) * np.float32(alpha)
    accumulator = _accumulator_scale(builder, source, scale)
    bias = _bias(node, builder, 2, c_out, accumulator / beta)
    return PendingConv(
        node=node.name,
        op=node.op,
        own_shape=(1, c_out),
        shape=(*x.shape[:-1], c_out),
        source=source,
        weight=matrix.reshape(c_out, c_in, 1, 1),
        weight_scale=scale,
        bias=bias,
        window=Window(kernel=(1, 1)),
        groups=1,
    )


def add_bias(node: Node, builder: Builder, conv: PendingConv, index: int) -> PendingConv:
    """Add of a constant behind a convolution or MatMul: one value per output channel."""
    constant = builder.symbol(node, index)
    assert isinstance(constant, Constant | QuantisedConstant)
    c_out = conv.weight.shape[0]
    # The channel's place in the result's shape: last for MatMul, second for Conv.
    place = 1 if conv.op == "Conv" else len(conv.shape) - 1
    sizes = (1,) * (len(conv.shape) - len(constant.shape)) + tuple(constant.shape)
    fits = len(sizes) == len(conv.shape) and all(
        size in ((1, c_out) if axis == place else (1,)) for axis, size in enumerate(sizes)
    )
    if not fits or (conv.op == "Conv" and conv.shape != conv.own_shape):
        raise ModelError(
            f"{node}: constant of shape {list(constant.shape)} added to {list(conv.shape)}; "
            "one value per output channel is supported"
        )
    scale = _accumulator_scale(builder, conv.source, conv.weight_scale)
    bias = _bias(node, builder, index, c_out, scale)
    return replace(conv, bias=conv.bias + bias)


def _weights(node: Node, builder: Builder, axis: int) -> QuantisedConstant:
    """The second input, per tensor or per channel along ``axis``."""
    value, name = builder.symbol(node, 1), node.input(1)
    if isinstance(value, Constant):
        raise ModelError(
            f"{node}: weight {name!r} is not quantised: store it as int8 or uint8 with "
            "DequantizeLinear behind it"
        )
    if not isinstance(value, QuantisedConstant):
        raise ModelError(f"{node}: weight {name!r} is not a constant; only constants are supported")
    size = value.scale.size
    if size > 1 and (value.scale.ndim != value.codes.ndim or value.scale.shape[axis] != size):
        raise ModelError(
            f"{node}: weight {name!r} is quantised along another axis than its output channels "
            f"(axis {axis})"
        )
    return value


def _centred(node: Node, weight: QuantisedConstant) -> np.ndarray:
    centred = weight.centred
    if np.abs(centred).max(initial=0) > 255:
        raise ModelError(
            f"{node}: weight {node.input(1)!r} has codes of more than 8 bits; int8 and uint8 "
            "are supported"
        )
    return centred.astype(np.int16)


def _accumulator_scale(builder: Builder, source: str, weight_scale: np.ndarray) -> np.ndarray:
    """s_x * s_w as float32, [C_out] or [1]."""
    return np.float32(builder.quantisations[source].scale) * weight_scale.astype(np.float32)


def _bias(node: Node, builder: Builder, index: int, c_out: int, scale: np.ndarray) -> np.ndarray:
    """Bias [C_out], int64, in units of ``scale``; zeros where the node has none."""
    name = node.input(index)
    if not name:
        return np.zeros(c_out, np.int64)
    value = builder.symbol(node, index)
    match value:
        case QuantisedConstant():
            if _is_at_scale(value, scale):
                return _per_channel(node, name, value.centred, c_out)
            real = _per_channel(node, name, value.real, c_out)
        case Constant() if value.array.dtype == np.float32:
            real = _per_channel(node, name, value.array.astype(np.float64), c_out)
        case Constant():
            raise ModelError(
                f"{node}: bias {name!r} has type {value.array.dtype}; float, or int32 with "
                "DequantizeLinear behind it, is supported"
            )
        case _:
            raise ModelError(
                f"{node}: bias {name!r} is not a constant; only constants are supported"
            )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        exact = np.where(real == 0, 0.0, real / scale.astype(np.float64))
    if not np.all(np.abs(exact) < 1 << 31):
        raise ModelError(f"{node}: bias {name!r} does not fit 32 bits at the scale s_x * s_w")
    codes = np.rint(exact)
    # Relative to what float32 can tell apart, the bias is exact or it is rounded.
    if np.any(np.abs(exact - codes) > 1e-6 * np.maximum(np.abs(exact), 1)):
        builder.notes.append(f"{node.name}: bias {name!r} is rounded to int32 at scale s_x * s_w")
    return codes.astype(np.int64)


def _is_at_scale(value: QuantisedConstant, scale: np.ndarray) -> bool:
    own = value.scale.reshape(-1).astype(np.float64)
    if own.size != 1 and scale.size not in (1, own.size):
        return False
    return bool(np.allclose(own, scale.astype(np.float64), rtol=1e-5, atol=0))


def _per_channel(node: Node, name: str, array: np.ndarray, c_out: int) -> np.ndarray:
    if array.size not in (1, c_out):
        raise ModelError(
            f"{node}: bias {name!r} has shape {list(array.shape)}; one value per output channel "
            f"({c_out}) is needed"
        )
    return np.broadcast_to(array.reshape(-1), (c_out,)).copy()
