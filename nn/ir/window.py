"""Sliding windows over images [N, C, H, W]: sizes, padding, and views for sums over them."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Tensor
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Window(Value):
    """A sliding window: (height, width) pairs; pads are (top, left, bottom, right).

    stretch: the image's rows and columns lie that far apart, with padding between them (a
    transposed convolution). Pads are those of the stretched image; negative ones cut it.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    stretch: tuple[int, int] = (1, 1)

    def _check(self) -> None:
        if min(*self.kernel, *self.stride, *self.dilation, *self.stretch) < 1:
            raise ValueError(f"window out of range: {self}")

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output (height, width) for an input of that size."""
        t, left, b, r = self.pads
        reach_y = self.dilation[0] * (self.kernel[0] - 1) + 1
        reach_x = self.dilation[1] * (self.kernel[1] - 1) + 1
        size_y = (height - 1) * self.stretch[0] + 1 + t + b
        size_x = (width - 1) * self.stretch[1] + 1 + left + r
        return (
            (size_y - reach_y) // self.stride[0] + 1,
            (size_x - reach_x) // self.stride[1] + 1,
        )


def check_window(name: str, window: Window, channels: int, source: Tensor, output: Tensor) -> None:
    """Raise ValueError unless ``output`` has the size that the window gives."""
    expected = (channels, *window.output_size(*source.shape[1:]))
    need(expected == output.shape, f"{name!r}: shape {output.shape}, window gives {expected}")


def check_pool(name: str, window: Window, source: Tensor, output: Tensor) -> None:
    """The same for a pool, which neither stretches nor cuts its image."""
    plain = window.stretch == (1, 1) and min(window.pads) >= 0
    need(plain, f"{name!r}: a pool neither stretches nor cuts")
    check_window(name, window, source.shape[0], source, output)


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
