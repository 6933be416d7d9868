"""QuantizeLinear and DequantizeLinear: where real values become tensors of the graph."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from weft.errors import ModelError
from weft.nn.onnx.builder import Builder, dequantize_step, quantize_step
from weft.nn.onnx.clamps import bounds_of
from weft.nn.onnx.model import TYPE_NAMES, Node
from weft.nn.onnx.pending.pending import Pending, finish
from weft.nn.onnx.pending.rescale import rescaled
from weft.nn.onnx.symbols import (
    NO_CLIP,
    Clip,
    Codes,
    Constant,
    HostInput,
    HostResult,
    Quantisation,
    QuantisedConstant,
    Real,
    Symbol,
)

ACTIVATION_TYPES = ("int8", "uint8")
CONSTANT_TYPES = {
    f"{sign}int{bits}": (sign == "", bits) for bits in (2, 4, 8, 16) for sign in ("", "u")
} | {"int32": (True, 32)}
"""Whether a type is signed, and its bits."""

MAX_SCALE = 2.0**60  # and 2**-60 for activations: no factor overflows float32 by accident


def quantize_linear(node: Node, builder: Builder) -> Symbol:
    """QuantizeLinear of whatever its input is."""
    value = builder.symbol(node, 0)
    if isinstance(value, Constant):
        return _quantize_constant(node, builder, value)
    quantisation = _quantisation(node, builder)
    output = node.outputs[0]
    match value:
        case HostInput(dtype="float"):
            return Codes(tensor=builder.add_input(value, quantisation, output), shape=value.shape)
        case HostInput():
            raise ModelError(
                f"input {value.name!r} has type {value.dtype}",
                remedy="float (quantised here) or int8 and uint8 (into DequantizeLinear) are "
                "supported",
                at=node,
            )
        case Real() | Pending():
            clip = _code_clip(node, builder, value.clip, quantisation)
            return quantised(node, builder, replace(value, clip=clip), quantisation)
        case HostResult(integer=False):
            steps = (*value.steps, quantize_step(quantisation))
            return HostResult(tensor=value.tensor, shape=value.shape, steps=steps, integer=True)
        case _:
            raise ModelError(f"input {node.inputs[0]!r} is quantised already", at=node)


def quantised(
    node: Node, builder: Builder, value: Real | Pending, quantisation: Quantisation
) -> Codes:
    """The codes of a real value, written to the node's output where they are new."""
    if isinstance(value, Real):
        if value.clip == NO_CLIP and builder.quantisations[value.tensor] == quantisation:
            return Codes(tensor=value.tensor, shape=value.shape, order=value.order)
        origin = node.origin if value.clip == NO_CLIP else value.origin
        value = rescaled(builder, value, origin)
    return finish(builder, value, quantisation, node.outputs[0])


def _code_clip(node: Node, builder: Builder, clip: Clip, quantisation: Quantisation) -> Clip:
    """The clamp together with that of the codes, where all readers are one Clip (QCDQ)."""
    readers = builder.readers.get(node.outputs[0], [])
    known = all(name in builder.symbols for item in readers for name in item.inputs[1:] if name)
    if not known or any(reader.op != "Clip" for reader in readers):
        return clip
    bounds = {bounds_of(reader, builder) for reader in readers}
    if len(bounds) != 1:
        return clip
    low, high = ((bound - quantisation.zero_point) * quantisation.scale for bound in bounds.pop())
    return clip.then(low, high)


def dequantize_linear(node: Node, builder: Builder) -> Symbol:
    """DequantizeLinear of whatever its input is."""
    value = builder.symbol(node, 0)
    match value:
        case Constant():
            return _dequantize_constant(node, builder, value)
        case HostInput(dtype="int8" | "uint8"):
            quantisation = _quantisation(node, builder, value.dtype)
            name = builder.add_input(value, quantisation, builder.names.new(f"{value.name}_codes"))
            return Real(tensor=name, shape=value.shape, origin=node.origin)
        case Codes():
            own = builder.quantisations[value.tensor]
            quantisation = _quantisation(node, builder, own.dtype)
            if quantisation != own:
                raise ModelError(
                    f"scale {quantisation.scale!r} and zero point {quantisation.zero_point} "
                    f"differ from those that {value.tensor!r} was quantised with ({own.scale!r}, "
                    f"{own.zero_point})",
                    remedy="use the same ones",
                    at=node,
                )
            return Real(
                tensor=value.tensor, shape=value.shape, origin=node.origin, order=value.order
            )
        case HostResult(integer=True) if value.dtype in ACTIVATION_TYPES:
            quantisation = _quantisation(node, builder)
            steps = (*value.steps, dequantize_step(quantisation))
            return HostResult(tensor=value.tensor, shape=value.shape, steps=steps)
        case HostInput():
            raise ModelError(
                f"input {value.name!r} has type {value.dtype}",
                remedy="int8 and uint8 are supported",
                at=node,
            )
        case _:
            raise ModelError(f"input {node.inputs[0]!r} is not quantised", at=node)


