"""A tensor's own values on their way to another quantisation."""

from dataclasses import dataclass

from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.origin import Origin
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.conv import identity_conv
from weft.nn.onnx.pending.factors import (
    rescale_scaling,
)
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Quantisation, Real


@dataclass(frozen=True, kw_only=True)
class PendingRescale(Pending):
    """A tensor's own values, perhaps clamped, on their way to another quantisation."""

    source: str

    def span(self, builder: Builder) -> tuple[float, float]:
        return builder.span(self.source)

    def plus(self, builder: Builder, by: float) -> Pending:
        value = Real(tensor=self.source, shape=self.shape, origin=self.origin, order=self.order)
        return identity_conv(self.origin, builder, value).plus(builder, by)

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        clamp = self.codes_range(result)
        scaling, wrong = rescale_scaling(builder.quantisations[self.source], result, **clamp)
        if wrong:
            builder.note(
                self.origin, f"{wrong} of 256 codes are rescaled differently from ONNX Runtime"
            )
        return Rescale(
            name=self.origin.name, output=output.name, input=self.source, scaling=scaling, **clamp
        )


def rescaled(builder: Builder, value: Real, origin: Origin) -> PendingRescale:
    """A tensor's values, on their way to another quantisation."""
    return PendingRescale(
        origin=origin,
        own_shape=(1, *builder.tensors[value.tensor].shape),
        shape=value.shape,
        clip=value.clip,
        order=value.order,
        source=value.tensor,
    )
