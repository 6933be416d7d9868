"""The integer reference: what every operator of the graph computes, bit for bit.

Codes are int8 arrays [N, C, H, W]. The order of the functions and the numbers C1, C2, ... are
those of docs/ops.md. Hardware equals these functions; nothing here uses rounding floats (float64
only carries integers below 2**53).
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from weft.errors import ConfigError
from weft.nn.graph import (
    CODE_MIN,
    Add,
    AveragePool,
    Concat,
    Conv,
    Graph,
    MaxPool,
    Move,
    Mul,
    Operator,
    Rescale,
    Reshape,
    Tensor,
    Window,
)
from weft.nn.numerics import requantise, round_scaled

Codes = Mapping[str, np.ndarray]

MAX_COLUMNS = 1 << 22
"""Elements of the windows that are copied for one matrix product."""


def run(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Codes [N, C, H, W] of every tensor, from the codes of the graph's input tensors.

    Raises ConfigError if an input is missing or has another shape or type than its tensor.
    """
    codes: dict[str, np.ndarray] = {}
    batch = None
    for edge in graph.inputs:
        array = inputs.get(edge.tensor)
        shape = graph.tensor(edge.tensor).shape
        if array is None:
            raise ConfigError(f"codes of input tensor {edge.tensor!r} are missing")
        if array.dtype != np.int8 or array.shape[1:] != shape or array.ndim != 4:
            raise ConfigError(
                f"codes of input tensor {edge.tensor!r} must be int8 of shape [N, *{shape}], "
                f"not {array.dtype} of shape {array.shape}"
            )
        batch = array.shape[0] if batch is None else batch
        if array.shape[0] != batch:
            raise ConfigError(
                f"codes of input tensor {edge.tensor!r} must have batch {batch} like the other "
                f"inputs, not {array.shape[0]}"
            )
        codes[edge.tensor] = array
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for operator in graph.operators:
        codes[operator.output] = compute(operator, tensors, codes)
    return codes


