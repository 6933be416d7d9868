"""The QONNX form (Brevitas, QKeras): Quant, BipolarQuant and Trunc, which quantise and dequantise.

Ref: github.com/fastmachinelearning/qonnx, docs/qonnx-custom-ops.
"""

from dataclasses import dataclass, replace

import numpy as np

from weft.errors import ModelError
from weft.nn.forms.steps import Steps
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.clamps import clamp_codes
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops.qdq import dequantize_linear
from weft.nn.onnx.pending.average import PendingAverage
from weft.nn.onnx.pending.conv import PendingConv, identity_conv
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Codes, Constant, QuantisedConstant, Real, Rounding, Symbol

MAX_WEIGHT_BITS = 32


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """What a Quant rounds to: (code - zero_point) * scale, codes within low..high."""

    scale: np.ndarray
    zero_point: int
    low: int
    high: int
    rounding: str

    @property
    def dtype(self) -> str:
        return "int8" if self.low < 0 else "uint8"


def quant(node: Node, builder: Builder) -> Symbol:
    """Quant (IntQuant): inputs x, scale, zero point, bit width."""
    steps = Steps(node=node, builder=builder)
    signed = node.integer("signed", 1) != 0
    bits = _bits(steps, 3)
    if bits == 1 and signed:
        if _whole(steps, 2, "zero point"):
            raise ModelError(
                "zero point other than 0 with 1 bit is not supported", remedy="0 is", at=node
            )
        return bipolar_quant(node, builder)
    narrow = int(node.integer("narrow", 0) != 0)
    low, high = _limits(bits, signed, narrow)
    grid = _Grid(
        scale=_scale(steps, 1),
        zero_point=_whole(steps, 2, "zero point"),
        low=low,
        high=high,
        rounding=node.text("rounding_mode", "ROUND").upper(),
    )
    value = builder.symbol(node, 0)
    if isinstance(value, Constant):
        return _constant(node, value, grid)
    if bits > 8:
        raise ModelError(
            f"activations of {bits} bits are not supported", remedy="up to 8 bits are", at=node
        )
    if grid.zero_point & 1:
        builder.note(
            node.origin, "exact ties are rounded before the odd zero point is added, not after"
        )
    return _activation(steps, value, grid)


def bipolar_quant(node: Node, builder: Builder) -> Symbol:
    """BipolarQuant: inputs x, scale; +scale from 0 on, else -scale."""
    steps = Steps(node=node, builder=builder)
    value = builder.symbol(node, 0)
    grid = _Grid(scale=_scale(steps, 1), zero_point=0, low=-1, high=1, rounding="SIGN")
    if isinstance(value, Constant):
        return _constant(node, value, grid)
    return _activation(steps, value, grid)


def trunc(node: Node, builder: Builder) -> Symbol:
    """Trunc: a value with a known step is rounded to a coarser one.

    Inputs x, scale, zero point, bits in, (output scale from version 2 on,) bits out.
    """
    steps = Steps(node=node, builder=builder)
    if len(node.inputs) not in (5, 6):
        raise ModelError(
            f"{len(node.inputs)} inputs", remedy="5 (version 1) or 6 are supported", at=node
        )
    fine = _single(steps, 1)
    bits_in, bits_out = _bits(steps, 3), _bits(steps, len(node.inputs) - 1)
    if _whole(steps, 2, "zero point"):
        raise ModelError("zero point other than 0 is not supported", remedy="0 is", at=node)
    value = builder.symbol(node, 0)
    if len(node.inputs) == 5:
        places, shown = bits_in - bits_out, fine
        span = value.span(builder) if isinstance(value, Pending) else None
        low, high = _limits(8, span is None or span[0] < 0, 0)
    else:
        shown = _single(steps, 4)
        places = int(np.rint(np.log2(shown / fine)))
        low, high = _limits(bits_out, node.integer("signed", 1) != 0, node.integer("narrow", 0))
    if bits_out > 8 or not 0 <= places <= 24:
        raise ModelError(
            f"from {bits_in} to {bits_out} bits",
            remedy="up to 8 bits, and fewer than before, are supported",
            at=node,
        )
    if not _has_step(builder, value, fine):
        builder.note(node.origin, "rounds once, from real values, where QONNX rounds twice")
    grid = _Grid(
        scale=np.array(np.float32(fine * 2.0**places)),
        zero_point=0,
        low=low,
        high=high,
        rounding=node.text("rounding_mode", "FLOOR").upper(),
    )
    real = _activation(steps, value, grid)
    if isinstance(real, Real):  # its codes count steps of the scale that is given out
        tensor = builder.tensors[real.tensor]
        builder.tensors[real.tensor] = tensor.replace(scale=shown)
        own = builder.quantisations[real.tensor]
        builder.quantisations[real.tensor] = replace(own, scale=shown)
    return real


