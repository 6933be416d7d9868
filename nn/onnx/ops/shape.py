"""Operators that only move or rename values, and constant folding."""

import math
from dataclasses import replace

import numpy as np
import onnx

from weft.errors import ModelError
from weft.nn.ir.host_steps import CastStep, ReshapeStep, TransposeStep
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import TYPE_NAMES, Node, to_array
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import (
    Codes,
    Constant,
    HostInput,
    HostResult,
    QuantisedConstant,
    Real,
    Symbol,
)
from weft.nn.onnx.views import Shape, transposed

INDEX_TYPES = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
CAST_TYPES = ("float", "int8", "uint8", "int16", "int32", "int64", "bool")


def constant(node: Node, builder: Builder) -> Constant:
    """Constant with any of its value attributes."""
    for name, value in node.attributes.items():
        match value:
            case onnx.TensorProto() if name == "value":
                return Constant(array=to_array(node.outputs[0], value))
            case float() | [float(), *_]:
                return Constant(array=np.array(value, np.float32))
            case int() | [int(), *_]:
                return Constant(array=np.array(value, np.int64))
    raise ModelError("only constants of numbers are supported", at=node)


def cast(node: Node, builder: Builder) -> Symbol:
    """Cast of a constant, or of an accumulator (ConvInteger's) to float."""
    value = builder.symbol(node, 0)
    if isinstance(value, PendingConv) and node.integer("to", 0) == onnx.TensorProto.FLOAT:
        return value
    if isinstance(value, HostResult):
        return _cast_index(node, value)
    if not isinstance(value, Constant):
        raise ModelError(
            "a Cast of an activation is not supported", remedy="of a constant it is", at=node
        )
    kind = TYPE_NAMES.get(node.integer("to", 0), "unknown")
    if kind not in CAST_TYPES:
        raise ModelError(
            f"attribute 'to' is {kind}", remedy=f"supported are {', '.join(CAST_TYPES)}", at=node
        )
    with np.errstate(invalid="ignore", over="ignore"):
        return Constant(array=value.array.astype("float32" if kind == "float" else kind))


def identity(node: Node, builder: Builder) -> Symbol:
    """Identity, and Dropout, which does nothing at inference."""
    return builder.symbol(node, 0)


def dropout(node: Node, builder: Builder) -> Symbol:
    """Dropout outside training."""
    if node.input(2):
        mode = builder.symbol(node, 2)
        if not isinstance(mode, Constant) or np.any(mode.array):
            raise ModelError("Dropout in training mode is not supported", at=node)
    return builder.symbol(node, 0)


