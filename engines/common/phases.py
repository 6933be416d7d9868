"""Transposed convolutions as phases: each an ordinary convolution that writes every s-th output.

Of a stretched image every s-th row and column holds codes. Outputs that are a multiple of s apart
meet them with the same taps of the kernel, so that those taps alone, as a smaller kernel on the
image as it is, give all of these outputs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.window import Window


@dataclass(frozen=True, kw_only=True)
class Phase:
    """The convolution whose results are the outputs ``y0, y0 + stretch, ...`` of each column
    ``x0, x0 + stretch, ...``."""

    y0: int
    x0: int
    conv: Conv


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One axis of a phase: ``count`` outputs from ``first`` on, and the taps that meet codes.

    The first of the taps reads the image's place -``before`` for the first output.
    """

    first: int
    count: int
    taps: tuple[int, ...]
    dilation: int = 1
    before: int = 0

    def after(self, size: int) -> int:
        """Padding at the end, so that there are as many outputs; negative where it is cut."""
        return self.count + self.dilation * (len(self.taps) - 1) - size - self.before


def phases(conv: Conv, height: int, width: int) -> Iterator[Phase]:
    """The phases of a convolution of an image of that size; itself where nothing is stretched."""
    if conv.window.stretch == (1, 1):
        yield Phase(y0=0, x0=0, conv=conv)
        return
    size = height, width
    rows, cols = (list(_lines(conv.window, axis, size)) for axis in (0, 1))
    for row in rows:
        for col in cols:
            yield Phase(y0=row.first, x0=col.first, conv=_phase(conv, row, col, size))


def _phase(conv: Conv, row: _Line, col: _Line, size: tuple[int, int]) -> Conv:
    weight = conv.weight[:, :, row.taps][:, :, :, col.taps]
    if not weight.size:  # the bias alone: one tap that counts nothing
        row, col = (_Line(first=x.first, count=x.count, taps=(0,)) for x in (row, col))
        weight = np.zeros((*weight.shape[:2], 1, 1), np.int16)
    window = Window(
        kernel=(len(row.taps), len(col.taps)),
        pads=(row.before, col.before, row.after(size[0]), col.after(size[1])),
        dilation=(row.dilation, col.dilation),
    )
    return conv.replace(weight=weight, window=window)


def _lines(window: Window, axis: int, size: tuple[int, int]) -> Iterator[_Line]:
    stretch, dilation, pad = window.stretch[axis], window.dilation[axis], window.pads[axis]
    n_out = window.output_size(*size)[axis]
    for first in range(min(stretch, n_out)):
        places = [first + tap * dilation - pad for tap in range(window.kernel[axis])]
        taps = tuple(tap for tap, place in enumerate(places) if place % stretch == 0)
        yield _Line(
            first=first,
            count=-(-(n_out - first) // stretch),
            taps=taps,
            dilation=dilation // math.gcd(dilation, stretch) if len(taps) > 1 else 1,
            before=-(places[taps[0]] // stretch) if taps else 0,
        )
