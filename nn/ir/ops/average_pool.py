"""AveragePool: the mean of a window; a global pool is a window of the whole image."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from weft.nn.ir.numerics import Scaling, check_scaling, requantise
from weft.nn.ir.operator import Operator
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import Codes, Tensors
from weft.nn.ir.window import Window, check_pool, windows


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Operator):
    """Mean over a window, rescaled; a global pool is a window of the whole image.

    ``scalings[i]`` belongs to windows of ``counts[i]`` averaged elements, factor
    s_x / (counts[i] * s_y). Where padding counts as elements, counts holds one number.
    """

    type: ClassVar[str] = "AveragePool"
    input: str
    window: Window
    counts: tuple[int, ...]
    scalings: tuple[Scaling, ...]  # each of length 1
    include_pad: bool = False
    zero_point_inside: bool = False  # ties go to the even code, not to the even distance from zp

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    def check(self, tensors: Tensors) -> None:
        name, source = self.name, tensors[self.input]
        check_pool(name, self.window, source, tensors[self.output])
        need(len(self.counts) == len(self.scalings) > 0, f"{name!r}: one scaling per count")
        for scaling in self.scalings:
            check_scaling(name, scaling, 1)
        counts = set(self.window_counts(*source.shape[1:]).reshape(-1).tolist())
        need(counts == set(self.counts) and 0 not in counts, f"{name!r}: counts {counts}")

    def window_counts(self, height: int, width: int) -> np.ndarray:
        """C41: number of elements [OH, OW] that each window's sum is divided by."""
        inside = np.ones((1, 1, height, width), dtype=np.int64)
        fill = 1 if self.include_pad else 0
        return windows(inside, self.window, fill).sum(axis=(4, 5))[0, 0]

    def compute(self, tensors: Tensors, codes: Codes) -> np.ndarray:
        """C40 to C43: sum(x - zx) times s_x / (count * s_y), one factor per count."""
        centred = codes[self.input].astype(np.int64) - tensors[self.input].zero_point
        acc = windows(centred, self.window, 0).sum(axis=(4, 5))
        counts = self.window_counts(*centred.shape[2:])
        zy = tensors[self.output].zero_point
        odd = self.zero_point_inside and bool(zy & 1)
        result = np.empty(acc.shape, dtype=np.int8)
        for count, scaling in zip(self.counts, self.scalings, strict=True):
            here = counts == count
            sums = acc[:, :, here][..., None]
            picked = requantise(sums, scaling, zy, self.low, self.high, odd=odd)
            result[:, :, here] = picked[..., 0]
        return result
