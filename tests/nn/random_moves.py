"""Random operators that move codes and change none: alone, and in chains that undo each other."""

from typing import Any

import numpy as np

from tests.nn.random_build import Build, Codes, Made, moved

Shape = tuple[int, ...]


def _move(b: Build, x: Codes, op: str, shape: Shape, *inputs: str, **attributes: Any) -> Made:
    """One operator on the real values, or on the codes as they are."""
    if shape == x.shape:
        return None
    if b.rng.random() < 0.2 and not x.given:
        return Codes(b.net.node(op, x.name, *inputs, **attributes), shape, x.scale, x.zero, x.dtype)
    y = b.net.node(op, b.real(x), *inputs, **attributes)
    if b.rng.random() < 0.1:  # seldom at another quantisation
        return b.quantised(y, shape, x.spread, x.dtype)
    return b.at(y, shape, x.scale, x.zero, x.dtype)


def _integers(b: Build, *lists: Any) -> list[str]:
    return [b.net.constant(np.atleast_1d(values), "int64") for values in lists]


def _side(b: Build, x: Codes) -> tuple[int, bool]:
    """Rows (1) or columns (2), and whether it is their end."""
    return b.whole(1, 2), bool(b.whole(0, 1))


def sliced(b: Build, x: Codes) -> Made:
    """Some of one axis, each or every other one, seldom backwards."""
    axis = b.whole(0, len(x.shape) - 1)
    size, step = x.shape[axis], b.pick((1, 1, 1, 2, 2, -1))
    start = b.whole(0, size - 1)
    end = b.whole(start + 1, size)
    places = range(size)[start:end:step] if step > 0 else range(start, end)[::-1]
    bounds = (start, end) if step > 0 else (end - 1, start - 1 if start else -size - 1)
    shape = tuple(len(places) if i == axis else n for i, n in enumerate(x.shape))
    return _move(b, x, "Slice", shape, *_integers(b, *bounds, axis + 1, step))


def padded(b: Build, x: Codes) -> Made:
    """Up to two lines more, or one less, at each side."""
    if not x.image:
        return None
    sides = [b.pick((0, 0, 1, 1, 2, -1)) for _ in range(4)]
    height, width = (n + sides[i] + sides[i + 2] for i, n in enumerate(x.shape[1:]))
    mode = b.pick(("constant", "constant", "constant", "edge"))
    if min(height, width) < 1 or any(
        n + min(sides[i], 0) + min(sides[i + 2], 0) < 1 for i, n in enumerate(x.shape[1:])
    ):
        return None
    pads = b.net.constant([0, 0, *sides[:2], 0, 0, *sides[2:]], "int64")
    y = b.net.node("Pad", b.real(x), pads, mode=mode)
    return moved(b, x, y, (x.channels, height, width))


def framed(b: Build, x: Codes) -> Made:
    """One side is cut and then filled, or filled and then cut, with or without codes between."""
    if not x.image:
        return None
    axis, at_end = _side(b, x)
    size = x.shape[axis]
    cut, fill = b.whole(1, 2), b.whole(1, 3)
    fills_first = bool(b.whole(0, 1))
    if cut >= size:
        return None
    pads = [0] * 8
    pads[axis + 1 + 4 * at_end] = fill
    pad, value = b.net.constant(pads, "int64"), b.real(x)
    first = size + fill if fills_first else size
    bounds = (0, first - cut) if at_end else (cut, first)
    for step in (fills_first, not fills_first):
        if step:
            extra = [b.net.constant(b.rng.uniform(-1, 1) * x.spread, "float32")]
            value = b.net.node("Pad", value, pad, *(extra if b.rng.random() < 0.2 else []))
        else:
            value = b.net.node("Slice", value, *_integers(b, *bounds, axis + 1, 1))
        if b.rng.random() < 0.5:
            codes = b.net.q(value, x.scale, x.zero, x.dtype)
            value = b.net.dq(codes, x.scale, x.zero, x.dtype)
    shape = tuple(n + fill - cut if i == axis else n for i, n in enumerate(x.shape))
    return b.at(value, shape, x.scale, x.zero, x.dtype)


def turned(b: Build, x: Codes) -> Made:
    """Height and width exchanged."""
    if not x.image or 1 in x.shape[1:]:
        return None
    channels, height, width = x.shape
    return _move(b, x, "Transpose", (channels, width, height), perm=[0, 1, 3, 2])


def gathered(b: Build, x: Codes) -> Made:
    """Some of an axis in any order, some more than once."""
    if not x.image:
        return None
    axis = b.whole(0, 2)
    count = b.whole(1, x.shape[axis] + 1)
    places = b.rng.integers(0, x.shape[axis], count)
    shape = tuple(count if i == axis else n for i, n in enumerate(x.shape))
    return _move(b, x, "Gather", shape, b.net.constant(places, "int64"), axis=axis + 1)


def tiled(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    axis = b.whole(0, 2)
    repeats = [2 if i == axis else 1 for i in range(3)]
    shape = tuple(n * count for n, count in zip(x.shape, repeats, strict=True))
    return _move(b, x, "Tile", shape, b.net.constant([1, *repeats], "int64"))


def swapped(b: Build, x: Codes) -> Made:
    """An axis in two parts, which change places; perhaps one of them is filled anew."""
    axis = b.whole(0, 2)
    if not x.image or x.shape[axis] < 2:
        return None
    first = b.whole(1, x.shape[axis] - 1)
    sizes = b.net.constant([first, x.shape[axis] - first], "int64")
    name = f"split{len(b.net.nodes)}"
    low = b.net.node("Split", b.real(x), sizes, axis=axis + 1)
    high = f"{name}_high"
    b.net.nodes[-1].output.append(high)
    y = b.net.node("Concat", high, low, axis=axis + 1)
    return b.at(y, x.shape, x.scale, x.zero, x.dtype)


def resized(b: Build, x: Codes) -> Made:
    if not x.image:
        return None
    factors = [b.whole(1, 3), b.whole(1, 3)]
    scales = b.net.constant([1, 1, *factors], "float32")
    mode = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    y = b.net.node("Resize", b.real(x), "", scales, mode="nearest", **mode)
    return moved(b, x, y, (x.channels, x.shape[1] * factors[0], x.shape[2] * factors[1]))


def depth_to_space(b: Build, x: Codes) -> Made:
    if not x.image or x.channels % 4:
        return None
    y = b.net.node("DepthToSpace", b.real(x), blocksize=2, mode=b.pick(("DCR", "CRD")))
    return moved(b, x, y, (x.channels // 4, 2 * x.shape[1], 2 * x.shape[2]))


def space_to_depth(b: Build, x: Codes) -> Made:
    if not x.image or x.shape[1] % 2 or x.shape[2] % 2:
        return None
    y = b.net.node("SpaceToDepth", b.real(x), blocksize=2)
    return moved(b, x, y, (4 * x.channels, x.shape[1] // 2, x.shape[2] // 2))


KINDS = (
    sliced, padded, framed, turned, gathered, tiled, swapped, resized, depth_to_space,
    space_to_depth,
)  # fmt: skip
