"""Weights of four bits, two of them in each DSP block without any logic beside it.

An 18-bit operand holds the second weight 14 bits above the first one. The product of the first one
and an activation has 11 bits, so all that it does to the second's is to borrow 1.
"""

from dataclasses import dataclass

import numpy as np

from weft.machine.rows import RowFormat

BITS, SHIFT = 4, 14
LIMIT = 7
PRODUCT_BITS = 11
"""Bits of -7..7 times -128..127."""


@dataclass(frozen=True, kw_only=True)
class PairRow(RowFormat):
    """Two weights to a field of eight bits and to a multiplier; an odd column has one to itself.

    The upper half holds the second weight, less 1 where the first is negative: with the first one's
    sign between them the halves are the operand as it is.
    """

    def fields(self, columns: int) -> int:
        return (columns + 1) // 2

    def field_bits(self, weight_bits: int) -> int:
        return 2 * BITS

    def product_bits(self, weight_bits: int) -> int:
        return PRODUCT_BITS

    def limits(self, weight_bits: int) -> tuple[int, int]:
        return -LIMIT, LIMIT

    def pack(self, weights: np.ndarray) -> np.ndarray:
        wide = weights.astype(np.int64)
        if wide.shape[-1] % 2:
            wide = np.concatenate([wide, np.zeros_like(wide[..., :1])], axis=-1)
        low, high = wide[..., 0::2], wide[..., 1::2]
        return ((high - (low < 0)) << BITS) + (low & (1 << BITS) - 1)


PAIR_ROW = PairRow(latency=2)