def _activation(steps: Steps, value: Symbol, grid: _Grid) -> Symbol:
    """An activation quantised and dequantised."""
    node, builder = steps.node, steps.builder
    rounding = _rounding(node, grid)
    if grid.scale.size != 1:
        raise ModelError(
            f"an activation with {grid.scale.size} scales",
            remedy="only per-tensor quantisation of activations is supported (weights may be per "
            "channel)",
            at=node,
        )
    info = np.iinfo(grid.dtype)
    if not info.min <= grid.zero_point <= info.max:
        raise ModelError(f"zero point {grid.zero_point} is not {grid.dtype}", at=node)
    scale = steps.constant(grid.scale.reshape(()), "float32")
    zero_point = steps.constant(grid.zero_point, grid.dtype)
    match value:
        case Real() | Pending():
            bounds = (
                (b - grid.zero_point) * float(grid.scale.reshape(())) for b in (grid.low, grid.high)
            )
            value = replace(value, clip=value.clip.then(*bounds))
            if rounding is not Rounding.EVEN:
                if isinstance(value, Real):
                    value = identity_conv(node.origin, builder, value)
                value = replace(value, rounding=rounding)
        case _ if rounding is not Rounding.EVEN:
            raise ModelError(
                f"rounding mode {grid.rounding} of the model's input is not supported",
                remedy="ROUND is",
                at=node,
            )
    codes = steps.quantised(steps.name(value), scale, zero_point)
    if isinstance(codes, Codes):
        name = builder.names.new(f"{node.outputs[0]}_clamped")
        codes = clamp_codes(node, builder, codes, grid.low, grid.high, name)
    return steps.symbol(dequantize_linear, steps.name(codes), scale, zero_point, axis=1)


def _rounding(node: Node, grid: _Grid) -> Rounding:
    same = {"HALF_EVEN": "ROUND"}
    if grid.low >= 0 and grid.zero_point == 0:  # nothing below 0 is left to tell them apart
        same |= {"DOWN": "FLOOR", "UP": "CEIL"}
    name = same.get(grid.rounding, grid.rounding)
    if name not in {item.value for item in Rounding}:
        raise ModelError(
            f"attribute 'rounding_mode' is {grid.rounding!r}",
            remedy="ROUND, HALF_EVEN, FLOOR and CEIL are supported for activations, UP and DOWN "
            "for unsigned ones",
            at=node,
        )
    return Rounding(name)


def _has_step(builder: Builder, value: Symbol, step: float) -> bool:
    """Whether all values are whole multiples of a step."""
    match value:
        case PendingAverage():
            counts = value.window.kernel[0] * value.window.kernel[1]
            own = np.array([builder.quantisations[value.source].scale / counts])
        case PendingConv() if not value.offset.any():
            own = np.abs(value.scale(builder))
        case Real():
            own = np.array([builder.quantisations[value.tensor].scale])
        case _:
            return False
    ratio = own / step
    return bool(np.all(np.abs(ratio - np.rint(ratio)) < 1e-3 * ratio))


