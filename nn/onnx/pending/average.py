"""The mean over a window of codes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.conv import Gain, PendingConv
from weft.nn.onnx.pending.factors import (
    average_factor,
)
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Quantisation, Rounding


@dataclass(frozen=True, kw_only=True)
class PendingAverage(Pending):
    """A mean over a window. inside: the zero point belongs inside the rounding."""

    source: str
    window: Window
    include_pad: bool
    inside: bool

    rounds: ClassVar[bool] = True

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        if self.rounding is not Rounding.EVEN:
            return self._as_conv(builder).operator(builder, output, result)
        x = builder.quantisations[self.source]
        pool = AveragePool(
            name=self.origin.name,
            output=output.name,
            input=self.source,
            window=self.window,
            counts=(),
            scalings=(),
            include_pad=self.include_pad,
            zero_point_inside=self.inside and bool(result.zero_point & 1),
            **self.codes_range(result),
        )
        sizes = pool.window_counts(*builder.tensors[self.source].shape[1:])
        counts = tuple(int(count) for count in np.unique(sizes))
        if counts[0] == 0:
            raise ModelError(
                "a window lies wholly in the padding", remedy="use less padding", at=self.origin
            )
        factors = [average_factor(x, count, result) for count in counts]
        if not all(np.isfinite(factor) for factor in factors):
            raise ModelError("the scale factor s_x / s_y overflows float32", at=self.origin)
        return pool.replace(counts=counts, scalings=tuple(scaling_of(f) for f in factors))

    def _as_conv(self, builder: Builder) -> PendingConv:
        """The same mean as a depthwise convolution by 1, which can round otherwise."""
        channels, height, width = builder.tensors[self.source].shape
        count = self.window.kernel[0] * self.window.kernel[1]
        pool = AveragePool(
            name="",
            output="",
            input=self.source,
            window=self.window,
            counts=(),
            scalings=(),
            include_pad=self.include_pad,
        )
        if np.any(pool.window_counts(height, width) != count):
            raise ModelError(
                f"rounding mode {self.rounding.value} behind a mean that leaves padding out is "
                "not supported",
                remedy="ROUND is",
                at=self.origin,
            )
        return PendingConv(
            origin=self.origin,
            own_shape=self.own_shape,
            shape=self.shape,
            clip=self.clip,
            rounding=self.rounding,
            source=self.source,
            weight=np.ones((channels, 1, *self.window.kernel), np.int16),
            weight_scale=np.ones(1, np.float32),
            bias=np.zeros(channels, np.int64),
            window=self.window,
            groups=channels,
            behind=Gain(gain=np.full(channels, 1 / count), offset=np.zeros(channels)),
        )
