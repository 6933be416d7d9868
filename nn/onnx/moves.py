"""Channels, rows and columns in another order and number: what moves codes and changes none.

Slice, Split, Pad, Resize and their like say per axis of a view which of its places they take; here
these become picks of the tensor's own axes (``weft.nn.onnx.views``), and one Move and one 1x1
convolution at most.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.builder import MAX_CODES, Builder
from weft.nn.onnx.images import pick
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.move import PendingMove
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.pending.rescale import rescaled
from weft.nn.onnx.symbols import Codes, Constant, Real, Symbol, chw
from weft.nn.onnx.views import Order, Shape, arrangements, picks_of, transposed

Places = Sequence[Sequence[int]]
"""For each axis of a view, which of its places are taken; -1 is filled."""


def moved(
    node: Node, builder: Builder, symbol: Symbol, places: Places, name: str, fill: float = 0.0
) -> Symbol:
    """A node's first input at these places, in a tensor ``name``.

    fill: a code of the model's own type for codes, else a real number.
    Raises ModelError where rows, columns and channels are mixed up.
    """
    shape = tuple(len(line) for line in places)
    if math.prod(shape) > MAX_CODES:
        raise ModelError(
            f"a result of {math.prod(shape):,} elements {list(shape)}",
            remedy=f"at most {MAX_CODES:,} are supported",
            at=node,
        )
    if isinstance(symbol, Constant):
        return Constant(array=_filled(symbol.array, places, fill))
    value = symbol if isinstance(symbol, Codes | Real | Pending) else builder.real(node, 0)
    if list(places) == [list(range(size)) for size in value.shape]:
        return value
    own = _own_shape(node, builder, value)
    perm = _axes(value, own)
    taken = _taken(value.order, value.shape, places)
    image = None if perm is None or not taken.size else _image(taken, perm)
    picks = None if image is None else picks_of(image, own)
    if perm is None or image is None or picks is None:
        raise ModelError(
            f"takes {list(taken.shape)} out of {list(value.shape)}, which are not the same rows "
            "and columns of whole channels",
            remedy="only such parts are supported",
            at=node,
        )
    order = _order(image.shape, perm)
    code = None if isinstance(value, Pending) else _code(builder, value, fill)
    if isinstance(value, Real) and picks.filled and code is None:
        value = rescaled(builder, value, node.origin)
    if isinstance(value, Pending):
        return PendingMove(
            origin=node.origin,
            own_shape=(1, *image.shape),
            shape=shape,
            order=order,
            source=replace(value, shape=value.own_shape, order=None),
            picks=picks,
            fill=fill,
        )
    tensor = pick(builder, node.origin, value.tensor, picks, f"{name}_codes", code or 0)
    return replace(value, tensor=tensor, shape=shape, order=order)


def _own_shape(node: Node, builder: Builder, value: Codes | Real | Pending) -> tuple[int, int, int]:
    if not isinstance(value, Pending):
        return builder.tensors[value.tensor].shape
    own = chw(value.own_shape)
    if own is None:
        raise ModelError(
            f"input of {len(value.shape)} dimensions", remedy="at most 4 are supported", at=node
        )
    return own


def _axes(value: Codes | Real | Pending, own: tuple[int, int, int]) -> tuple[int, ...] | None:
    """Which of the tensor's axes each axis of the view is; those of [N, C, H, W] where none is."""
    rank = len(value.shape)
    found = arrangements(value.order, value.shape, (1, *own))
    return found[0] if found else {2: (0, 1), 3: (0, 1, 3), 4: (0, 1, 2, 3)}.get(rank)


def _taken(order: Order, shape: Shape, places: Places) -> np.ndarray:
    """Where in the tensor the view's places are, -1 where it is filled."""
    own = np.arange(math.prod(shape)) if order is None else order
    return _filled(own.reshape(shape), places, -1)


def _filled(array: np.ndarray, places: Places, fill: float) -> np.ndarray:
    """An array's elements at these places of each axis."""
    for axis, line in enumerate(places):
        index = np.array(line, np.int64)
        filled = (index < 0).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
        taken = np.take(array, np.maximum(index, 0), axis=axis)
        array = np.where(filled, np.array(fill, array.dtype), taken)
    return array


def _image(taken: np.ndarray, perm: tuple[int, ...]) -> np.ndarray:
    """[C, H, W] of places in a view's order."""
    full = [1, 1, 1, 1]
    for axis, size in zip(perm, taken.shape, strict=True):
        full[axis] = size
    return taken.transpose(np.argsort(perm)).reshape(full)[0]


def _order(image: Shape, perm: tuple[int, ...]) -> Order:
    """The order of a view of a whole image [C, H, W]."""
    kept = tuple((1, *image)[axis] for axis in sorted(perm))
    return transposed(None, kept, tuple(int(i) for i in np.argsort(np.argsort(perm))))


def _code(builder: Builder, value: Codes | Real, fill: float) -> int | None:
    """The code that means ``fill``; None where none does, or a clamp would change it."""
    own = builder.quantisations[value.tensor]
    if isinstance(value, Codes):
        return int(fill) - own.offset
    code = round(fill / own.scale) + own.zero_point if np.isfinite(fill) else 1 << 10
    real = np.float32(code - own.zero_point) * np.float32(own.scale)
    fits = CODE_MIN <= code - own.offset <= CODE_MAX and real == np.float32(fill)
    return code - own.offset if fits and value.clip.low <= fill <= value.clip.high else None
