"""Values side by side, quantised or not."""

from dataclasses import dataclass, replace

from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.conv import identity_conv
from weft.nn.onnx.pending.factors import (
    rescale_scaling,
)
from weft.nn.onnx.pending.pending import Pending, clipped_span, finish
from weft.nn.onnx.symbols import Quantisation


@dataclass(frozen=True, kw_only=True)
class PendingConcat(Pending):
    """Tensors side by side along an axis of [C, H, W].

    Parts that are not quantised yet become so here.
    """

    parts: tuple[str | Pending, ...]
    axis: int

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        clamp = self.codes_range(result)
        names, scalings = [], []
        for index, part in enumerate(self.parts):
            if isinstance(part, Pending):
                name = builder.names.new(f"{output.name}_part{index}")
                part = finish(builder, part, result, name).tensor
            scaling, wrong = rescale_scaling(builder.quantisations[part], result, **clamp)
            names.append(part)
            scalings.append(scaling)
            if wrong:
                builder.note(
                    self.origin,
                    f"{wrong} of 256 codes of {part!r} are rescaled differently from ONNX Runtime",
                )
        return Concat(
            name=self.origin.name,
            output=output.name,
            parts=tuple(names),
            scalings=tuple(scalings),
            axis=self.axis,
            **clamp,
        )

    def span(self, builder: Builder) -> tuple[float, float] | None:
        spans = [
            builder.span(part) if isinstance(part, str) else clipped_span(builder, part)
            for part in self.parts
        ]
        known = [span for span in spans if span is not None]
        if len(known) < len(spans):
            return None
        return min(low for low, _ in known), max(high for _, high in known)

    def plus(self, builder: Builder, by: float) -> Pending:
        parts = [
            identity_conv(self.origin, builder, builder.whole(part, self.origin))
            if isinstance(part, str)
            else part
            for part in self.parts
        ]
        return replace(self, parts=tuple(part.shifted(builder, by) for part in parts))