def _constant(node: Node, value: Constant, grid: _Grid) -> QuantisedConstant:
    """Weights and biases."""
    floats, scale = _floats(node, value), _column(grid.scale, value.array.ndim)
    pairs = zip(scale.shape, floats.shape, strict=False)
    if scale.ndim > max(floats.ndim, 1) or any(n not in (1, size) for n, size in pairs):
        raise ModelError(
            f"scale of shape {list(grid.scale.shape)} does not fit the constant of shape "
            f"{list(floats.shape)}",
            at=node,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.clip(floats / scale + np.float32(grid.zero_point), grid.low, grid.high)
    codes = _round_constant(node, ratio.astype(np.float64), grid.rounding)
    return _quantised_constant(codes.astype(np.int64), grid.scale, grid.zero_point)


def _round_constant(node: Node, ratio: np.ndarray, mode: str) -> np.ndarray:
    away = np.sign(ratio)
    match mode:
        case "ROUND" | "HALF_EVEN":
            return np.rint(ratio)
        case "FLOOR":
            return np.floor(ratio)
        case "CEIL":
            return np.ceil(ratio)
        case "UP":
            return away * np.ceil(np.abs(ratio))
        case "DOWN":
            return np.trunc(ratio)
        case "SIGN":
            return np.where(ratio >= 0, 1.0, -1.0)
        case "HALF_UP":
            return away * np.floor(np.abs(ratio) + 0.5)
        case "HALF_DOWN":
            return away * np.ceil(np.abs(ratio) - 0.5)
        case _:
            raise ModelError(f"attribute 'rounding_mode' is {mode!r}; it is not known", at=node)


def _quantised_constant(codes: np.ndarray, scale: np.ndarray, zero: int) -> QuantisedConstant:
    own = scale.reshape(()) if scale.size == 1 else _column(scale, codes.ndim)
    return QuantisedConstant(codes=codes, scale=own, zero_point=np.array(zero, np.int64))


def _column(scale: np.ndarray, rank: int) -> np.ndarray:
    """A scale with leading dimensions of 1, as broadcasting adds them."""
    return scale.reshape((1,) * max(0, rank - scale.ndim) + scale.shape)


def _floats(node: Node, value: Constant) -> np.ndarray:
    if value.array.dtype.kind != "f" or not np.all(np.isfinite(value.array)):
        raise ModelError(f"constant {node.inputs[0]!r} must hold finite floats", at=node)
    return value.array.astype(np.float32)


def _limits(bits: int, signed: bool, narrow: int) -> tuple[int, int]:
    """Least and largest code."""
    if signed:
        return -(1 << bits - 1) + narrow, (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - narrow


def _scale(steps: Steps, index: int) -> np.ndarray:
    scale = steps.array(index, "scale").astype(np.float32)
    if not (scale.size and np.all((scale > 0) & np.isfinite(scale))):
        raise ModelError("every scale must be finite and greater than 0", at=steps.node)
    return scale


def _single(steps: Steps, index: int) -> float:
    scale = _scale(steps, index)
    if scale.size != 1:
        raise ModelError(f"{scale.size} scales", remedy="one is supported", at=steps.node)
    return float(scale.reshape(()))


def _whole(steps: Steps, index: int, what: str) -> int:
    """A constant that has to be one whole number, though stored as floats."""
    values = np.unique(steps.array(index, what).astype(np.float64))
    if values.size != 1 or not float(values[0]).is_integer() or abs(values[0]) > 1 << 24:
        raise ModelError(
            f"{what} {values.tolist()} is not supported",
            remedy="one whole number is",
            at=steps.node,
        )
    return int(values[0])


def _bits(steps: Steps, index: int) -> int:
    bits = _whole(steps, index, "bit width")
    if not 1 <= bits <= MAX_WEIGHT_BITS:
        raise ModelError(
            f"bit width {bits}", remedy=f"1 to {MAX_WEIGHT_BITS} are supported", at=steps.node
        )
    return bits


def float_quant(node: Node, builder: Builder) -> Symbol:
    """FloatQuant: refused, small floats are no integers."""
    raise ModelError(
        "quantisation to small floating-point numbers is not supported",
        remedy="integers are: use Int8WeightPerTensorFloat and the like in Brevitas",
        at=node,
    )


HANDLERS = {
    "BipolarQuant": bipolar_quant,
    "FloatQuant": float_quant,
    "IntQuant": quant,
    "Quant": quant,
    "Trunc": trunc,
}
