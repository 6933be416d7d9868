"""Softmax and ArgMax at the end of the network: the host's work."""

import math
from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.host_steps import AnyHostStep, ArgMaxStep, ReshapeStep, SoftmaxStep
from weft.nn.ir.host_steps import softmax as softmax_values
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.output import accumulators
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import NO_CLIP, Codes, Constant, HostResult, Symbol


def argmax(node: Node, builder: Builder) -> HostResult:
    """ArgMax of the last values, dequantised or not: their codes are in the same order."""
    source = _source(node, builder)
    rank = len(source.shape)
    axis = node.integer("axis", 0)
    if not -rank <= axis < rank or axis % rank == 0:
        raise ModelError(
            f"attribute 'axis' = {axis} of {rank} dimensions",
            remedy=f"1 to {rank - 1} are supported",
            at=node,
        )
    axis %= rank
    last = bool(node.integer("select_last_index", 0))
    steps = (*source.steps, ArgMaxStep(axis=axis, last=last))
    shape = (*source.shape[:axis], 1, *source.shape[axis + 1 :])
    if not node.integer("keepdims", 1):
        shape = (*source.shape[:axis], *source.shape[axis + 1 :])
        steps += (ReshapeStep(shape=shape[1:]),)
    return HostResult(tensor=source.tensor, shape=shape, steps=steps, integer=True)


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


def softmax(node: Node, builder: Builder) -> Symbol:
    """Softmax at the end of the network, computed by the host."""
    value = builder.symbol(node, 0)
    if isinstance(value, Constant) and value.array.dtype == np.float32 and builder.opset >= 13:
        return Constant(array=softmax_values(value.array, node.integer("axis", -1)))
    if isinstance(value, PendingConv) and value.clip == NO_CLIP:
        result = accumulators(builder, value)
    else:
        value = builder.real(node, 0)
        result = builder.host_result(value)
    rank = len(value.shape)
    axis = node.integer("axis", -1 if builder.opset >= 13 else 1)
    if not -rank <= axis < rank or axis % rank == 0:
        raise ModelError(
            f"attribute 'axis' = {axis} of {rank} dimensions",
            remedy=f"1 to {rank - 1} are supported",
            at=node,
        )
    axis %= rank
    steps: tuple[AnyHostStep, ...] = (SoftmaxStep(axis=axis),)
    if builder.opset < 13 and axis != rank - 1:  # it used to work on everything behind the axis
        flat = (*value.shape[1:axis], math.prod(value.shape[axis:]))
        steps = (
            ReshapeStep(shape=flat),
            SoftmaxStep(axis=-1),
            ReshapeStep(shape=value.shape[1:]),
        )
    return replace(result, steps=result.steps + steps)
