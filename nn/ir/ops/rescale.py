"""Rescale: the same values at another scale, zero point or clamp."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.numerics import Scaling, check_scaling, requantise
from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Codes, Tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Rescale(Operator):
    """The same values at another scale, zero point or clamp (Q -> DQ -> Relu -> Q)."""

    type: ClassVar[str] = "Rescale"
    input: str
    scaling: Scaling  # of length 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, tensors: Tensors) -> None:
        same = tensors[self.input].shape == tensors[self.output].shape
        need(same, f"{self.name!r}: shapes differ")
        check_scaling(self.name, self.scaling, 1)

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C50: the same values at the output's scale and zero point."""
        centred = codes[self.input].astype(np.int64) - tensors[self.input].zero_point
        zy = tensors[self.output].zero_point
        return requantise(centred, self.scaling, zy, self.low, self.high)
