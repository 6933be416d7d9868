"""A sum with an accumulator that was never quantised: both operands in one convolution.

``Conv -> Add -> Relu -> Q`` leaves the convolution's result real (PyTorch 2 export). Here both
operands become input channels of one convolution. Its weights are integers: those of the operand
with the finer steps a multiple of its own ones, those of the other one rounded. What that leaves
out comes from a second, coarse copy of the other operand, whose weights are as many times larger.
"""

from dataclasses import dataclass, replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import WEIGHT_LIMIT, Gain, PendingConv, identity_conv
from weft.nn.onnx.symbols import Quantisation, Real

MAX_COPIES = (1, 2, 4)  # of the operand with the finer steps
COARSE = 16  # steps of an operand to one of its coarse copy
TOLERANCE = 1 / 64  # of the coarser operand's accumulator step, at its largest value
HIGHEST = 16 * WEIGHT_LIMIT  # weight of the coarser operand: so many copies of it at most


def join(node: Node, builder: Builder, a: PendingConv, b: Real | PendingConv) -> PendingConv:
    """a + b, exactly but for the ratio of their scales, which a note gives."""
    if isinstance(b, Real):
        b = identity_conv(node.origin, builder, b)
    if a.shape != b.shape or a.own_shape != b.own_shape or a.order is not b.order:
        raise ModelError(
            f"inputs of shapes {list(a.shape)} and {list(b.shape)}",
            remedy="broadcasting is not supported, equal shapes are",
            at=node,
        )
    scales = [a.scale(builder), b.scale(builder)]
    if np.abs(scales[0]).max() > np.abs(scales[1]).max():
        a, b, scales = b, a, scales[::-1]
    window = _common_window(node, builder, a, b)
    chosen = _weights(
        *(_operand(builder, *each) for each in ((a, window, scales[0]), (b, window, scales[1])))
    )
    parts, names = [], []
    for weight, conv in ((chosen.first, a), (chosen.second, b)):
        copies = max(1, -(-int(np.abs(weight).max()) // WEIGHT_LIMIT))
        parts += _split(weight.astype(np.int64), copies)
        names += [(conv.source, 1.0)] * copies
    if chosen.coarse.any():
        parts.append(chosen.coarse)
        names.append((b.source, 1 / COARSE))
    source = _side_by_side(node, builder, names)
    if chosen.error > 1e-3:
        builder.note(
            node.origin,
            f"the ratio of its operands' steps is approximated here; at the largest "
            f"value it is {chosen.error:.2g} of the coarser operand's steps off",
        )
    offset = a.bias * scales[0] + a.offset + b.bias * scales[1] + b.offset
    times = chosen.times
    gain = np.where(times == 0, scales[1], scales[0] / np.where(times == 0, 1, times))
    return PendingConv(
        origin=node.origin,
        own_shape=a.own_shape,
        shape=a.shape,
        order=a.order,
        source=source,
        weight=np.concatenate(parts, axis=1).astype(np.int16),
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
            f"adds results that are not quantised and come from images of sizes {list(sizes[0])} "
            f"and {list(sizes[1])} with different windows",
            remedy=f"put QuantizeLinear and DequantizeLinear between node {a.origin.name!r} and "
            "this one",
            at=node,
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


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """Integer weights [C_out, C_in, kh, kw] of both operands and of the second one's coarse copy.

    times: how much larger the first one's are than its own, [C_out]; 0 where it has no part. error:
    the most that a result can be off, in steps of the coarser accumulator.
    """

    first: np.ndarray
    second: np.ndarray
    coarse: np.ndarray
    times: np.ndarray
    error: float


@dataclass(frozen=True, kw_only=True)
class _Operand:
    """Weights [C_out, C_in, kh, kw], the value of an accumulator step [C_out], the largest code."""

    weight: np.ndarray
    scale: np.ndarray
    reach: int

    @property
    def largest(self) -> np.ndarray:
        """Of each output channel's weights, at least 1."""
        return np.abs(self.weight).reshape(len(self.weight), -1).max(axis=1, initial=1)

    def off(self, missing: np.ndarray) -> np.ndarray:
        """What a channel is off where so much is missing from each weight."""
        return np.abs(missing).reshape(len(missing), -1).sum(axis=1) * self.reach


def _operand(builder: Builder, conv: PendingConv, window: Window, scale: np.ndarray) -> _Operand:
    low, high = builder.ranges[conv.source]
    zero_point = builder.tensors[conv.source].zero_point
    reach = max(abs(low - zero_point), abs(high - zero_point))
    return _Operand(weight=_embedded(conv, window), scale=scale, reach=reach)


def _weights(a: _Operand, b: _Operand) -> _Weights:
    """The fewest copies that keep the error within TOLERANCE, or the least error.

    a has the finer steps.
    """
    tried = []
    for copies in MAX_COPIES:
        for coarse in (False, True):
            tried.append(_closest(a, b, copies, coarse))
            if tried[-1].error <= TOLERANCE:
                return tried[-1]
    return min(tried, key=lambda weights: weights.error)


def _closest(a: _Operand, b: _Operand, copies: int, coarse: bool) -> _Weights:
    """The best multiple for each channel that takes no more copies of ``a``.

    Where b would need more than HIGHEST, a's weights are made smaller instead, and rounded.
    """
    absent = a.scale == 0
    ratio = np.where(absent, 1.0, b.scale / np.where(absent, 1.0, a.scale))
    share = np.minimum(HIGHEST / np.maximum(np.abs(ratio) * b.largest, 1), 1.0)
    limit = np.maximum(copies * WEIGHT_LIMIT // a.largest, 1)
    best = _Weights(
        first=np.zeros(a.weight.shape),
        second=np.zeros(b.weight.shape),
        coarse=np.zeros(b.weight.shape),
        times=np.zeros(len(ratio)),
        error=0.0,
    )
    least = np.full(len(ratio), np.inf)
    for n in range(1, int(limit.max()) + 1):
        times = n * share
        wanted = times[:, None, None, None] * a.weight
        first = np.rint(wanted)
        off = a.off(wanted - first)
        wanted = (times * ratio)[:, None, None, None] * b.weight
        second = np.rint(wanted)
        more = np.rint((wanted - second) * COARSE) if coarse else np.zeros(second.shape)
        off += b.off(wanted - second - more / COARSE)
        off += np.abs(more).reshape(len(more), -1).sum(axis=1) / 2  # its codes are rounded
        off = np.where(ratio == 0, 0.0, off / (times * np.maximum(np.abs(ratio), 1)))
        usable = (n <= limit) & (np.abs(ratio) * b.largest * times <= HIGHEST + 1)
        better = (usable | (n == 1)) & (off < least)
        least[better] = off[better]
        for kept, value in (
            (best.first, first),
            (best.second, second),
            (best.coarse, more),
            (best.times, times),
        ):
            kept[better] = value[better]
        if least.max() == 0:
            break
    best.first[absent], best.times[absent] = 0, 0
    return replace(best, error=float(least.max()))


def _split(weight: np.ndarray, n: int) -> list[np.ndarray]:
    """n arrays of nearly equal numbers whose sum is ``weight``."""
    return [(weight * (i + 1)) // n - (weight * i) // n for i in range(n)]


def _side_by_side(node: Node, builder: Builder, names: list[tuple[str, float]]) -> str:
    """One tensor with the codes of several, each times a factor; zero points have to agree."""
    tensors = [builder.tensors[name] for name, _ in names]
    zero_point = tensors[0].zero_point
    if len(names) == 1:
        return names[0][0]
    if any(tensor.zero_point != zero_point for tensor in tensors):
        raise ModelError(
            "adds a result that is not quantised, and the zero points in front differ "
            f"({', '.join(str(t.zero_point) for t in tensors)})",
            remedy="put QuantizeLinear and DequantizeLinear in front of it, or use one zero point",
            at=node,
        )
    shape = (sum(tensor.shape[0] for tensor in tensors), *tensors[0].shape[1:])
    name = builder.names.new(f"{node.outputs[0]}_joined")
    output = tensors[0].replace(name=name, shape=shape, scale=1.0)
    low = min(builder.ranges[part][0] for part, _ in names)
    high = max(builder.ranges[part][1] for part, _ in names)
    operator = Concat(
        name=builder.operator_names.new(f"{node.name}_joined"),
        output=name,
        parts=tuple(part for part, _ in names),
        scalings=tuple(scaling_of(factor) for _, factor in names),
    )
    quantisation = Quantisation(scale=1.0, zero_point=zero_point, dtype="int8")
    builder.add(node.origin, operator, output, quantisation, (low, high))
    return name
