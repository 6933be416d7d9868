"""Functions of one activation (HardSwish, Sigmoid, ...): between DQ and Q a table of 256 codes."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.table import finite, table_of
from weft.nn.onnx.symbols import Constant, QuantisedConstant, Symbol
from weft.nn.onnx.views import per_channel, shape_in_words

Function = Callable[[np.ndarray], np.ndarray]


def unary(function: Callable[[Node], Function]) -> Callable[[Node, Builder], Symbol]:
    """The handler of an operator that is one function, made from the node's attributes."""

    def handler(node: Node, builder: Builder) -> Symbol:
        """An elementwise function."""
        pending = table_of(node, builder, 0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = function(node)(pending.values).astype(np.float32)
        return finite(node, replace(pending, values=values, origin=node.origin))

    return handler


def prelu(node: Node, builder: Builder) -> Symbol:
    """PRelu with constant slopes, one for all or one per channel."""
    pending = table_of(node, builder, 0)
    match builder.symbol(node, 1):
        case QuantisedConstant() as constant:
            slope = constant.centred.astype(np.float32) * constant.scale
        case Constant(array=array) if array.dtype == np.float32:
            slope = array
        case _:
            raise ModelError(
                f"slope {node.input(1)!r} is not a constant of finite floats",
                remedy="only those are supported",
                at=node,
            )
    own = builder.tensors[pending.source].shape
    slopes = per_channel(slope, pending.shape, (1, *own), pending.order)
    if slopes is None:
        raise ModelError(
            f"slopes of shape {list(slope.shape)} and activation of shape "
            f"{shape_in_words(pending.shape, (1, *own))}",
            remedy="one value, or one per channel, is supported",
            at=node,
        )
    x = pending.values
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(x >= 0, x, slopes[:, None] * x).astype(np.float32)
    return finite(node, replace(pending, values=values, origin=node.origin))


def hard_sigmoid(node: Node) -> Function:
    """clip(alpha * x + beta, 0, 1)."""
    alpha, beta = (np.float32(node.number(k, v)) for k, v in (("alpha", 0.2), ("beta", 0.5)))
    return lambda x: np.clip(alpha * x + beta, 0, 1)


def hard_swish(node: Node) -> Function:
    """x * clip(x / 6 + 1/2, 0, 1)."""
    sixth = np.float32(1 / 6)
    return lambda x: x * np.clip(sixth * x + np.float32(0.5), 0, 1)


def leaky_relu(node: Node) -> Function:
    """x, or alpha * x below 0."""
    alpha = np.float32(node.number("alpha", 0.01))
    return lambda x: np.where(x >= 0, x, alpha * x)


def elu(node: Node) -> Function:
    """x, or alpha * (exp(x) - 1) below 0."""
    alpha = np.float32(node.number("alpha", 1.0))
    return lambda x: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


def sigmoid(node: Node) -> Function:
    """1 / (1 + exp(-x)), without overflow."""
    return lambda x: 1 / (1 + np.exp(-x.astype(np.float64)))


def tanh(node: Node) -> Function:
    """Hyperbolic tangent."""
    return np.tanh


def gelu(node: Node) -> Function:
    """x * (1 + erf(x / sqrt(2))) / 2, or its approximation by tanh."""
    if node.text("approximate", "none") == "tanh":
        root = math.sqrt(2 / math.pi)
        return lambda x: 0.5 * x * (1 + np.tanh(root * (x + 0.044715 * x.astype(np.float64) ** 3)))
    erf = np.vectorize(math.erf)
    return lambda x: 0.5 * x * (1 + erf(x.astype(np.float64) / math.sqrt(2)))
