"""Functions of one activation (HardSwish, Sigmoid, ...): between DQ and Q a table of 256 codes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops.affine import CONSTANTS, multiply_constant
from weft.nn.onnx.ops.product import product
from weft.nn.onnx.pending.code_table import code_table
from weft.nn.onnx.pending.code_values import CodeValues
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Constant, Quantisation, QuantisedConstant, Real, Symbol
from weft.nn.onnx.views import per_channel, shape_in_words

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class PendingTable(Pending):
    """A function of each code of a tensor.

    values: float32 [1, 256], for the codes -128..127, or a row of them for each channel.
    """

    source: str
    values: np.ndarray

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        clamp = self.codes_range(result)
        codes = CodeValues(values=self.values).codes(result, **clamp)
        source, bounds = builder.tensors[self.source], (clamp["low"], clamp["high"])
        operator = code_table(builder, self.node, source, codes, output, result, bounds)
        assert operator is not None  # it may be as large as it needs to be
        return operator


def unary(function: Callable[[Node], Function]) -> Callable[[Node, Builder], Symbol]:
    """The handler of an operator that is one function, made from the node's attributes."""

    def handler(node: Node, builder: Builder) -> Symbol:
        """An elementwise function."""
        pending = _table(node, builder, 0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = function(node)(pending.values).astype(np.float32)
        return _checked(node, replace(pending, values=values, node=node.name, op=node.op))

    return handler


def multiply(node: Node, builder: Builder) -> Symbol:
    """Mul by a constant, of two functions of one tensor (x * Sigmoid(x)), of two activations."""
    for index in (0, 1):
        if isinstance(builder.symbol(node, index), CONSTANTS):
            return multiply_constant(node, builder, index)
    symbols = builder.symbol(node, 0), builder.symbol(node, 1)
    if any(isinstance(symbol, PendingTable) for symbol in symbols):
        a, b = _table(node, builder, 0), _table(node, builder, 1)
        if a.source == b.source and a.shape == b.shape and a.order is b.order:
            return _checked(node, replace(a, values=a.values * b.values, node=node.name, op="Mul"))
    return product(node, builder)


def _table(node: Node, builder: Builder, index: int) -> PendingTable:
    """An input as a table of its tensor's codes."""
    value = builder.symbol(node, index)
    if isinstance(value, PendingTable):
        clip = value.clip
        values = np.clip(value.values, np.float32(clip.low), np.float32(clip.high))
        return replace(value, values=values, clip=type(clip)())
    if not isinstance(value, Real):
        value = builder.real(node, index)
    values = CodeValues.of(builder.quantisations[value.tensor]).values
    return PendingTable(
        node=node.name,
        op=node.op,
        own_shape=(1, *builder.tensors[value.tensor].shape),
        shape=value.shape,
        order=value.order,
        source=value.tensor,
        values=np.clip(values, np.float32(value.clip.low), np.float32(value.clip.high)),
    )


def prelu(node: Node, builder: Builder) -> Symbol:
    """PRelu with constant slopes, one for all or one per channel."""
    pending = _table(node, builder, 0)
    match builder.symbol(node, 1):
        case QuantisedConstant() as constant:
            slope = constant.centred.astype(np.float32) * constant.scale
        case Constant(array=array) if array.dtype == np.float32:
            slope = array
        case _:
            raise ModelError(
                f"{node}: slope {node.input(1)!r} is not a constant of finite floats; only those "
                "are supported"
            )
    own = builder.tensors[pending.source].shape
    slopes = per_channel(slope, pending.shape, (1, *own), pending.order)
    if slopes is None:
        raise ModelError(
            f"{node}: slopes of shape {list(slope.shape)} and activation of shape "
            f"{shape_in_words(pending.shape, (1, *own))}; one value, or one per channel, is "
            "supported"
        )
    x = pending.values
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(x >= 0, x, slopes[:, None] * x).astype(np.float32)
    return _checked(node, replace(pending, values=values, node=node.name, op=node.op))


def _checked(node: Node, pending: PendingTable) -> PendingTable:
    if not np.all(np.isfinite(pending.values)):
        raise ModelError(f"{node}: gives numbers that are not finite for some codes of its input")
    return pending


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
