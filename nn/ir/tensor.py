"""The graph's tensors: int8 codes [C, H, W] with one scale and one zero point."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weft.value import Value

CODE_MIN, CODE_MAX = -128, 127

Codes = Mapping[str, np.ndarray]
"""int8 [N, C, H, W] by tensor name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor(Value):
    """One int8 tensor [C, H, W]; real value = (code - zero_point) * scale."""

    name: str
    shape: tuple[int, int, int]
    scale: float  # the float32 of the model, exactly
    zero_point: int  # in int8 codes, -128..127

    def _check(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"tensor {self.name!r} must have shape [C, H, W], not {self.shape}")
        if not CODE_MIN <= self.zero_point <= CODE_MAX:
            raise ValueError(f"tensor {self.name!r}: zero point {self.zero_point} is not int8")

    @property
    def size(self) -> int:
        """Number of elements."""
        channels, height, width = self.shape
        return channels * height * width

    def same_values(self, other: "Tensor") -> bool:
        """Whether equal codes mean equal values: scale and zero point agree."""
        return (self.scale, self.zero_point) == (other.scale, other.zero_point)


Tensors = Mapping[str, Tensor]
