"""Resize in mode linear by whole factors: a depthwise convolution by whole numbers.

Enlarging by s puts a tent of 2 * s - 1 (or 2 * s) weights on every element of the image: it is a
transposed convolution. At the edges the outermost elements count again.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image, pick
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.views import Picks

CENTRES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
MODES = (*CENTRES, "asymmetric", "align_corners")
MAX_WEIGHT = 255


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One axis: elements that are repeated before and after, the window, and its weights.

    weights: times ``unit`` they are what each element counts.
    """

    edges: tuple[int, int] = (0, 0)
    stretch: int = 1
    stride: int = 1
    pads: tuple[int, int] = (0, 0)
    weights: tuple[int, ...] = (1,)
    unit: Fraction = Fraction(1)


def linear(
    node: Node, builder: Builder, mode: str, sizes: list[tuple[int, int, np.float32]]
) -> PendingConv:
    """The resized image. sizes: of every axis before and after, and its scale."""
    x = builder.real(node, 0)
    if mode not in MODES or len(x.shape) not in (3, 4) or sizes[1][0] != sizes[1][1]:
        raise ModelError(
            f"mode 'linear' of shape {list(x.shape)} with coordinates {mode!r}",
            remedy=f"of height and width with {', '.join(MODES)} is supported",
            at=node,
        )
    source = image(builder, node, x)
    lines = [_line(node, mode, *size) for size in sizes[2:]]
    row, col = lines if len(lines) == 2 else (_Line(), lines[0])
    weight = np.outer(row.weights, col.weights)
    shared = math.gcd(*weight.reshape(-1).tolist())
    window = Window(
        kernel=(weight.shape[0], weight.shape[1]),
        stride=(row.stride, col.stride),
        pads=(row.pads[0], col.pads[0], row.pads[1], col.pads[1]),
        stretch=(row.stretch, col.stretch),
    )
    mixed = window.stretch != (1, 1) and window.stride != (1, 1)
    if weight.max() // shared > MAX_WEIGHT or mixed:
        raise ModelError(
            f"mode 'linear' from {[n for n, _, _ in sizes[2:]]} to {[n for _, n, _ in sizes[2:]]} "
            f"with coordinates {mode!r}",
            remedy="by up to 8 in both directions, or down in both, is supported",
            at=node,
        )
    source = _with_edges(node, builder, source, row, col)
    channels, height, width = builder.tensors[source].shape
    out = window.output_size(height, width)
    shape = (1, channels, *out) if len(x.shape) == 4 else (1, channels, out[1])
    return PendingConv(
        origin=node.origin,
        own_shape=shape,
        shape=shape,
        source=source,
        weight=np.tile(weight // shared, (channels, 1, 1, 1)).astype(np.int16),
        weight_scale=np.array([float(row.unit * col.unit * shared)], np.float32),
        bias=np.zeros(channels, np.int64),
        window=window,
        groups=channels,
    )


def _with_edges(node: Node, builder: Builder, source: str, row: _Line, col: _Line) -> str:
    channels, height, width = builder.tensors[source].shape
    if row.edges == col.edges == (0, 0):
        return source
    rows, cols = (
        tuple(min(max(i, 0), size - 1) for i in range(-line.edges[0], size + line.edges[1]))
        for line, size in ((row, height), (col, width))
    )
    picks = Picks(channels=tuple(range(channels)), rows=rows, cols=cols)
    operator = builder.operator_names.new(f"{node.name}_edges")
    return pick(builder, node.origin, source, picks, f"{node.outputs[0]}_edges", name=operator)


def _line(node: Node, mode: str, before: int, after: int, scale: np.float32) -> _Line:
    """How one axis is resized. Raises ModelError for factors that are not whole."""
    if before == after:
        return _Line()
    factor = Fraction(after, before)
    whole = np.float32(after) / np.float32(before) == scale
    if mode == "align_corners" and before > 1 and after > 1:
        factor, whole = Fraction(after - 1, before - 1), True
    if not whole or 1 not in (factor.numerator, factor.denominator):
        raise ModelError(
            f"mode 'linear' from {before} to {after} with coordinates {mode!r}, which is "
            f"by {factor if whole else f'{scale:g}'}",
            remedy="whole factors are supported, or mode 'nearest'",
            at=node,
        )
    middle = mode in CENTRES and (after > 1 or mode != "pytorch_half_pixel")
    if factor < 1:
        return _smaller(before, after, factor.denominator, middle)
    return _larger(before, after, factor.numerator, middle)


def _smaller(before: int, after: int, factor: int, middle: bool) -> _Line:
    """Of each ``factor`` elements the middle one, or the mean of the two around the middle."""
    two = middle and factor % 2 == 0
    weights = (1, 1) if two else (1,)
    begin = (factor - 1) // 2 if middle else 0
    end = (after - 1) * factor + len(weights) - before + begin
    unit = Fraction(1, len(weights))
    return _Line(stride=factor, pads=(-begin, end), weights=weights, unit=unit)


def _larger(before: int, after: int, factor: int, middle: bool) -> _Line:
    """The tent's weights in units of one part of ``factor``, or of twice as many."""
    shift = Fraction(factor - 1, 2) if middle else Fraction(0)
    first = shift - math.floor(shift) - factor + (1 if shift.denominator == 1 else 0)
    tent = []
    while first + len(tent) < factor:
        tent.append(1 - abs(first + len(tent)) / factor)
    unit = Fraction(1, factor * shift.denominator)
    edges = (1, 1) if middle else (0, 1)
    if (before - 1) * factor + 1 == after:
        edges = (0, 0)  # align_corners: nothing lies beyond the outermost
    begin = int(shift - first) - edges[0] * factor
    stretched = (before + sum(edges) - 1) * factor + 1
    return _Line(
        edges=edges,
        stretch=factor,
        pads=(begin, after - 1 + len(tent) - stretched - begin),
        weights=tuple(int(weight / unit) for weight in tent),
        unit=unit,
    )
