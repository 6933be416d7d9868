"""The product of two tensors."""

from dataclasses import dataclass

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.factors import (
    product_scaling,
)
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Quantisation


@dataclass(frozen=True, kw_only=True)
class PendingMul(Pending):
    """A product of two tensors."""

    a: str
    b: str

    def span(self, builder: Builder) -> tuple[float, float]:
        a, b = builder.span(self.a), builder.span(self.b)
        corners = [x * y for x in a for y in b]
        return min(corners), max(corners)

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        a, b = builder.quantisations[self.a], builder.quantisations[self.b]
        clamp = self.codes_range(result)
        found = product_scaling(a, b, result, **clamp)
        if found is None:
            raise ModelError(
                f"scales {a.scale:g} and {b.scale:g} over {result.scale:g} are beyond float32",
                at=self.origin,
            )
        scaling, wrong = found
        if wrong:
            builder.note(
                self.origin,
                f"{wrong} of 65536 pairs of codes are multiplied differently from ONNX Runtime",
            )
        return Mul(
            name=self.origin.name, output=output.name, a=self.a, b=self.b, scaling=scaling, **clamp
        )
