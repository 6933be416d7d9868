"""Concat along any axis but the batch."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.concat import PendingConcat
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.pending.rescale import rescaled
from weft.nn.onnx.symbols import NO_CLIP, Constant, QuantisedConstant, Real, Symbol
from weft.nn.onnx.views import arrangements, transposed


def concat(node: Node, builder: Builder) -> Symbol:
    """Concat along any axis but the batch."""
    symbols = [builder.symbol(node, index) for index in range(len(node.inputs))]
    constants = [symbol.array for symbol in symbols if isinstance(symbol, Constant)]
    if len(constants) == len(symbols):
        return Constant(array=_joined(node, constants))
    if all(isinstance(symbol, Constant | QuantisedConstant) for symbol in symbols):
        raise ModelError(
            "a Concat of constants is not supported", remedy="fold it beforehand", at=node
        )
    values = [_part(node, builder, index, symbol) for index, symbol in enumerate(symbols)]
    first = values[0].shape
    axis = node.integer("axis", 1)
    perm = _common_axes(builder, values)
    rank = len(first)
    if perm is None or not -rank <= axis < rank or axis % rank == 0 or rank > 4:
        raise ModelError(
            f"attribute 'axis' = {axis} of inputs like {list(first)} is not supported",
            remedy="the channels, height and width of images are, if all are transposed in one way",
            at=node,
        )
    axis %= rank
    if any(_rest(value.shape, axis) != _rest(first, axis) for value in values):
        shapes = ", ".join(str(list(value.shape)) for value in values)
        raise ModelError(
            f"inputs of shapes {shapes}", remedy=f"only axis {axis} may differ", at=node
        )
    total = sum(value.shape[axis] for value in values)
    shape = (*first[:axis], total, *first[axis + 1 :])
    own = tuple(shape[perm.index(i)] for i in range(len(shape)))
    parts = tuple(_name(node, builder, value, perm) for value in values)
    order = transposed(None, own, perm)
    along = perm[axis] - 1
    return PendingConcat(
        origin=node.origin,
        own_shape=own,
        shape=shape,
        order=order,
        parts=parts,
        axis=2 if rank == 3 and along == 1 else along,  # a line's length is the width
    )


def _joined(node: Node, arrays: list[np.ndarray]) -> np.ndarray:
    try:
        return np.concatenate(arrays, axis=node.integer("axis", 1))
    except ValueError as error:  # also where the axis does not exist
        shapes = ", ".join(str(list(array.shape)) for array in arrays)
        raise ModelError(f"constants of shapes {shapes} cannot be joined", at=node) from error


def _part(node: Node, builder: Builder, index: int, symbol: Symbol) -> Real | Pending:
    match symbol:
        case Real() if symbol.clip != NO_CLIP:
            return rescaled(builder, symbol, symbol.origin)
        case Pending():
            return symbol
        case _:
            return builder.real(node, index)


def _common_axes(builder: Builder, values: list[Real | Pending]) -> tuple[int, ...] | None:
    """How all parts were transposed from [N, C, ...], which has to be in one way."""
    rank = len(values[0].shape)
    natural = tuple(range(rank))
    common: list[tuple[int, ...]] | None = None
    for value in values:
        own = value.own_shape if isinstance(value, Pending) else None
        own = own or (1, *builder.tensors[value.tensor].shape)  # pyright: ignore
        found = arrangements(value.order, value.shape, own) if rank == len(own) else []
        if value.order is None and natural not in found:
            found.append(natural)  # another reading of the same elements
        common = found if common is None else [perm for perm in common if perm in found]
    return next(iter(common or ()), None)


def _rest(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _name(
    node: Node, builder: Builder, value: Real | Pending, perm: tuple[int, ...]
) -> str | Pending:
    """The part in the order of its tensor, as an image where it is one already."""
    own = tuple(value.shape[perm.index(i)] for i in range(len(perm)))
    if isinstance(value, Real):
        return image(builder, node, replace(value, shape=own, order=None))
    if value.own_shape != own:
        raise ModelError(
            "an input is reshaped without being quantised: put QuantizeLinear and "
            f"DequantizeLinear between node {value.origin.name!r} and this one",
            at=node,
        )
    return replace(value, shape=own, order=None)
