"""The maximum over a window of values that are not quantised."""

from dataclasses import dataclass, replace

from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.pending import Pending, clipped_span, finish
from weft.nn.onnx.symbols import Quantisation


@dataclass(frozen=True, kw_only=True)
class PendingMaxPool(Pending):
    """The maximum over a window of values that are not quantised: taken of their codes."""

    source: Pending
    window: Window

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        before = finish(builder, self.source, result, builder.names.new(f"{output.name}_before"))
        return MaxPool(
            name=self.origin.name,
            output=output.name,
            input=before.tensor,
            window=self.window,
            **self.codes_range(result),
        )

    def span(self, builder: Builder) -> tuple[float, float] | None:
        return clipped_span(builder, self.source)

    def plus(self, builder: Builder, by: float) -> Pending:
        return replace(self, source=self.source.shifted(builder, by))
