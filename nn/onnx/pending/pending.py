"""Values that wait for a quantisation: each kind knows the operator that it becomes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.symbols import Clip, Codes, Quantisation, Rounding, Unquantised


@dataclass(frozen=True, kw_only=True)
class Pending(Unquantised, ABC):
    """Base of the kinds; its operator is made once its QuantizeLinear is met."""

    rounds: ClassVar[bool] = False  # in ways other than half to even, too

    @abstractmethod
    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        """The operator that writes ``output``, clamped as ``codes_range`` says.

        Others that it needs are added to the builder before it.
        """

    def span(self, builder: Builder) -> tuple[float, float] | None:
        """Bounds of the real values before ``clip``; None where they are not known."""
        return None

    def plus(self, builder: Builder, by: float) -> "Pending":
        """The real values before ``clip`` plus a constant."""
        raise ModelError(
            "a mean of its result, which is not quantised, is not supported: put QuantizeLinear "
            "and DequantizeLinear behind it",
            at=self.origin,
        )

    def shifted(self, builder: Builder, by: float) -> "Pending":
        """The real values plus a constant, their clamp with them."""
        if by == 0.0:
            return self
        clip = Clip(low=self.clip.low + by, high=self.clip.high + by)
        return replace(self.plus(builder, by), clip=clip)


def clipped_span(builder: Builder, value: Pending) -> tuple[float, float] | None:
    """Bounds of a value's real numbers, its clamp included."""
    span = value.span(builder)
    if span is None:
        return None
    low, high = (min(max(bound, value.clip.low), value.clip.high) for bound in span)
    return low, high


def finish(builder: Builder, pending: Pending, quantisation: Quantisation, output: str) -> Codes:
    """Make the operator of a pending result, now that its output's quantisation is known.

    output: the tensor's name, which nothing else may have.
    """
    if pending.rounding is not Rounding.EVEN and not pending.rounds:
        raise ModelError(
            f"rounding mode {pending.rounding.value} behind it is not supported",
            remedy="ROUND is",
            at=pending.origin,
        )
    tensor = builder.new_tensor(output, pending.own_shape, quantisation, pending.origin)
    builder.add(
        pending.origin, pending.operator(builder, tensor, quantisation), tensor, quantisation
    )
    return Codes(tensor=output, shape=pending.shape, order=pending.order)
