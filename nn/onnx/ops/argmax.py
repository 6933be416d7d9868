"""ArgMax at the end of the network: the host takes the largest score."""

from dataclasses import replace

import onnx

from weft.errors import ModelError
from weft.nn.ir.host_steps import ArgMaxStep, CastStep, ReshapeStep
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import TYPE_NAMES, Node
from weft.nn.onnx.output import accumulators
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import NO_CLIP, Codes, HostResult

INDEX_TYPES = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def argmax(node: Node, builder: Builder) -> HostResult:
    """ArgMax of the last values, dequantised or not: their codes are in the same order."""
    source = _source(node, builder)
    rank = len(source.shape)
    axis = node.integer("axis", 0)
    if not -rank <= axis < rank or axis % rank == 0:
        raise ModelError(
            f"{node}: attribute 'axis' = {axis} of {rank} dimensions; 1 to {rank - 1} are supported"
        )
    axis %= rank
    last = bool(node.integer("select_last_index", 0))
    steps = (*source.steps, ArgMaxStep(axis=axis, last=last))
    shape = (*source.shape[:axis], 1, *source.shape[axis + 1 :])
    if not node.integer("keepdims", 1):
        shape = (*source.shape[:axis], *source.shape[axis + 1 :])
        steps += (ReshapeStep(shape=shape[1:]),)
    return HostResult(tensor=source.tensor, shape=shape, steps=steps, integer=True)


def cast_index(node: Node, value: HostResult) -> HostResult:
    """Cast of an ArgMax's result to another integer type. Raises ModelError for any other."""
    to = node.integer("to", 0)
    if value.dtype not in ("int32", "int64") or to not in INDEX_TYPES:
        raise ModelError(
            f"{node}: a Cast of {value.dtype} to {TYPE_NAMES.get(to, 'unknown')} on the host is "
            "not supported; of an ArgMax's result to int32 or int64 it is"
        )
    step = CastStep(dtype=TYPE_NAMES[to])
    return replace(value, steps=(*value.steps, step))


def _source(node: Node, builder: Builder) -> HostResult:
    value = builder.symbol(node, 0)
    match value:
        case PendingConv() if value.clip == NO_CLIP:
            return accumulators(builder, value)
        case HostResult() if value.dtype not in ("int32", "int64"):
            return value
        case Codes():
            return builder.host_result(value)
        case _:
            return builder.host_result(builder.real(node, 0))