def _parameters(node: Node, builder: Builder) -> tuple[np.ndarray, np.ndarray | None]:
    """Scale and zero point arrays, checked one by one."""
    if node.attributes.get("block_size"):
        raise ModelError(
            "attribute 'block_size' is not supported",
            remedy="quantise per tensor or per channel",
            at=node,
        )
    precision = node.integer("precision", 0)
    if precision not in (0, onnx.TensorProto.FLOAT):
        raise ModelError(
            f"attribute 'precision' is {TYPE_NAMES.get(precision, precision)}",
            remedy="float is supported",
            at=node,
        )
    scale = _constant(node, builder, 1, "scale")
    if scale.dtype != np.float32:
        raise ModelError(f"scale has type {scale.dtype}", remedy="float32 is supported", at=node)
    if not np.all((scale > 0) & (scale <= MAX_SCALE)):
        raise ModelError("every scale must be greater than 0 and at most 2**60", at=node)
    if not node.input(2):
        return scale, None
    zero_point = _constant(node, builder, 2, "zero point")
    if zero_point.size != scale.size:
        raise ModelError(
            f"{zero_point.size} zero points but {scale.size} scales",
            remedy="one each is needed",
            at=node,
        )
    return scale, zero_point


def _constant(node: Node, builder: Builder, index: int, what: str) -> np.ndarray:
    value = builder.symbol(node, index)
    if not isinstance(value, Constant):
        raise ModelError(
            f"{what} {node.input(index)!r} is computed at run time",
            remedy="only constants are supported: quantise statically, e.g. with "
            "onnxruntime.quantization.quantize_static",
            at=node,
        )
    return value.array


def _quantisation(node: Node, builder: Builder, dtype: str | None = None) -> Quantisation:
    """The one scale and zero point of an activation. dtype: that of the codes, where known."""
    scale, zero_point = _parameters(node, builder)
    if scale.size != 1:
        raise ModelError(
            f"an activation with {scale.size} scales",
            remedy="only per-tensor quantisation of activations is supported (weights may be per "
            "channel)",
            at=node,
        )
    if scale.reshape(()) < 1 / MAX_SCALE:
        raise ModelError("the scale of an activation must be at least 2**-60", at=node)
    named = str(zero_point.dtype) if zero_point is not None else None
    kind = named or dtype or _output_dtype(node)
    if dtype is not None and kind != dtype:
        raise ModelError(f"zero point has type {kind}, the codes have {dtype}", at=node)
    if kind not in ACTIVATION_TYPES:
        raise ModelError(
            f"activations of type {kind} are not supported", remedy="int8 and uint8 are", at=node
        )
    return Quantisation(
        scale=float(scale.reshape(())),
        zero_point=int(zero_point.reshape(())) if zero_point is not None else 0,
        dtype=kind,
    )


def _output_dtype(node: Node) -> str:
    """Type of QuantizeLinear's result where it has no zero point."""
    kind = node.integer("output_dtype", 0) if node.op == "QuantizeLinear" else 0
    return TYPE_NAMES.get(kind, f"type {kind}") if kind else "uint8"


def _along(node: Node, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A per-channel vector shaped to broadcast along the node's axis; a single value as it is."""
    if array.size == 1:
        return array.reshape(())
    axis = node.integer("axis", 1)
    if not -len(shape) <= axis < len(shape) or array.shape != (shape[axis],):
        raise ModelError(
            f"{array.size} scales do not fit axis {axis} of a constant of shape {list(shape)}",
            at=node,
        )
    return array.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])


def _quantize_constant(node: Node, builder: Builder, value: Constant) -> Constant:
    """Weights stored as floats in front of their QuantizeLinear."""
    scale, zero_point = _parameters(node, builder)
    kind = str(zero_point.dtype) if zero_point is not None else _output_dtype(node)
    if kind not in CONSTANT_TYPES:
        raise ModelError(
            f"constants of type {kind} are not supported",
            remedy=f"{', '.join(CONSTANT_TYPES)} are",
            at=node,
        )
    if value.array.dtype.kind != "f" or not np.all(np.isfinite(value.array)):
        raise ModelError(f"constant {node.inputs[0]!r} must hold finite floats", at=node)
    shape = value.array.shape
    offset: Any = 0
    if zero_point is not None:
        offset = _along(node, zero_point.astype(np.int64), shape)
    signed, bits = CONSTANT_TYPES[kind]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    with np.errstate(over="ignore"):
        ratio = np.rint(value.array.astype(np.float32) / _along(node, scale, shape))
    codes = np.clip(ratio.astype(np.float64) + offset, low, high)
    return Constant(array=codes.astype(np.int64).astype(kind if bits >= 8 else "int8"))


def _dequantize_constant(node: Node, builder: Builder, value: Constant) -> QuantisedConstant:
    """Weights and biases."""
    scale, zero_point = _parameters(node, builder)
    kind = str(value.array.dtype)
    if kind not in CONSTANT_TYPES:
        raise ModelError(
            f"constant {node.inputs[0]!r} has type {kind}",
            remedy=f"{', '.join(CONSTANT_TYPES)} are supported",
            at=node,
        )
    shape = value.array.shape
    offset = np.zeros((), np.int64) if zero_point is None else zero_point.astype(np.int64)
    return QuantisedConstant(
        codes=value.array.astype(np.int64),
        scale=_along(node, scale, shape),
        zero_point=_along(node, offset, shape),
        dtype=kind,
    )
