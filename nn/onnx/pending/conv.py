"""A convolution on its way to its output's quantisation, and the integers that it becomes."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.note import NoteKind
from weft.nn.ir.numerics import requantise, scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import CODE_MIN, Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.affine_fit import Affine, Fit, fit
from weft.nn.onnx.pending.code_values import CodeValues
from weft.nn.onnx.pending.factors import conv_factors
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.pending.piecewise import piecewise
from weft.nn.onnx.symbols import Quantisation, Real, Rounding

WEIGHT_LIMIT = 127  # weights are multiplied up to here: within 8 bits, and two share a multiplier
MAX_WRONG = 0.01  # of the codes: up to here a note is worth more than another operator
MAX_TABLE = 1 << 16  # codes between the two convolutions of a table: small images, and vectors


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What stands behind an accumulator: value * gain + offset, float64 [C_out] each."""

    gain: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PendingConv(Pending):
    """A convolution that waits for its output's quantisation.

    weight: int16 [C_out, C_in / groups, kh, kw]; weight_scale: float32 [C_out] or [1];
    bias: int64 [C_out] at scale s_x * s_w. behind: None for what an integer kernel can do alone.
    known: of an activation with constants behind it, and no weights, what each code becomes.
    """

    source: str
    weight: np.ndarray
    weight_scale: np.ndarray
    bias: np.ndarray
    window: Window
    groups: int
    behind: Gain | None = None
    approximate: bool = False  # part of something that is noted as a whole
    known: CodeValues | None = None

    rounds: ClassVar[bool] = True

    @property
    def channels(self) -> int:
        """C_out."""
        return self.weight.shape[0]

    def scale(self, builder: Builder) -> np.ndarray:
        """Real value of one accumulator step, float64 [C_out]; negative where the gain is."""
        product = np.float32(builder.quantisations[self.source].scale) * self.weight_scale
        gain = 1.0 if self.behind is None else self.behind.gain
        return np.broadcast_to(product.astype(np.float64) * gain, (self.channels,))

    @property
    def offset(self) -> np.ndarray:
        """What is added in real values, float64 [C_out]."""
        return np.zeros(self.channels) if self.behind is None else self.behind.offset

    def then(
        self,
        gain: np.ndarray | float,
        offset: np.ndarray | float,
        known: CodeValues | None = None,
    ) -> "PendingConv":
        """value * gain + offset, of one value or [C_out]."""
        shape = (self.channels,)
        before = self.behind or Gain(gain=np.ones(shape), offset=np.zeros(shape))
        after = Gain(
            gain=np.broadcast_to(before.gain * gain, shape),
            offset=np.broadcast_to(before.offset * gain + offset, shape),
        )
        return replace(self, behind=after, known=known)

    def plus(self, builder: Builder, by: float) -> "PendingConv":
        return replace(self.then(1.0, by), approximate=True)

    def span(self, builder: Builder) -> tuple[float, float]:
        bounds = np.stack(accumulator_range(self, builder)) * self.scale(builder) + self.offset
        return float(bounds.min()), float(bounds.max())

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        if self.behind is not None or self.rounding is not Rounding.EVEN:
            return self._fitted(builder, output, result)
        x = builder.quantisations[self.source]
        with np.errstate(over="ignore", under="ignore"):
            factors = conv_factors(x, self.weight_scale, result)
        if not np.all(np.isfinite(factors)):
            raise ModelError("the scale factor s_x * s_w / s_y overflows float32", at=self.origin)
        conv = self._conv(output, result, self.weight, self.bias, factors)
        self._check_bounds(builder, conv, factors, result)
        return conv

    def _conv(
        self,
        output: Tensor,
        result: Quantisation,
        weight: np.ndarray,
        bias: np.ndarray,
        factors: np.ndarray,
    ) -> Conv:
        return Conv(
            name=self.origin.name,
            output=output.name,
            input=self.source,
            weight=weight.astype(np.int16),
            bias=bias,
            scaling=scaling_of(factors),
            window=self.window,
            groups=self.groups,
            **self.codes_range(result),
        )

    def _fitted(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        """With something behind the accumulator that float32's multiplication alone cannot do."""
        scale = self.scale(builder) / result.scale
        flip = np.where(scale < 0, -1, 1)
        weight = self.weight * flip[:, None, None, None]
        straight = replace(self, weight=weight, bias=np.zeros(self.channels, np.int64))
        largest = np.abs(weight).reshape(self.channels, -1).max(axis=1, initial=1)
        wanted = Affine(
            slope=np.abs(scale),
            offset=self.bias * scale + self.offset / result.scale,
            reach=accumulator_range(straight, builder),
            limit=np.maximum(WEIGHT_LIMIT // np.maximum(largest, 1), 1),
            zero_point=result.code_zero_point,
            rounding=self.rounding,
            table=self._table(builder, result, flip),
            **self.codes_range(result),
        )
        found = fit(wanted)
        if found.wrong and not self.approximate:
            exact = self._exact(builder, output, result, found)
            if exact is not None:
                return exact
            builder.note(self.origin, self._differences(found))
        weight = weight * found.multiplier[:, None, None, None]
        conv = self._conv(output, result, weight, found.bias, found.factor)
        fitted = replace(straight, weight=weight, bias=found.bias)
        fitted._check_bounds(builder, conv, found.factor, result)
        return conv

    def _table(self, builder: Builder, result: Quantisation, flip: np.ndarray) -> np.ndarray | None:
        """The wanted codes [C, n] of all accumulators within reach, where they are known."""
        if self.known is None or self.rounding is not Rounding.EVEN:
            return None
        low, high = (code - CODE_MIN for code in builder.ranges[self.source])
        codes = self.known.codes(result, **self.codes_range(result))[:, low : high + 1]
        return np.where(flip[:, None] < 0, codes[:, ::-1], codes)

    def _exact(
        self, builder: Builder, output: Tensor, result: Quantisation, found: Fit
    ) -> Operator | None:
        """What gives every code that is known; None where that costs more than it is worth."""
        if self.known is None or found.wrong <= found.of * MAX_WRONG:
            return None
        clamp = self.codes_range(result)
        codes = self.known.codes(result, **clamp)
        source, bounds = builder.tensors[self.source], (clamp["low"], clamp["high"])
        return piecewise(
            builder, self.origin, source, codes, output, result, bounds, most=MAX_TABLE
        )

    def _differences(self, found: Fit) -> str:
        """The note of what the integers do not reach."""
        if self.known is not None and self.rounding is Rounding.EVEN:
            return (
                f"{found.wrong} of {found.of} codes, counted over all channels, "
                "become another one than with ONNX Runtime"
            )
        return (
            f"{found.wrong} of the {found.of} accumulators next to a step of the "
            "output code get the code beside it, since the offset is an integer"
        )

    def _check_bounds(
        self, builder: Builder, conv: Conv, factors: np.ndarray, result: Quantisation
    ) -> None:
        """Accumulators must fit 32 bits; beyond 24 bits float32 is no longer exact."""
        low, high = accumulator_range(self, builder)
        worst = np.maximum(np.abs(low), np.abs(high))
        if worst.max(initial=0) >= 1 << 31:
            channel = int(worst.argmax())
            raise ModelError(
                f"output channel {channel} can reach an accumulator of {worst[channel]}, beyond "
                "32 bits",
                remedy="use fewer inputs per output or smaller weights",
                at=self.origin,
            )
        # From 256 output steps on both ways of rounding saturate.
        large = (worst >= 1 << 24) & (factors.astype(np.float64) * (1 << 24) < 256)
        # Channels without weights have one accumulator only, which can be tried.
        acc = np.where(low == high, low, 0)
        got = requantise(
            acc.reshape(1, -1, 1, 1), conv.scaling, result.code_zero_point, conv.low, conv.high
        ).reshape(-1)
        rounded = np.rint(acc.astype(np.float32) * factors).astype(np.float64)
        wanted = np.clip(rounded + result.code_zero_point, conv.low, conv.high)
        large &= (low != high) | (got != wanted)
        if large.any():
            bits = float(np.log2(worst[large].max()))
            builder.note(
                self.origin,
                f"worst-case accumulator 2^{bits:.1f} exceeds float32's 24 bits; exact unless "
                "reached",
                NoteKind.ACCUMULATOR,
            )


def accumulator_range(conv: PendingConv, builder: Builder) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest accumulator [C_out] over all inputs that can occur."""
    zero_point = builder.tensors[conv.source].zero_point
    low, high = (code - zero_point for code in builder.ranges[conv.source])
    if any(conv.window.pads) or conv.window.stretch != (1, 1):
        low, high = min(low, 0), max(high, 0)
    weight = conv.weight.reshape(conv.weight.shape[0], -1).astype(np.int64)
    top = np.maximum(weight * low, weight * high).sum(axis=1) + conv.bias
    bottom = np.minimum(weight * low, weight * high).sum(axis=1) + conv.bias
    return bottom, top


def identity_conv(origin: Origin, builder: Builder, value: Real) -> PendingConv:
    """A quantised activation as the result of a 1x1 depthwise convolution by 1."""
    tensor = builder.tensors[value.tensor]
    channels = tensor.shape[0]
    return PendingConv(
        origin=origin,
        own_shape=(1, *tensor.shape),
        shape=value.shape,
        clip=value.clip,
        order=value.order,
        source=value.tensor,
        weight=np.ones((channels, 1, 1, 1), np.int16),
        weight_scale=np.ones(1, np.float32),
        bias=np.zeros(channels, np.int64),
        window=Window(kernel=(1, 1)),
        groups=channels,
    )
