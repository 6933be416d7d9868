"""Reshape: the same codes in another [C, H, W]."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN, Codes, Tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Operator):
    """The same codes in another [C, H, W], element order of the C-contiguous array kept."""

    type: ClassVar[str] = "Reshape"
    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, tensors: Tensors) -> None:
        name, source, output = self.name, tensors[self.input], tensors[self.output]
        need(source.same_values(output), f"{name!r}: a Reshape keeps scale and zero point")
        need(source.size == output.size, f"{name!r}: a Reshape keeps the elements")
        unclamped = (self.low, self.high) == (CODE_MIN, CODE_MAX)
        need(unclamped, f"{name!r}: a Reshape does not clamp")

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C70: the same codes in the same order."""
        source = codes[self.input]
        return source.reshape(source.shape[0], *tensors[self.output].shape)
