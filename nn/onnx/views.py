"""Views: a tensor's elements in another order, as Transposes leave them.

``order`` lists, for each position of the view, the flat position in the tensor's own [1, C, H, W]
(or in an input's own array); None is the tensor's own order. Shapes change without it.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]
Order = np.ndarray | None


def transposed(order: Order, shape: Shape, perm: tuple[int, ...]) -> Order:
    """The order after a transposition of the view; None again where everything is back in place."""
    count = math.prod(shape)
    natural = np.arange(count)
    own = natural if order is None else order
    result = own.reshape(shape).transpose(perm).reshape(-1)
    return None if np.array_equal(result, natural) else result


def axes_of(order: Order, own_shape: Shape) -> tuple[int, ...] | None:
    """The permutation of the array's own axes that gives the order; None where none does."""
    if order is None:
        return tuple(range(len(own_shape)))
    own = np.arange(math.prod(own_shape)).reshape(own_shape)
    for tail in itertools.permutations(range(1, len(own_shape))):
        if np.array_equal(own.transpose(0, *tail).reshape(-1), order):
            return (0, *tail)
    return None


def arrangements(order: Order, shape: Shape, own_shape: Shape) -> list[tuple[int, ...]]:
    """All ways in which a view may have come about: the own axis of each of its axes.

    Its order alone does not say so where axes have size 1: [1, 1, H, W] turned into [1, H, W, 1]
    has the same elements in the same order. NCHW stands first, then NHWC; a view may do without
    axes of size 1, height and width before channels.
    """
    own = np.arange(math.prod(own_shape)).reshape(own_shape)
    wanted = own.reshape(-1) if order is None else order
    axes = range(1, len(own_shape))
    gone = len(own_shape) - len(shape)
    perms = [axes, (*axes[1:], 1), *itertools.permutations(axes)]
    found = []
    for left_out in itertools.combinations(reversed(axes), gone) if gone >= 0 else ():
        for perm in perms:
            kept = (0, *(axis for axis in perm if axis not in left_out))
            fits = tuple(own_shape[axis] for axis in kept) == shape and own.size == math.prod(shape)
            if fits and np.array_equal(own.transpose(0, *perm).reshape(-1), wanted):
                found.append(kept)
    return list(dict.fromkeys(found))


def same_order(a: Order, b: Order) -> bool:
    """Whether two views of one size put their elements in the same places."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b)


def channels_of(
    places: np.ndarray, own_shape: tuple[int, int, int]
) -> tuple[tuple[int, ...], Order] | None:
    """Some places of a tensor as whole channels of it, and the order of a view of these alone.

    Channels stand in the order in which they are met. None where the places are not whole
    channels, each once.
    """
    size = own_shape[1] * own_shape[2]
    _, firsts = np.unique(places // size, return_index=True)
    channels = (places // size)[np.sort(firsts)]
    if len(channels) * size != len(places) or len(np.unique(places)) != len(places):
        return None
    seat = np.zeros(own_shape[0], np.int64)
    seat[channels] = np.arange(len(channels))
    order = seat[places // size] * size + places % size
    natural = np.array_equal(order, np.arange(len(order)))
    return tuple(int(c) for c in channels), None if natural else order


@dataclass(frozen=True, kw_only=True)
class Picks:
    """Channels, rows and columns of a tensor in any order and number; -1 is one that is filled.

    swap: height and width change places first.
    """

    channels: tuple[int, ...]
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    swap: bool = False

    @property
    def filled(self) -> bool:
        """Whether any of them is."""
        return min(*self.channels, *self.rows, *self.cols) < 0


def picks_of(places: np.ndarray, own_shape: tuple[int, int, int]) -> Picks | None:
    """Places [C', H', W'] of a tensor (or -1) as channels, rows and columns of it.

    None where they are not the same channels all over the image, and the same rows and columns of
    all of them.
    """
    places = places.astype(np.int64)
    filled = places < 0
    parts = np.unravel_index(np.where(filled, 0, places), own_shape)
    channel, row, col = (np.where(filled, -1, part) for part in parts)
    for swap in (False, True):
        y, x = (col, row) if swap else (row, col)
        picked = channel.max(axis=(1, 2)), y.max(axis=(0, 2)), x.max(axis=(0, 1))
        found = np.meshgrid(*picked, indexing="ij")
        outside = np.minimum.reduce(found) < 0
        index = (found[0], found[2], found[1]) if swap else tuple(found)
        flat = np.ravel_multi_index(
            tuple(np.where(outside, 0, item) for item in index), own_shape, mode="clip"
        )
        if np.array_equal(np.where(outside, -1, flat), places) and not (swap and filled.any()):
            lists = [tuple(int(i) for i in item) for item in picked]
            return Picks(channels=lists[0], rows=lists[1], cols=lists[2], swap=swap)
    return None


def per_channel(values: np.ndarray, shape: Shape, own_shape: Shape, order: Order) -> Order:
    """A constant that is broadcast against a view, as one value per channel [C] of its tensor.

    None where it does not fit the view, or is not the same all over a channel.
    """
    try:
        full = np.broadcast_to(values, shape).reshape(-1)
    except ValueError:
        return None
    places = np.arange(full.size) if order is None else order
    channel = places // math.prod(own_shape[2:])
    result = np.zeros(own_shape[1], values.dtype)
    result[channel] = full
    return result if np.array_equal(result[channel], full) else None


def shape_in_words(shape: Shape, own_shape: Shape) -> str:
    """A view's shape, and where the channels do not show in it, how many its tensor has."""
    if shape[1:2] == own_shape[1:2]:
        return str(list(shape))
    return f"{list(shape)}, an image of {own_shape[1]} channels"
