"""Resize by the nearest element: which row or column each output takes is known at import.

Ref: ONNX Runtime, core/providers/cpu/tensor/upsamplebase.h: coordinates are float32 numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.linear import linear
from weft.nn.onnx.model import Node
from weft.nn.onnx.moves import moved
from weft.nn.onnx.symbols import Constant, Symbol

MAX_SIZE = 1 << 16
HALF = np.float32(0.5)
TIE = 1e-6  # ONNX Runtime takes what is that near to a half as one
EXTRAPOLATED = "tf_crop_and_resize"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: sizes before and after, the scale, and the region that is taken (0..1: all)."""

    before: int
    after: int
    scale: np.float32
    region: tuple[float, float] = (0.0, 1.0)


def _align_corners(x: np.ndarray, axis: Axis) -> np.ndarray:
    if axis.after == 1:
        return np.zeros_like(x)
    return x * np.float32(axis.before - 1) / np.float32(axis.after - 1)


def _half_pixel_symmetric(x: np.ndarray, axis: Axis) -> np.ndarray:
    adjustment = np.float32(axis.after) / (axis.scale * np.float32(axis.before))
    offset = np.float32(axis.before) / 2 * (1 - adjustment)
    # ONNX Runtime rounds to float32 only here.
    exact = float(offset) + (x.astype(np.float64) + 0.5) / float(axis.scale) - 0.5
    return exact.astype(np.float32)


def _crop_and_resize(x: np.ndarray, axis: Axis) -> np.ndarray:
    start, end = (np.float32(edge) for edge in axis.region)
    last = np.float32(axis.before - 1)
    if axis.after == 1:
        return np.full_like(x, HALF * (start + end) * last)
    return start * last + x * (end - start) * last / np.float32(axis.after - 1)


COORDINATES: dict[str, Callable[[np.ndarray, Axis], np.ndarray]] = {
    "half_pixel": lambda x, axis: (x + HALF) / axis.scale - HALF,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda x, axis: (
        (x + HALF) / axis.scale - HALF if axis.after > 1 else np.zeros_like(x)
    ),
    "align_corners": _align_corners,
    "asymmetric": lambda x, axis: x / axis.scale,
    "tf_half_pixel_for_nn": lambda x, axis: (x + HALF) / axis.scale,
    EXTRAPOLATED: _crop_and_resize,
}
NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x.astype(np.float64) - 0.5 - TIE),
    "round_prefer_ceil": lambda x: np.floor(x.astype(np.float64) + 0.5 + TIE),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(node: Node, builder: Builder) -> Symbol:
    """Resize in mode nearest by any factors, in mode linear by whole ones."""
    value = builder.symbol(node, 0)
    mode = node.text("mode", "nearest")
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    coordinates = coordinates if builder.opset >= 11 else "asymmetric"
    constant = isinstance(value, Constant) and mode == "linear"
    if mode not in ("nearest", "linear") or node.integer("antialias", 0) or constant:
        raise ModelError(
            f"{_words(node, mode, coordinates)}{' of a constant' if constant else ''} is not "
            "supported",
            remedy="modes 'nearest' and 'linear' without antialias are",
            at=node,
        )
    axes = _axes(node, builder, value.shape)
    if coordinates != EXTRAPOLATED and all(axis.before == axis.after for axis in axes):
        return value  # whatever the scale, ONNX Runtime only copies
    if mode == "linear":
        sizes = [(axis.before, axis.after, axis.scale) for axis in axes]
        return linear(node, builder, coordinates, sizes)
    places = [_places(node, builder, axis) for axis in axes]
    fill = node.number("extrapolation_value", 0.0)
    return moved(node, builder, value, places, node.outputs[0], fill)


def _words(node: Node, mode: str, coordinates: str) -> str:
    """All that decides what is computed, for refusals."""
    words = [f"coordinates {coordinates!r}"]
    if mode == "cubic":
        words.append(f"cubic_coeff_a = {node.number('cubic_coeff_a', -0.75):g}")
    if mode == "nearest":
        words.append(f"nearest_mode {node.text('nearest_mode', 'round_prefer_floor')!r}")
    if node.integer("antialias", 0):
        words.append("antialias = 1")
    return f"mode {mode!r} with {', '.join(words)}"


