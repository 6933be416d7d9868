"""Slice and Split: channels picked by a 1x1 convolution, rows and columns by a Move."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import select
from weft.nn.onnx.model import Node
from weft.nn.onnx.moves import moved
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Codes, Constant, QuantisedConstant, Real, Symbol
from weft.nn.onnx.views import axes_of, channels_of

Picks = tuple[slice, ...]


def slice_(node: Node, builder: Builder) -> Symbol:
    """Slice behind the batch, in any order that a step gives."""
    value = builder.symbol(node, 0)
    return _picked(node, builder, value, _ranges(node, builder, value.shape), node.outputs[0])


def split(node: Node, builder: Builder) -> Symbol:
    """Split behind the batch. All of its outputs become known to the builder."""
    value = builder.symbol(node, 0)
    rank, axis = len(value.shape), node.integer("axis", 0)
    if not -rank <= axis < rank:
        raise ModelError(f"attribute 'axis' = {axis} does not exist in {rank} dimensions", at=node)
    axis %= rank
    begin, parts = 0, []
    least = 0 if isinstance(value, Constant) else 1
    sizes = _sizes(node, builder, value.shape[axis], least)
    for size, name in zip(sizes, node.outputs, strict=True):
        picks = tuple(slice(begin, begin + size) if i == axis else slice(None) for i in range(rank))
        if name in builder.wanted:
            builder.symbols[name] = _picked(node, builder, value, picks, name)
        parts.append(picks)
        begin += size
    # The first one is made even where nobody reads it: a pass drops it again.
    first = node.outputs[0]
    return builder.symbols.get(first) or _picked(node, builder, value, parts[0], first)


def _sizes(node: Node, builder: Builder, length: int, least: int) -> list[int]:
    """How long each part is, as the attribute of old opsets, the input or the number has it."""
    count = len(node.outputs)
    given = node.integers("split")
    if given is None and node.input(1):
        given = _integers(node, builder, 1)
    if given is None:  # the last part is the smaller one where they cannot be equal
        each = -(-length // count)
        given = (*[each] * (count - 1), length - each * (count - 1))
    if len(given) != count or min(given, default=0) < least or sum(given) != length:
        raise ModelError(
            f"parts of {list(given)} do not make {length} with {count} outputs",
            remedy="every part needs at least one",
            at=node,
        )
    return list(given)


def _ranges(node: Node, builder: Builder, shape: tuple[int, ...]) -> Picks:
    """What is taken of each dimension."""
    rank = len(shape)
    if node.input(1):
        starts, ends = _integers(node, builder, 1), _integers(node, builder, 2)
        axes = _integers(node, builder, 3) if node.input(3) else None
        steps = _integers(node, builder, 4) if node.input(4) else None
    else:  # before opset 10
        starts, ends = node.integers("starts") or (), node.integers("ends") or ()
        axes, steps = node.integers("axes"), None
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    distinct = {axis % rank for axis in axes} if rank else set()
    if (
        len({len(starts), len(ends), len(axes), len(steps), len(distinct)}) != 1
        or not all(-rank <= axis < rank for axis in axes)
        or 0 in steps
    ):
        raise ModelError(
            f"starts {list(starts)}, ends {list(ends)}, axes {list(axes)} and steps {list(steps)} "
            f"do not describe a part of {list(shape)}",
            at=node,
        )
    picks = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        picks[axis % rank] = _range(start, end, step, shape[axis % rank])
    return tuple(picks)


def _range(start: int, end: int, step: int, length: int) -> slice:
    """ONNX's clamping of a range; Python's differs where a negative end lies before the start."""
    start, end = (place + length if place < 0 else place for place in (start, end))
    if step > 0:
        return slice(max(start, 0), max(end, 0), step)
    last = None if end < 0 else end
    return slice(min(max(start, 0), length - 1), last, step)


def _picked(node: Node, builder: Builder, value: Symbol, picks: Picks, name: str) -> Symbol:
    if isinstance(value, Constant):
        return Constant(array=value.array[picks])
    if isinstance(value, QuantisedConstant):
        raise ModelError(
            "a part of a quantised constant is not supported", remedy="fold it", at=node
        )
    if not isinstance(value, Codes | Real | Pending):
        value = builder.real(node, 0)  # a clamp may stay: it does not move anything
    lines = [list(range(size)[pick]) for size, pick in zip(value.shape, picks, strict=True)]
    if isinstance(value, Pending) and all(lines) and len(lines[0]) == 1:
        return moved(node, builder, value, lines, name)
    if isinstance(value, Pending):
        value = builder.real(node, 0)
    count = int(np.prod(value.shape))
    places = np.arange(count) if value.order is None else value.order
    part = places.reshape(value.shape)[picks]
    if part.size == count and np.array_equal(part.reshape(-1), places):
        return value
    own = builder.tensors[value.tensor].shape
    if not part.size or part.shape[0] != 1:
        raise ModelError(
            f"takes {list(part.shape)} out of {list(value.shape)}",
            remedy="the batch stays, and something of all dimensions",
            at=node,
        )
    found = channels_of(part.reshape(-1), own)
    turned = found is not None and axes_of(found[1], (1, len(found[0]), *own[1:])) is None
    if found is None or (turned and part.ndim <= 4):
        return moved(node, builder, value, lines, name)
    channels, order = found
    tensor = select(builder, node.origin, value.tensor, channels, f"{name}_codes")
    return replace(value, tensor=tensor, shape=part.shape, order=order)


def _integers(node: Node, builder: Builder, index: int) -> tuple[int, ...]:
    value = builder.symbol(node, index)
    if not isinstance(value, Constant) or value.array.dtype.kind != "i":
        raise ModelError(f"input {node.input(index)!r} must be constant integers", at=node)
    return tuple(int(item) for item in value.array.reshape(-1))
