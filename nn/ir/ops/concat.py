"""Concat: tensors side by side, each brought to the output's scale."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.numerics import Scaling, check_scaling, requantise
from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Codes, Tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Operator):
    """Tensors side by side along an axis of [C, H, W], each rescaled to the output's scale."""

    type: ClassVar[str] = "Concat"
    parts: tuple[str, ...]
    scalings: tuple[Scaling, ...]  # one of length 1 per part
    axis: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.parts

    def check(self, tensors: Tensors) -> None:
        name, output, axis = self.name, tensors[self.output], self.axis
        parts = [tensors[part] for part in self.parts]
        need(len(parts) == len(self.scalings) > 0, f"{name!r}: one scaling per part")
        for scaling in self.scalings:
            check_scaling(name, scaling, 1)
        need(axis in (0, 1, 2), f"{name!r}: axis {axis}")
        others = {part.shape[:axis] + part.shape[axis + 1 :] for part in (*parts, output)}
        need(len(others) == 1, f"{name!r}: sizes beside the axis")
        total = sum(part.shape[axis] for part in parts)
        need(total == output.shape[axis], f"{name!r}: sizes along the axis")

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C60: each part as a Rescale does it, then side by side along the axis."""
        zy = tensors[self.output].zero_point
        legs = []
        for part, scaling in zip(self.parts, self.scalings, strict=True):
            centred = codes[part].astype(np.int64) - tensors[part].zero_point
            legs.append(requantise(centred, scaling, zy, self.low, self.high))
        return np.concatenate(legs, axis=1 + self.axis)