def _places(node: Node, builder: Builder, axis: Axis) -> list[int]:
    """The element that each output takes; -1 outside of what is there to be taken."""
    mode = node.text("coordinate_transformation_mode", "half_pixel")
    if builder.opset < 11:
        mode = "asymmetric"
    if mode not in COORDINATES:
        raise ModelError(
            f"attribute 'coordinate_transformation_mode' is {mode!r}",
            remedy=f"{', '.join(COORDINATES)} are supported",
            at=node,
        )
    if axis.scale == 1:  # ONNX Runtime takes no region of such an axis
        return list(range(axis.before))
    with np.errstate(over="ignore", invalid="ignore"):
        x = COORDINATES[mode](np.arange(axis.after, dtype=np.float32), axis)
    if not np.isfinite(x).all():
        raise ModelError(f"the region {list(axis.region)} is not one of finite numbers", at=node)
    places = np.clip(_nearest(node, builder, axis)(x), 0, axis.before - 1)
    if mode == EXTRAPOLATED:
        places = np.where((x < 0) | (x > axis.before - 1), -1, places)
    return [int(place) for place in places]


def _nearest(node: Node, builder: Builder, axis: Axis) -> Callable[[np.ndarray], np.ndarray]:
    if builder.opset < 11:
        return np.ceil if axis.scale < 1 else np.floor
    name = node.text("nearest_mode", "round_prefer_floor")
    if name not in NEAREST:
        raise ModelError(
            f"attribute 'nearest_mode' is {name!r}",
            remedy=f"{', '.join(NEAREST)} are supported",
            at=node,
        )
    return NEAREST[name]


def _axes(node: Node, builder: Builder, shape: tuple[int, ...]) -> list[Axis]:
    """Every axis of the input, as scales or sizes of some of them have it."""
    old = builder.opset < 11
    sizes = None if old else _constant(node, builder, 3)
    scales = _constant(node, builder, 1 if old else 2)
    region = None if old else _constant(node, builder, 1)
    rank = len(shape)
    chosen = node.integers("axes") or tuple(range(rank))
    given = scales if sizes is None else sizes
    fits = given is not None and len(given) == len(chosen)
    fits = fits and len({axis % rank for axis in chosen if -rank <= axis < rank}) == len(chosen)
    if given is None or not fits or (sizes is not None and scales is not None):
        raise ModelError(
            f"constant scales or sizes, one for each of {list(chosen)}, are needed", at=node
        )
    crops = node.text("coordinate_transformation_mode", "") == EXTRAPOLATED
    if crops and (region is None or len(region) != 2 * len(chosen)):
        raise ModelError(f"a region of {2 * len(chosen)} constants is needed", at=node)
    axes = [Axis(before=n, after=n, scale=np.float32(1)) for n in shape]
    wanted = _factors(node, [shape[axis] for axis in chosen], scales, sizes)
    for index, (axis, (after, scale)) in enumerate(zip(chosen, wanted, strict=True)):
        if not 1 <= after <= MAX_SIZE or not np.isfinite(scale) or scale <= 0:
            raise ModelError(
                f"resizes {shape[axis]} to {after}", remedy=f"1 to {MAX_SIZE} is supported", at=node
            )
        edges = (0.0, 1.0)
        if crops and region is not None:
            edges = float(region[index]), float(region[index + len(chosen)])
        batch = axis % rank == 0 and not isinstance(builder.symbol(node, 0), Constant)
        if not batch:
            axes[axis] = Axis(before=shape[axis], after=after, scale=scale, region=edges)
        elif after not in (1, builder.batch):
            raise ModelError(
                "resizes the batch", remedy="only dimensions behind it are supported", at=node
            )
    return axes


def _factors(
    node: Node, before: list[int], scales: np.ndarray | None, sizes: np.ndarray | None
) -> list[tuple[int, np.float32]]:
    """New size and scale of each axis."""
    if sizes is None:
        assert scales is not None
        factors = [np.float32(scale) for scale in scales]
        with np.errstate(over="ignore", invalid="ignore"):
            return [(_whole(s * np.float32(n)), s) for n, s in zip(before, factors, strict=True)]
    factors = [np.float32(size) / np.float32(n) for n, size in zip(before, sizes, strict=True)]
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return list(zip([int(size) for size in sizes], factors, strict=True))
    if policy not in ("not_larger", "not_smaller"):
        raise ModelError(f"attribute 'keep_aspect_ratio_policy' is {policy!r}", at=node)
    one = min(factors) if policy == "not_larger" else max(factors)
    return [(_whole(np.floor(one * np.float32(n) + HALF)), one) for n in before]


def _whole(size: np.float32) -> int:
    return int(size) if np.isfinite(size) else 0


def _constant(node: Node, builder: Builder, index: int) -> np.ndarray | None:
    """A constant input; None where it is left out or empty."""
    if not node.input(index):
        return None
    value = builder.symbol(node, index)
    if not isinstance(value, Constant):
        raise ModelError(
            f"input {node.input(index)!r} is computed at run time",
            remedy="export with fixed sizes",
            at=node,
        )
    return value.array.reshape(-1) if value.array.size else None
