"""The sum or difference of two tensors."""

from dataclasses import dataclass

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.add import Add
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.pending.factors import (
    add_factors,
)
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.symbols import Quantisation


@dataclass(frozen=True, kw_only=True)
class PendingAdd(Pending):
    """A sum of two tensors, or with ``minus`` their difference."""

    a: str
    b: str
    minus: bool = False

    def span(self, builder: Builder) -> tuple[float, float]:
        a, b = builder.span(self.a), builder.span(self.b)
        if self.minus:
            return a[0] - b[1], a[1] - b[0]
        return a[0] + b[0], a[1] + b[1]

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        a, b = builder.quantisations[self.a], builder.quantisations[self.b]
        clamp = self.codes_range(result)
        factors = add_factors(a, b, result, minus=self.minus, **clamp)
        if factors is None:
            raise ModelError(
                "an input's scale is 256 or more times the output's scale",
                remedy="less is supported",
                at=self.origin,
            )
        multipliers, shift, wrong = factors
        if wrong:
            done = "subtracted" if self.minus else "added"
            builder.note(
                self.origin,
                f"{wrong} of 65536 pairs of codes are {done} differently from ONNX Runtime",
            )
        return Add(
            name=self.origin.name,
            output=output.name,
            a=self.a,
            b=self.b,
            multipliers=multipliers,
            shift=shift,
            zero_point_inside=not self.minus,
            **clamp,
        )
