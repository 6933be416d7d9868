"""Gain and offset per channel: what operators with constants do to an activation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.code_values import CodeValues, Kernel
from weft.nn.onnx.pending.conv import PendingConv, identity_conv
from weft.nn.onnx.pending.factors import add_float, product_float
from weft.nn.onnx.symbols import NO_CLIP, Constant, Quantisation, QuantisedConstant
from weft.nn.onnx.views import per_channel, shape_in_words
from weft.nn.onnx.weights import add_bias

CONSTANTS = (Constant, QuantisedConstant)
PairKernel = Callable[[Quantisation, Quantisation, Quantisation], np.ndarray]
"""Codes [256, 256] of all pairs of two tensors' codes, from their quantisations and a result's."""


@dataclass(frozen=True, kw_only=True)
class Exact:
    """An operator as ONNX Runtime computes it: function(x, *constants), all of it in float32.

    kernel: what computes it on codes where the one constant is quantised, too.
    """

    constants: tuple[np.ndarray, ...]
    function: Callable[..., np.ndarray]
    kernel: PairKernel | None = None


def multiply_constant(node: Node, builder: Builder, index: int) -> PendingConv:
    """Mul by the constant input ``index``."""
    factor = constant_of(node, builder, index, "factor")
    exact = exact_of(node, builder, index, np.multiply, product_float)
    return affine(node, builder, 1 - index, factor, np.zeros_like(factor), exact)


def subtract_constant(node: Node, builder: Builder) -> PendingConv:
    """Sub of a constant, or from one."""
    index = 1 if isinstance(builder.symbol(node, 1), CONSTANTS) else 0
    constant = constant_of(node, builder, index, "constant")
    sign = 1.0 if index == 1 else -1.0
    exact = exact_of(node, builder, index, np.subtract)
    gain = np.full_like(constant, sign)
    return affine(node, builder, 1 - index, gain, -sign * constant, exact)


def add_constant(node: Node, builder: Builder, index: int) -> PendingConv:
    """Add of the constant input ``index``: an integer bias where it can be one."""
    value, constant = builder.symbol(node, 1 - index), builder.symbol(node, index)
    real = constant_of(node, builder, index, "constant")
    if isinstance(value, PendingConv) and value.clip == NO_CLIP:
        fits = per_channel(real, value.shape, value.own_shape, value.order) is not None
        if fits and value.behind is None and constant.shape and real.size == value.channels:
            return add_bias(node, builder, value, index)
    exact = exact_of(node, builder, index, np.add, _add)
    return affine(node, builder, 1 - index, np.ones_like(real), real, exact)


def _add(a: Quantisation, b: Quantisation, y: Quantisation) -> np.ndarray:
    return add_float(a, b, y, CODE_MIN, CODE_MAX)


def exact_of(
    node: Node,
    builder: Builder,
    index: int,
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    kernel: PairKernel | None = None,
) -> Exact:
    """What ONNX Runtime computes with the constant input ``index``."""
    value = builder.symbol(node, index)
    if isinstance(value, QuantisedConstant):
        constant = value.centred.astype(np.float32) * value.scale
    else:
        assert isinstance(value, Constant)
        constant = value.array.astype(np.float32)
    if index == 0:
        return Exact(
            constants=(constant,),
            function=lambda x, c: function(c, x),
            kernel=None if kernel is None else lambda x, c, y: kernel(c, x, y).T,
        )
    return Exact(constants=(constant,), function=function, kernel=kernel)


def constant_of(node: Node, builder: Builder, index: int, what: str) -> np.ndarray:
    """A constant input's values, float64."""
    value = builder.symbol(node, index)
    match value:
        case QuantisedConstant():
            return value.real
        case Constant() if value.array.dtype.kind == "f" and np.all(np.isfinite(value.array)):
            return value.array.astype(np.float64)
        case _:
            raise ModelError(
                f"{what} {node.input(index)!r} is not a constant of finite floats",
                remedy="only those are supported",
                at=node,
            )


def affine(
    node: Node, builder: Builder, index: int, gain: np.ndarray, offset: np.ndarray, exact: Exact
) -> PendingConv:
    """value * gain + offset; both broadcast against the activation ``index``."""
    value = builder.symbol(node, index)
    if isinstance(value, CONSTANTS):
        raise ModelError("an operation on two constants", remedy="fold it beforehand", at=node)
    if not np.all(np.isfinite(gain) & np.isfinite(offset)):
        raise ModelError("its constants give numbers that are not finite", at=node)
    first = not isinstance(value, PendingConv) or value.clip != NO_CLIP
    if not isinstance(value, PendingConv) or first:
        value = identity_conv(node.origin, builder, builder.real(node, index))
    parts = [per_channel(x, value.shape, value.own_shape, value.order) for x in (gain, offset)]
    if parts[0] is None or parts[1] is None:
        raise ModelError(
            f"constant of shape {list(gain.shape)} and activation of shape "
            f"{shape_in_words(value.shape, value.own_shape)}",
            remedy="one value, or one per channel, is supported",
            at=node,
        )
    known = CodeValues.of(builder.quantisations[value.source]) if first else value.known
    if known is not None and not builder.float_runtime:
        columns = [_column(value, constant) for constant in exact.constants]
        fused = _fused(node, builder, index, value, exact) if first else None
        known = known.then(lambda x: exact.function(x, *columns), fused)
    if builder.float_runtime or (known is not None and np.isnan(known.values).any()):
        known = None  # QONNX has no float32 of its own; infinities of both signs met
    return value.then(parts[0], parts[1], known)


def _column(value: PendingConv, constant: np.ndarray) -> np.ndarray:
    """A constant as [1, 1], or as [C, 1] of the tensor's channels."""
    if constant.size == 1:
        return constant.reshape(1, 1)
    found = per_channel(constant, value.shape, value.own_shape, value.order)
    assert found is not None  # what it makes of the activation was one value per channel
    return found[:, None]


def _fused(
    node: Node, builder: Builder, index: int, value: PendingConv, exact: Exact
) -> Kernel | None:
    """The integer kernel that takes the place of one operator with a quantised constant."""
    constant = builder.symbol(node, 1 - index)
    own, kernel = builder.quantisations[value.source], exact.kernel
    if kernel is None or not isinstance(constant, QuantisedConstant):
        return None
    if constant.scale.ndim or constant.dtype != own.dtype:
        return None
    other = Quantisation(
        scale=float(constant.scale), zero_point=int(constant.zero_point), dtype=own.dtype
    )
    picked = _column(value, constant.codes)[:, 0] - other.offset - CODE_MIN

    def codes(result: Quantisation) -> np.ndarray | None:
        return kernel(own, other, result)[:, picked].T if result.dtype == own.dtype else None

    return codes
