"""Add: the sum or difference of two activations at scales of their own."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.numerics import round_scaled
from weft.nn.ir.operator import Operator, at_corners
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Codes, Tensors

SHIFTS = (24, 32, 40, 48, 56)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Operator):
    """y = a * s_a/s_y + b * s_b/s_y with both factors as integers over one shift.

    multipliers: the two factors times 2**shift, each 0..2**32-1, the second one negative where b is
    subtracted; shift: 24, 32, 40, 48 or 56.
    """

    type: ClassVar[str] = "Add"
    a: str
    b: str
    multipliers: tuple[int, int]
    shift: int
    zero_point_inside: bool = True  # ties go to the even code, not to the even distance from zp

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.a, self.b)

    def check(self, tensors: Tensors) -> None:
        shapes = {tensors[name].shape for name in (self.a, self.b, self.output)}
        need(len(shapes) == 1, f"{self.name!r}: shapes of an Add differ")
        need(self.shift in SHIFTS, f"{self.name!r}: shift {self.shift}")
        first, second = self.multipliers
        need(0 <= first < 1 << 32 and abs(second) < 1 << 32, f"{self.name!r}: multipliers")

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C20 to C22, C29: round((a - za) * ma + (b - zb) * mb), a sum's zero point inside it."""
        a = codes[self.a].astype(np.int64) - tensors[self.a].zero_point
        b = codes[self.b].astype(np.int64) - tensors[self.b].zero_point
        zy = tensors[self.output].zero_point
        product = a * self.multipliers[0] + b * self.multipliers[1]
        odd = self.zero_point_inside and bool(zy & 1)
        rounded = round_scaled(product, np.int64(self.shift), odd=odd)
        return np.clip(rounded + zy, self.low, self.high).astype(np.int8)

    def bounds(self, tensors: Tensors, low: Codes, high: Codes) -> tuple[np.ndarray, np.ndarray]:
        if self.multipliers[1] < 0:  # falls where b rises
            return at_corners(self, self.a, self.b, tensors, low, high)
        return super().bounds(tensors, low, high)
