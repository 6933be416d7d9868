"""Moved values that are not quantised."""

from dataclasses import dataclass, replace

from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import pick
from weft.nn.onnx.pending.pending import Pending, clipped_span, finish
from weft.nn.onnx.symbols import Quantisation
from weft.nn.onnx.views import Picks


@dataclass(frozen=True, kw_only=True)
class PendingMove(Pending):
    """Moved values that are not quantised, or not filled with a code: moved as codes."""

    source: Pending
    picks: Picks
    fill: float

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        before = finish(builder, self.source, result, builder.names.new(f"{output.name}_before"))
        fill = result.code_of(self.fill)
        name = pick(builder, self.origin, before.tensor, self.picks, f"{output.name}_moved", fill)
        return Rescale(  # does nothing, or clamps
            name=self.origin.name,
            output=output.name,
            input=name,
            scaling=scaling_of(1.0),
            **self.codes_range(result),
        )

    def span(self, builder: Builder) -> tuple[float, float] | None:
        span = clipped_span(builder, self.source)
        if span is None or not self.picks.filled:
            return span
        return min(span[0], self.fill), max(span[1], self.fill)

    def plus(self, builder: Builder, by: float) -> Pending:
        return replace(self, source=self.source.shifted(builder, by), fill=self.fill + by)
