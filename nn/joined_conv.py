"""A sum with an accumulator that was never quantised: both operands in one convolution.

``Conv -> Add -> Relu -> Q`` leaves the convolution's result real (PyTorch 2 export). Here both
operands become input channels of one convolution. Its weights are integers, so the ratio of the
two operands' steps is approximated by a fraction, the better the more often an operand is there.
"""

import numpy as np

from weft.nn.builder import Builder
from weft.nn.errors import ModelError
from weft.nn.graph import Concat, Window
from weft.nn.numerics import scaling_of
from weft.nn.onnx_model import Node
from weft.nn.pending_conv import (
    WEIGHT_LIMIT,
    Gain,
    PendingConv,
    accumulator_range,
    identity_conv,
)
from weft.nn.symbols import Quantisation, Real

MAX_COPIES = (1, 2, 4)  # of the operand with the finer steps
TOLERANCE = 1 / 16  # of the coarser operand's step, at its largest value


def join(node: Node, builder: Builder, a: PendingConv, b: Real | PendingConv) -> PendingConv:
    """a + b, exactly but for the ratio of their scales, which a note gives."""
    if isinstance(b, Real):
        b = identity_conv(node.name, node.op, builder, b)
    if a.shape != b.shape or a.own_shape != b.own_shape or a.order is not b.order:
        raise ModelError(
            f"{node}: inputs of shapes {list(a.shape)} and {list(b.shape)}; broadcasting is not "
            "supported, equal shapes are"
        )
    scales = [a.scale(builder), b.scale(builder)]
    if np.abs(scales[0]).max() > np.abs(scales[1]).max():
        a, b, scales = b, a, scales[::-1]
    window = _common_window(node, builder, a, b)
    times, error = _multiples(builder, a, b, scales)
    weights = [
        times[i][:, None, None, None] * _embedded(conv, window) for i, conv in enumerate((a, b))
    ]
    copies = [max(1, -(-int(np.abs(w).max()) // WEIGHT_LIMIT)) for w in weights]
    parts = [_split(w, n) for w, n in zip(weights, copies, strict=True)]
    source = _side_by_side(node, builder, [a.source] * copies[0] + [b.source] * copies[1])
    if error > 1e-3:
        builder.notes.append(
            f"{node.name}: the ratio of its operands' steps is a fraction here; at the largest "
            f"value it is {error:.2g} of the coarser operand's steps off"
        )
    offset = a.bias * scales[0] + a.offset + b.bias * scales[1] + b.offset
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(times[0] == 0, scales[1], scales[0] / np.maximum(times[0], 1))
    return PendingConv(
        node=node.name,
        op=node.op,
        own_shape=a.own_shape,
        shape=a.shape,
        order=a.order,
        source=source,
        weight=np.concatenate([p for part in parts for p in part], axis=1).astype(np.int16),
        weight_scale=np.ones(1, np.float32),
        bias=np.zeros(a.channels, np.int64),
        window=window,
        groups=1,
        behind=Gain(gain=gain, offset=offset),
    )


def _common_window(node: Node, builder: Builder, a: PendingConv, b: PendingConv) -> Window:
    """The larger one of two windows, where the other is its centre or the same."""
    large, small = sorted((a.window, b.window), key=lambda w: w.kernel, reverse=True)
    top, left = large.pads[:2]
    centre = (top // large.dilation[0], left // large.dilation[1])
    inside = (
        small == Window(kernel=(1, 1), stride=large.stride)
        and all(c < k for c, k in zip(centre, large.kernel, strict=True))
        and (centre[0] * large.dilation[0], centre[1] * large.dilation[1]) == (top, left)
    )
    sizes = [builder.tensors[conv.source].shape[1:] for conv in (a, b)]
    if sizes[0] != sizes[1] or not (inside or large == small):
        raise ModelError(
            f"{node}: adds results that are not quantised and come from images of sizes "
            f"{list(sizes[0])} and {list(sizes[1])} with different windows; put QuantizeLinear and "
            f"DequantizeLinear between node {a.node!r} and this one"
        )
    return large


def _embedded(conv: PendingConv, window: Window) -> np.ndarray:
    """The weights [C_out, C_in, kh, kw] of a dense convolution with that window, int64."""
    c_out, per_group, kh, kw = conv.weight.shape
    dense = np.zeros((c_out, per_group * conv.groups, *window.kernel), np.int64)
    y, x = 0, 0
    if conv.window != window:
        y, x = window.pads[0] // window.dilation[0], window.pads[1] // window.dilation[1]
    outs = c_out // conv.groups
    for group in range(conv.groups):
        rows = slice(group * outs, (group + 1) * outs)
        columns = slice(group * per_group, (group + 1) * per_group)
        dense[rows, columns, y : y + kh, x : x + kw] = conv.weight[rows]
    return dense


def _multiples(
    builder: Builder, a: PendingConv, b: PendingConv, scales: list[np.ndarray]
) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Integers [C_out] whose ratio is that of the scales (|s_a| <= |s_b|), and the error left.

    The error is in steps of b's accumulator, at its largest value.
    """
    largest = np.abs(a.weight).reshape(a.channels, -1).max(axis=1, initial=1).astype(np.int64)
    low, high = accumulator_range(b, builder)
    reach = np.maximum(np.maximum(np.abs(low), np.abs(high)), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(scales[0] == 0, 0.0, scales[1] / scales[0])
    ratio = np.clip(np.nan_to_num(ratio), -(2.0**24), 2.0**24)
    best = np.full(a.channels, np.inf)
    first, second = np.ones(a.channels, np.int64), np.rint(ratio).astype(np.int64)
    for copies in MAX_COPIES:
        for times in range(1, copies * WEIGHT_LIMIT + 1):
            usable = times * largest <= copies * WEIGHT_LIMIT
            if not usable.any():
                break
            other = np.rint(ratio * times)
            with np.errstate(divide="ignore", invalid="ignore"):
                off = np.where(ratio == 0, 0.0, np.abs(other / (times * ratio) - 1)) * reach
            better = usable & (off < best)
            best = np.where(better, off, best)
            first = np.where(better, times, first)
            second = np.where(better, other.astype(np.int64), second)
        if best.max() <= TOLERANCE:
            break
    return (first, second), float(best.max())


def _split(weight: np.ndarray, n: int) -> list[np.ndarray]:
    """n arrays of nearly equal numbers whose sum is ``weight``."""
    return [(weight * (i + 1)) // n - (weight * i) // n for i in range(n)]


def _side_by_side(node: Node, builder: Builder, names: list[str]) -> str:
    """One tensor with the codes of several, unchanged; their zero points have to agree."""
    tensors = [builder.tensors[name] for name in names]
    zero_point = tensors[0].zero_point
    if len(names) == 1:
        return names[0]
    if any(tensor.zero_point != zero_point for tensor in tensors):
        raise ModelError(
            f"{node}: adds a result that is not quantised, and the zero points in front differ "
            f"({', '.join(str(t.zero_point) for t in tensors)}); put QuantizeLinear and "
            "DequantizeLinear in front of it, or use one zero point"
        )
    shape = (sum(tensor.shape[0] for tensor in tensors), *tensors[0].shape[1:])
    name = f"{node.outputs[0]}_joined"
    output = tensors[0].replace(name=name, shape=shape, scale=1.0)
    low = min(builder.ranges[part][0] for part in names)
    high = max(builder.ranges[part][1] for part in names)
    operator = Concat(
        name=f"{node.name}_joined",
        output=name,
        parts=tuple(names),
        scalings=(scaling_of(1.0),) * len(names),
    )
    builder.add(operator, output, Quantisation(scale=1.0, zero_point=zero_point, dtype="int8"))
    builder.ranges[name] = (low, high)
    return name
