"""Conv: 2-D convolution with constant weights; fully connected layers, too."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.numerics import Scaling, check_scaling, requantise
from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Codes, Tensors
from weft.nn.ir.window import Window, check_window, framed, windows

MAX_COLUMNS = 1 << 22
"""Elements of the windows that are copied for one matrix product."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Operator):
    """2-D convolution; a fully connected layer is a 1x1 convolution on a 1x1 image.

    weight: int16 [C_out, C_in / groups, kh, kw], zero point already subtracted (so -255..255);
    bias: int64 [C_out], at scale s_x * s_w[c]; scaling: s_x * s_w[c] / s_y per output channel.
    Padding feeds the input's zero point.
    """

    type: ClassVar[str] = "Conv"
    input: str
    weight: np.ndarray
    bias: np.ndarray
    scaling: Scaling
    window: Window
    groups: int = 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, tensors: Tensors) -> None:
        name, source, output = self.name, tensors[self.input], tensors[self.output]
        c_out, per_group, kh, kw = self.weight.shape
        need(self.weight.dtype == "int16", f"{name!r}: weights must be int16")
        need(abs(self.weight.astype(int)).max() <= 255, f"{name!r}: weights beyond 9 bits")
        need(self.bias.dtype == "int64" and self.bias.shape == (c_out,), f"{name!r}: bias")
        need(
            self.groups >= 1
            and c_out % self.groups == 0
            and source.shape[0] == per_group * self.groups,
            f"{name!r}: channels and groups do not fit",
        )
        need(self.window.kernel == (kh, kw), f"{name!r}: kernel and weights differ")
        need(output.shape[0] == c_out, f"{name!r}: output channels")
        plain = self.window.stretch == (1, 1) or self.window.stride == (1, 1)
        need(plain, f"{name!r}: a window both stretched and with strides")
        check_window(name, self.window, c_out, source, output)
        check_scaling(name, self.scaling, c_out)

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C10 to C13: acc = bias + sum(w * (x - zx)) over the window and the group's channels."""
        source = codes[self.input]
        zx, zy = tensors[self.input].zero_point, tensors[self.output].zero_point
        # Sums below 2**24 are exact in float32, all others (below 2**53) in float64.
        reach = 255 * int(np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        exact = np.float32 if reach < 1 << 24 else np.float64
        weight = self.weight.astype(exact)
        bias = self.bias.reshape(1, -1, 1, 1)
        height, width = self.window.output_size(*source.shape[2:])
        step = max(1, (1 << 18) // (weight[0].size * self.groups * height * width))
        result = []
        for first in range(0, max(source.shape[0], 1), step):  # pieces that stay in the cache
            centred = source[first : first + step].astype(exact) - exact(zx)
            sums = (_depthwise if weight.shape[1] == 1 else _matrix)(centred, weight, self)
            acc = sums.astype(np.int64) + bias
            result.append(requantise(acc, self.scaling, zy, self.low, self.high))
        return np.concatenate(result)

    def bounds(self, tensors: Tensors, low: Codes, high: Codes) -> tuple[np.ndarray, np.ndarray]:
        """Least with low codes under positive weights and high ones under negative weights."""
        return self._bound(tensors, low, high), self._bound(tensors, high, low)

    def _bound(self, tensors: Tensors, positive: Codes, negative: Codes) -> np.ndarray:
        """The codes where positive weights read one set of codes and negative ones the other."""
        weight = np.concatenate([np.maximum(self.weight, 0), np.minimum(self.weight, 0)], axis=1)
        size = positive[self.input].shape[2:]
        sides = [
            side[self.input].reshape(1, self.groups, -1, *size) for side in (positive, negative)
        ]
        codes = np.concatenate(sides, axis=2).reshape(1, -1, *size)
        return self.replace(weight=weight).compute(tensors, {self.input: codes})


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
