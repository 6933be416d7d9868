"""Gather and Tile: places of one dimension, or of all, in any order and number."""

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.moves import moved
from weft.nn.onnx.symbols import Constant, Symbol

MAX_REPEATS = 1 << 10


def gather(node: Node, builder: Builder) -> Symbol:
    """Gather by constant indices, along any dimension but the batch."""
    value, indices = builder.symbol(node, 0), _integers(node, builder, 1)
    rank, axis = len(value.shape), node.integer("axis", 0)
    if not -rank <= axis < rank:
        raise ModelError(f"attribute 'axis' = {axis} does not exist in {rank} dimensions", at=node)
    axis, size = axis % rank, value.shape[axis]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise ModelError(f"indices {indices.min()} to {indices.max()} of {size}", at=node)
    if isinstance(value, Constant):
        return Constant(array=np.take(value.array, indices, axis=axis))
    if axis == 0 or indices.ndim != 1 or not indices.size:
        raise ModelError(
            f"indices of shape {list(indices.shape)} along dimension {axis}",
            remedy="a list of them, along a dimension behind the batch, is supported",
            at=node,
        )
    places = [list(range(n)) for n in value.shape]
    places[axis] = [int(i) % size for i in indices]
    return moved(node, builder, value, places, node.outputs[0])


def tile(node: Node, builder: Builder) -> Symbol:
    """Tile by constant repeats; the batch stays."""
    value, repeats = builder.symbol(node, 0), _integers(node, builder, 1)
    fits = repeats.shape == (len(value.shape),) and repeats.size and repeats.min() >= 1
    if not fits or (repeats[0] != 1 and not isinstance(value, Constant)):
        raise ModelError(
            f"repeats {repeats.tolist()} of {list(value.shape)}",
            remedy="one of 1 or more for each dimension, 1 for the batch, is supported",
            at=node,
        )
    if max(repeats) > MAX_REPEATS:
        raise ModelError(
            f"repeats {repeats.tolist()}", remedy=f"up to {MAX_REPEATS} are supported", at=node
        )
    places = [list(range(n)) * int(count) for n, count in zip(value.shape, repeats, strict=True)]
    return moved(node, builder, value, places, node.outputs[0])


def _integers(node: Node, builder: Builder, index: int) -> np.ndarray:
    value = builder.symbol(node, index)
    if not isinstance(value, Constant) or value.array.dtype.kind != "i":
        raise ModelError(f"input {node.input(index)!r} must be constant integers", at=node)
    return value.array.astype(np.int64)
