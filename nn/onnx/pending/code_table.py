"""A table of 256 codes as operators of the graph, exact at each of them (C17, C26)."""

import math

import numpy as np

from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.tensor import CODE_MIN, Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.hinges import Hinges, hinges
from weft.nn.onnx.pending.two_lines import two_lines
from weft.nn.onnx.symbols import Quantisation


def code_table(
    builder: Builder,
    node: str,
    source: Tensor,
    codes: np.ndarray,
    output: Tensor,
    result: Quantisation,
    clamp: tuple[int, int],
    most: float = math.inf,
) -> Operator | None:
    """The operator that writes ``output``; what it reads is added to the builder.

    codes: int64 [1 or C, 256], for the source's codes -128..127, clamped. None where more than
    ``most`` codes would lie in between.
    """
    straight = two_lines(builder, node, source, codes, output, result, clamp)
    if straight is not None:
        return straight
    zero_point = result.code_zero_point
    kinds, of = np.unique(codes - zero_point, axis=0, return_inverse=True)
    drawn = [hinges(kind, clamp[0] - zero_point, clamp[1] - zero_point) for kind in kinds]
    channels, count = source.shape[0], max(len(item.knots) for item in drawn)
    if count * math.prod(source.shape) > most:
        return None
    of = np.broadcast_to(of.reshape(-1), channels)
    hidden = _hinges(builder, node, source, [drawn[kind] for kind in of], output.name)
    weight = np.zeros((channels, count, 1, 1), np.int16)
    for channel, kind in enumerate(of):
        weight[channel, : len(drawn[kind].weights), 0, 0] = drawn[kind].weights
    points = np.array([item.point for item in drawn])
    factors = 2.0 ** -(points if len(drawn) == 1 else points[of])
    return Conv(
        name=node,
        output=output.name,
        input=hidden,
        weight=weight,
        bias=np.array([drawn[kind].start for kind in of], np.int64),
        scaling=scaling_of(factors),
        window=Window(kernel=(1, 1)),
        groups=channels,
        low=clamp[0],
        high=clamp[1],
    )


def _hinges(builder: Builder, node: str, source: Tensor, drawn: list[Hinges], output: str) -> str:
    """The tensor [C * n, H, W] of max(code - knot, 0), a channel's n side by side.

    Channels with fewer repeat their last one, which counts nothing there.
    """
    channels, count = source.shape[0], max(len(item.knots) for item in drawn)
    knots = [np.pad(item.knots, (0, count - len(item.knots)), mode="edge") for item in drawn]
    quantisation = Quantisation(scale=1.0, zero_point=CODE_MIN, dtype="int8")
    tensor = Tensor(
        name=builder.names.new(f"{output}_hinges"),
        shape=(channels * count, *source.shape[1:]),
        scale=1.0,
        zero_point=CODE_MIN,
    )
    operator = Conv(
        name=builder.operator_names.new(f"{node}_hinges"),
        output=tensor.name,
        input=source.name,
        weight=np.ones((channels * count, 1, 1, 1), np.int16),
        bias=source.zero_point - np.concatenate(knots),
        scaling=scaling_of(1.0),
        window=Window(kernel=(1, 1)),
        groups=channels,
    )
    builder.add(operator, tensor, quantisation)
    return tensor.name
