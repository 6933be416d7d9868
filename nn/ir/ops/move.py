"""Move: rows and columns of a tensor in any order and number."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN, Codes, Tensors


@dataclass(frozen=True, kw_only=True, eq=False)
class Move(Operator):
    """Rows and columns of a tensor, in any order and number, at the same scale.

    rows: for each output row the input's, or -1 for one that holds ``fill``; cols likewise.
    swap: the input's height and width change places first.
    """

    type: ClassVar[str] = "Move"
    input: str
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    fill: int = 0
    swap: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, tensors: Tensors) -> None:
        name, source, output = self.name, tensors[self.input], tensors[self.output]
        size = source.shape[:0:-1] if self.swap else source.shape[1:]
        need(source.same_values(output), f"{name!r}: a Move keeps scale and zero point")
        shape = (source.shape[0], len(self.rows), len(self.cols))
        need(
            output.shape == shape, f"{name!r}: shape {output.shape}, rows and columns give {shape}"
        )
        for places, length in zip((self.rows, self.cols), size, strict=True):
            inside = all(-1 <= place < length for place in places)
            need(inside, f"{name!r}: rows or columns outside the image")
        need(CODE_MIN <= self.fill <= CODE_MAX, f"{name!r}: fill {self.fill}")
        filled = min(*self.rows, *self.cols) < 0
        need(not (self.swap and filled), f"{name!r}: both swaps and fills")

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C65: each output row and column is one of the input's, or the fill."""
        source = codes[self.input]
        if self.swap:
            source = source.swapaxes(2, 3)
        rows, cols = np.array(self.rows), np.array(self.cols)
        outside = (rows < 0)[:, None] | (cols < 0)
        moved = np.where(outside, np.int8(self.fill), source[:, :, rows[:, None], cols])
        return np.clip(moved, self.low, self.high).astype(np.int8)
