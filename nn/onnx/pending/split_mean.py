"""A mean of values that were never quantised: each value as the sum of several codes.

``Conv -> Relu -> MaxPool -> Mean -> Q`` leaves values real (PyTorch 2 export). The one before the
mean is quantised several times, each time over the next part of its range: like the columns of
mercury in a row of thermometers, their sum is the value, and a maximum of such codes is the codes
of the maximum. Where values begin at 0, most are small: each part has twice the step of the one
below it.
"""

from dataclasses import dataclass

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.tensor import CODE_MIN, Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.conv import Gain, PendingConv
from weft.nn.onnx.pending.pending import Pending, clipped_span, finish
from weft.nn.onnx.symbols import Quantisation

SPAN = 255  # steps of one code
FINER = 4  # steps of the value per step of the mean, if that takes no more than MAX_CODES codes
MAX_CODES = 5


@dataclass(frozen=True, kw_only=True)
class PendingSplitMean(Pending):
    """The mean over a window without padding."""

    source: Pending
    window: Window

    def span(self, builder: Builder) -> tuple[float, float] | None:
        return clipped_span(builder, self.source)

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        span = clipped_span(builder, self.source)
        if span is None:
            raise ModelError(
                f"input from node {self.source.origin.name!r} is not quantised, and its range is "
                "not known: put QuantizeLinear and DequantizeLinear between them",
                at=self.origin,
            )
        count = self.window.kernel[0] * self.window.kernel[1]
        low, high = span
        if low >= 0:  # beyond this the mean saturates, whatever the others are
            high = min(high, count * (127 - result.code_zero_point) * result.scale)
        step, parts = _parts(max(high - low, result.scale), result.scale / FINER, low >= 0)
        steps = f"{step:.3g}" + (f" to {step * parts[-1]:.3g}" if parts[-1] > 1 else "")
        builder.note(
            self.origin,
            f"its input is not quantised; it is taken in steps of {steps}, "
            f"{step / result.scale:.2g} of the output's",
        )
        source = self._codes(builder, output.name, low, step, parts)
        channels = self.own_shape[1]
        weight = np.kron(parts, np.eye(channels)).astype(np.int16)[:, :, None, None]
        conv = PendingConv(
            origin=self.origin,
            own_shape=self.own_shape,
            shape=self.shape,
            clip=self.clip,
            rounding=self.rounding,
            source=source,
            weight=np.broadcast_to(weight, (*weight.shape[:2], *self.window.kernel)).copy(),
            weight_scale=np.ones(1, np.float32),
            bias=np.zeros(channels, np.int64),
            window=self.window,
            groups=1,
            behind=Gain(gain=np.full(channels, 1 / count), offset=np.full(channels, low)),
        )
        return conv.operator(builder, output, result)

    def _codes(self, builder: Builder, name: str, low: float, step: float, parts: list[int]) -> str:
        """The tensor [n_parts * C, H, W] of the source's codes, in steps of ``parts`` steps."""
        codes, begin = [], low
        for index, part in enumerate(parts):
            quantisation = Quantisation(scale=step * part, zero_point=CODE_MIN, dtype="int8")
            value = self.source.shifted(builder, -begin)
            own = builder.names.new(f"{name}_code{index}")
            codes.append(finish(builder, value, quantisation, own).tensor)
            begin += SPAN * step * part
        if len(parts) == 1:
            return codes[0]
        first = builder.tensors[codes[0]]
        shape = (first.shape[0] * len(parts), *first.shape[1:])
        quantisation = Quantisation(scale=step, zero_point=CODE_MIN, dtype="int8")
        concat = Concat(
            name=builder.operator_names.new(f"{self.origin.name}_codes"),
            output=builder.names.new(f"{name}_codes"),
            parts=tuple(codes),
            scalings=(scaling_of(1.0),) * len(parts),
        )
        builder.add(
            self.origin, concat, first.replace(name=concat.output, shape=shape), quantisation
        )
        return concat.output


def _parts(width: float, finest: float, growing: bool) -> tuple[float, list[int]]:
    """A step, and how many of it a step of each part has: parts of SPAN steps that fill ``width``.

    As many parts as a step of ``finest`` takes, at most MAX_CODES; each twice as wide as the one
    before if ``growing``.
    """
    ways = [[1 << i if growing else 1 for i in range(n)] for n in range(1, MAX_CODES + 1)]
    steps = [float(np.float32(width / (SPAN * sum(way)))) for way in ways]
    chosen = next((i for i, step in enumerate(steps) if step <= finest), MAX_CODES - 1)
    return steps[chosen], ways[chosen]
