"""Mul: the product of two activations, or of an image and one value per channel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.numerics import Scaling, check_scaling, requantise
from weft.nn.ir.operator import Operator, at_corners
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Codes, Tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Mul(Operator):
    """y = a * b, rescaled; b has a's shape, or one element per channel (a gate)."""

    type: ClassVar[str] = "Mul"
    a: str
    b: str
    scaling: Scaling  # of length 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.a, self.b)

    def check(self, tensors: Tensors) -> None:
        a, b = tensors[self.a].shape, tensors[self.b].shape
        need(a == tensors[self.output].shape, f"{self.name!r}: shapes of a Mul differ")
        need(b in (a, (a[0], 1, 1)), f"{self.name!r}: shapes of a Mul's factors")
        check_scaling(self.name, self.scaling, 1)

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C27, C28: acc = (a - za) * (b - zb), the zero point inside the rounding."""
        a = codes[self.a].astype(np.int64) - tensors[self.a].zero_point
        b = codes[self.b].astype(np.int64) - tensors[self.b].zero_point
        zy = tensors[self.output].zero_point
        return requantise(a * b, self.scaling, zy, self.low, self.high, odd=bool(zy & 1))

    def bounds(self, tensors: Tensors, low: Codes, high: Codes) -> tuple[np.ndarray, np.ndarray]:
        return at_corners(self, self.a, self.b, tensors, low, high)
