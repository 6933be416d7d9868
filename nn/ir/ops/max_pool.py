"""MaxPool: the largest code of a window."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import CODE_MIN, Codes, Tensors
from weft.nn.ir.window import Window, check_pool, windows


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Operator):
    """Maximum over a window; input and output have one scale and zero point."""

    type: ClassVar[str] = "MaxPool"
    input: str
    window: Window

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, tensors: Tensors) -> None:
        source, output = tensors[self.input], tensors[self.output]
        same = source.same_values(output)
        need(same, f"{self.name!r}: a MaxPool keeps scale and zero point")
        check_pool(self.name, self.window, source, output)

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C30, C31: the largest code of the window; padding never wins."""
        view = windows(codes[self.input], self.window, CODE_MIN)
        return np.clip(view.max(axis=(4, 5)), self.low, self.high).astype(np.int8)