def reshape(node: Node, builder: Builder) -> Symbol:
    """Reshape to a constant shape; the batch stays in front."""
    value = builder.symbol(node, 0)
    wanted = builder.symbol(node, 1)
    if not isinstance(wanted, Constant) or wanted.array.dtype != np.int64:
        raise ModelError(
            f"shape {node.input(1)!r} must be a constant of int64",
            remedy="export with fixed shapes",
            at=node,
        )
    target = [int(size) for size in wanted.array.reshape(-1)]
    shape = value.shape
    if not node.integer("allowzero", 0):
        target = [
            shape[i] if size == 0 and i < len(shape) else size for i, size in enumerate(target)
        ]
    is_activation = not isinstance(value, Constant | QuantisedConstant)
    if is_activation and target and target[0] == builder.batch:
        target[0] = 1
    known = math.prod(size for size in target if size != -1)
    total = math.prod(shape)
    if target.count(-1) == 1 and known > 0 and total % known == 0:
        target = [total // known if size == -1 else size for size in target]
    if min(target, default=1) < 0 or math.prod(target) != total:
        raise ModelError(f"{list(shape)} cannot be reshaped to {wanted.array.tolist()}", at=node)
    return _view(node, value, tuple(target))


def flatten(node: Node, builder: Builder) -> Symbol:
    """Flatten behind the batch."""
    value = builder.symbol(node, 0)
    rank = len(value.shape)
    axis = node.integer("axis", 1)
    if not -rank <= axis <= rank:
        raise ModelError(f"attribute 'axis' = {axis} does not exist in {rank} dimensions", at=node)
    axis = axis + rank if axis < 0 else axis
    if axis < 1 and not isinstance(value, Constant | QuantisedConstant):
        raise ModelError(
            "attribute 'axis' = 0 takes in the batch", remedy="1 is supported", at=node
        )
    shape = (math.prod(value.shape[:axis]), math.prod(value.shape[axis:]))
    return _view(node, value, shape)


def squeeze(node: Node, builder: Builder) -> Symbol:
    """Squeeze of dimensions of size 1 behind the batch."""
    value = builder.symbol(node, 0)
    axes = _axes(node, builder, len(value.shape))
    if axes is None:
        axes = [axis for axis, size in enumerate(value.shape) if size == 1]
    if any(value.shape[axis] != 1 for axis in axes):
        raise ModelError(f"axes {axes} of {list(value.shape)} are not all of size 1", at=node)
    shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    if 0 in axes and not isinstance(value, Constant | QuantisedConstant):
        raise ModelError("squeezes the batch away", remedy="name the axes to squeeze", at=node)
    return _view(node, value, shape)


def unsqueeze(node: Node, builder: Builder) -> Symbol:
    """Unsqueeze behind the batch."""
    value = builder.symbol(node, 0)
    given = node.integers("axes")
    count = len(given) if given is not None else math.prod(builder.symbol(node, 1).shape)
    rank = len(value.shape) + count
    axes = _axes(node, builder, rank)
    if axes is None or len(set(axes)) != count:
        raise ModelError(f"axes {axes} are not {count} different dimensions", at=node)
    if 0 in axes and not isinstance(value, Constant | QuantisedConstant):
        raise ModelError(
            "puts a dimension before the batch", remedy="axes from 1 are supported", at=node
        )
    sizes = iter(value.shape)
    return _view(node, value, tuple(1 if i in axes else next(sizes) for i in range(rank)))


def transpose(node: Node, builder: Builder) -> Symbol:
    """Transpose: of an activation, another view of it, which whoever reads it has to follow."""
    value = builder.symbol(node, 0)
    rank = len(value.shape)
    perm = node.integers("perm") or tuple(range(rank))[::-1]
    if sorted(perm) != list(range(rank)):
        raise ModelError(f"attribute 'perm' {list(perm)} does not fit {rank} dimensions", at=node)
    match value:
        case Constant():
            return Constant(array=value.array.transpose(perm))
        case QuantisedConstant():
            return replace(
                value,
                codes=value.codes.transpose(perm),
                scale=value.scale.transpose(perm) if value.scale.ndim else value.scale,
                zero_point=(
                    value.zero_point.transpose(perm) if value.zero_point.ndim else value.zero_point
                ),
            )
    if perm[0] != 0:
        raise ModelError(
            f"attribute 'perm' {list(perm)} moves the batch",
            remedy="perms that leave it in front are supported",
            at=node,
        )
    shape = tuple(value.shape[axis] for axis in perm)
    if isinstance(value, HostResult):
        step = TransposeStep(axes=perm)
        return replace(value, shape=shape, steps=(*value.steps, step))
    return replace(value, shape=shape, order=transposed(value.order, value.shape, perm))


def _axes(node: Node, builder: Builder, rank: int) -> list[int] | None:
    axes = node.integers("axes")
    if axes is None:
        if not node.input(1):
            return None
        value = builder.symbol(node, 1)
        if not isinstance(value, Constant) or value.array.dtype != np.int64:
            raise ModelError(f"axes {node.input(1)!r} must be constant integers", at=node)
        axes = tuple(int(axis) for axis in value.array.reshape(-1))
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"axes {list(axes)} do not exist in {rank} dimensions", at=node)
    return [axis % rank for axis in axes]


def _view(node: Node, value: Symbol, shape: Shape) -> Symbol:
    """The same elements in another shape."""
    match value:
        case Constant():
            return Constant(array=value.array.reshape(shape))
        case QuantisedConstant():
            if value.scale.size != 1 or value.zero_point.size != 1:
                raise ModelError(
                    "reshapes a constant that is quantised per channel",
                    remedy="do it before quantisation",
                    at=node,
                )
            return replace(value, codes=value.codes.reshape(shape))
        case _ if not shape or shape[0] != 1:
            raise ModelError(
                f"result of shape {list(shape)} has no batch of 1 in front",
                remedy="keep the batch as the first dimension",
                at=node,
            )
        case HostResult():
            step = ReshapeStep(shape=shape[1:])
            return replace(value, shape=shape, steps=(*value.steps, step))
        case HostInput() | Codes() | Real() | Pending():
            return replace(value, shape=shape)
    raise AssertionError("unreachable")


def _cast_index(node: Node, value: HostResult) -> HostResult:
    """Cast of an ArgMax's result to another integer type. Raises ModelError for any other."""
    to = node.integer("to", 0)
    if value.dtype not in ("int32", "int64") or to not in INDEX_TYPES:
        raise ModelError(
            f"a Cast of {value.dtype} to {TYPE_NAMES.get(to, 'unknown')} on the host is not "
            "supported",
            remedy="of an ArgMax's result to int32 or int64 it is",
            at=node,
        )
    step = CastStep(dtype=TYPE_NAMES[to])
    return replace(value, steps=(*value.steps, step))