def compute(operator: Operator, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """Output codes of one operator."""
    match operator:
        case Conv():
            return conv(operator, tensors, codes)
        case Add():
            return add(operator, tensors, codes)
        case Mul():
            return mul(operator, tensors, codes)
        case MaxPool():
            return max_pool(operator, codes)
        case AveragePool():
            return average_pool(operator, tensors, codes)
        case Rescale():
            return rescale(operator, tensors, codes)
        case Concat():
            return concat(operator, tensors, codes)
        case Move():
            return move(operator, codes)
        case Reshape():
            return reshape(operator, tensors, codes)
        case _:
            raise TypeError(f"no reference for operator {operator.type}")


def framed(values: np.ndarray, window: Window, fill: int) -> np.ndarray:
    """The image [N, C, H, W] that a window slides over: stretched, padded with ``fill``, cut."""
    top, left, bottom, right = window.pads
    if window.stretch == (1, 1) and min(window.pads) >= 0:
        pads = ((0, 0), (0, 0), (top, bottom), (left, right))
        return np.pad(values, pads, constant_values=fill)
    sizes = [s * (n - 1) + 1 for n, s in zip(values.shape[2:], window.stretch, strict=True)]
    pad_y, pad_x = ([max(p, 0) for p in window.pads[i::2]] for i in (0, 1))
    height, width = (n + sum(p) for n, p in zip(sizes, (pad_y, pad_x), strict=True))
    image = np.full((*values.shape[:2], height, width), fill, values.dtype)
    rows, cols = (
        slice(p[0], p[0] + n, s)
        for p, n, s in zip((pad_y, pad_x), sizes, window.stretch, strict=True)
    )
    image[:, :, rows, cols] = values
    return image[
        :, :, max(-top, 0) : height - max(-bottom, 0), max(-left, 0) : width - max(-right, 0)
    ]


def windows(values: np.ndarray, window: Window, fill: int) -> np.ndarray:
    """View [N, C, OH, OW, kh, kw] of an array [N, C, H, W] padded with ``fill``."""
    padded = framed(values, window, fill)
    (kh, kw), (dy, dx), (sy, sx) = window.kernel, window.dilation, window.stride
    view = sliding_window_view(padded, (dy * (kh - 1) + 1, dx * (kw - 1) + 1), axis=(2, 3))
    return view[:, :, ::sy, ::sx, ::dy, ::dx]


def conv(operator: Conv, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C10 to C13: acc = bias + sum(w * (x - zx)) over the window and the group's channels."""
    source = codes[operator.input]
    zx, zy = tensors[operator.input].zero_point, tensors[operator.output].zero_point
    # Sums below 2**24 are exact in float32, all others (below 2**53) in float64.
    reach = 255 * int(np.abs(operator.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
    exact = np.float32 if reach < 1 << 24 else np.float64
    weight = operator.weight.astype(exact)
    bias = operator.bias.reshape(1, -1, 1, 1)
    step = max(1, (1 << 18) // (weight[0].size * operator.groups * _positions(operator, source)))
    result = []
    for first in range(0, max(source.shape[0], 1), step):  # pieces that stay in the cache
        centred = source[first : first + step].astype(exact) - exact(zx)
        sums = (_depthwise if weight.shape[1] == 1 else _matrix)(centred, weight, operator)
        acc = sums.astype(np.int64) + bias
        result.append(requantise(acc, operator.scaling, zy, operator.low, operator.high))
    return np.concatenate(result)


def _positions(operator: Conv, source: np.ndarray) -> int:
    height, width = operator.window.output_size(*source.shape[2:])
    return height * width


def _depthwise(centred: np.ndarray, weight: np.ndarray, operator: Conv) -> np.ndarray:
    """Sums [N, C_out, OH, OW] where each output channel reads one input channel."""
    window = operator.window
    out_h, out_w = window.output_size(*centred.shape[2:])
    image = framed(centred, window, 0)  # C11
    # Channels last: the innermost loops are long.
    image = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    image = image.repeat(weight.shape[0] // centred.shape[1], axis=3)
    sums = np.zeros((len(image), out_h, out_w, weight.shape[0]), dtype=centred.dtype)
    (dy, dx), (sy, sx) = window.dilation, window.stride
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            rows = slice(ky * dy, ky * dy + sy * (out_h - 1) + 1, sy)
            columns = slice(kx * dx, kx * dx + sx * (out_w - 1) + 1, sx)
            sums += image[:, rows, columns] * weight[:, 0, ky, kx]
    return sums.transpose(0, 3, 1, 2)


def _matrix(centred: np.ndarray, weight: np.ndarray, operator: Conv) -> np.ndarray:
    """Sums [N, C_out, OH, OW] as matrix products, each over some rows of outputs.

    Of a stretched image, outputs that far apart meet its elements with the same taps; the others
    would add nothing.
    """
    window = operator.window
    view = windows(centred, window, 0)  # C11: padding feeds the zero point
    n, _, out_h, out_w = view.shape[:4]
    sums = np.zeros((n, len(weight), out_h, out_w), dtype=view.dtype)
    for y0, taps_y in _phases(window, 0, out_h):
        for x0, taps_x in _phases(window, 1, out_w):
            every = slice(y0, None, window.stretch[0]), slice(x0, None, window.stretch[1])
            part, target = view[:, :, *every, taps_y, taps_x], sums[:, :, *every]
            rows = max(1, MAX_COLUMNS // max(1, part[:, :, :1].size))
            for y in range(0, part.shape[2], rows):
                block = slice(y, y + rows)
                target[:, :, block] = _product(
                    part[:, :, block], weight[:, :, taps_y, taps_x], operator.groups
                )
    return sums


def _phases(window: Window, axis: int, n_out: int) -> Iterator[tuple[int, slice]]:
    """First outputs, and the taps that meet elements there and at every ``stretch``-th output."""
    stretch, dilation = window.stretch[axis], window.dilation[axis]
    for first in range(min(stretch, n_out)):
        for tap in range(window.kernel[axis]):
            if (first + tap * dilation - window.pads[axis]) % stretch == 0:
                yield first, slice(tap, None, stretch // math.gcd(stretch, dilation))
                break


def _product(view: np.ndarray, weight: np.ndarray, groups: int) -> np.ndarray:
    """Sums [N, C_out, OH, OW] of windows [N, C, OH, OW, kh, kw]: one matrix product per group."""
    n, c_in, out_h, out_w = view.shape[:4]
    per_in, per_out = c_in // groups, len(weight) // groups
    sums = np.empty((len(weight), n * out_h * out_w), dtype=view.dtype)
    for group in range(groups):
        part = view[:, group * per_in : (group + 1) * per_in]
        columns = part.transpose(1, 4, 5, 0, 2, 3).reshape(-1, n * out_h * out_w)
        rows = slice(group * per_out, (group + 1) * per_out)
        sums[rows] = weight[rows].reshape(per_out, -1) @ columns
    return sums.reshape(len(weight), n, out_h, out_w).transpose(1, 0, 2, 3)


def add(operator: Add, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C20 to C22, C29: round((a - za) * ma + (b - zb) * mb), a sum's zero point inside it."""
    a = codes[operator.a].astype(np.int64) - tensors[operator.a].zero_point
    b = codes[operator.b].astype(np.int64) - tensors[operator.b].zero_point
    zy = tensors[operator.output].zero_point
    product = a * operator.multipliers[0] + b * operator.multipliers[1]
    odd = operator.zero_point_inside and bool(zy & 1)
    rounded = round_scaled(product, np.int64(operator.shift), odd=odd)
    return np.clip(rounded + zy, operator.low, operator.high).astype(np.int8)


def mul(operator: Mul, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C27, C28: acc = (a - za) * (b - zb), the zero point inside the rounding.

    A gate's one element counts for its whole channel.
    """
    a = codes[operator.a].astype(np.int64) - tensors[operator.a].zero_point
    b = codes[operator.b].astype(np.int64) - tensors[operator.b].zero_point
    zy = tensors[operator.output].zero_point
    odd = bool(zy & 1)
    return requantise(a * b, operator.scaling, zy, operator.low, operator.high, odd=odd)


def max_pool(operator: MaxPool, codes: Codes) -> np.ndarray:
    """C30, C31: the largest code of the window; padding never wins."""
    view = windows(codes[operator.input], operator.window, CODE_MIN)
    return np.clip(view.max(axis=(4, 5)), operator.low, operator.high).astype(np.int8)


def window_counts(operator: AveragePool, height: int, width: int) -> np.ndarray:
    """C41: number of elements [OH, OW] that each window's sum is divided by."""
    inside = np.ones((1, 1, height, width), dtype=np.int64)
    fill = 1 if operator.include_pad else 0
    return windows(inside, operator.window, fill).sum(axis=(4, 5))[0, 0]


def average_pool(operator: AveragePool, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C40 to C43: sum(x - zx) times s_x / (count * s_y), one factor per count."""
    centred = codes[operator.input].astype(np.int64) - tensors[operator.input].zero_point
    acc = windows(centred, operator.window, 0).sum(axis=(4, 5))
    counts = window_counts(operator, *centred.shape[2:])
    zy = tensors[operator.output].zero_point
    odd = operator.zero_point_inside and bool(zy & 1)
    result = np.empty(acc.shape, dtype=np.int8)
    for count, scaling in zip(operator.counts, operator.scalings, strict=True):
        here = counts == count
        sums = acc[:, :, here][..., None]
        picked = requantise(sums, scaling, zy, operator.low, operator.high, odd=odd)
        result[:, :, here] = picked[..., 0]
    return result


def rescale(operator: Rescale, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C50: the same values at the output's scale and zero point."""
    centred = codes[operator.input].astype(np.int64) - tensors[operator.input].zero_point
    zy = tensors[operator.output].zero_point
    return requantise(centred, operator.scaling, zy, operator.low, operator.high)


def concat(operator: Concat, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C60: each part as ``rescale`` does it, then side by side along the axis."""
    zy = tensors[operator.output].zero_point
    legs = []
    for part, scaling in zip(operator.parts, operator.scalings, strict=True):
        centred = codes[part].astype(np.int64) - tensors[part].zero_point
        legs.append(requantise(centred, scaling, zy, operator.low, operator.high))
    return np.concatenate(legs, axis=1 + operator.axis)


def move(operator: Move, codes: Codes) -> np.ndarray:
    """C65: each output row and column is one of the input's, or the fill."""
    source = codes[operator.input]
    if operator.swap:
        source = source.swapaxes(2, 3)
    rows, cols = np.array(operator.rows), np.array(operator.cols)
    outside = (rows < 0)[:, None] | (cols < 0)
    moved = np.where(outside, np.int8(operator.fill), source[:, :, rows[:, None], cols])
    return np.clip(moved, operator.low, operator.high).astype(np.int8)


def reshape(operator: Reshape, tensors: Mapping[str, Tensor], codes: Codes) -> np.ndarray:
    """C70: the same codes in the same order."""
    source = codes[operator.input]
    return source.reshape(source.shape[0], *tensors[operator.output].shape)
