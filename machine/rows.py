"""How a row of the array keeps and multiplies its weights, one format for each kind of multiplier.

A row's N weights lie in the fields of one memory word, which a format packs them into. The hardware
of each format is in ``weft.hw.rows``.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """A weight to a field, a multiplier to a weight; ``latency``: cycles from weight to product."""

    latency: int

    def check(self, columns: int, weight_bits: int) -> None:
        """Raise ValueError where the array cannot have so many columns or bits of a weight."""

    def fields(self, columns: int) -> int:
        """Fields of a row's word."""
        return columns

    def field_bits(self, weight_bits: int) -> int:
        """Bits of a field."""
        return weight_bits

    def product_bits(self, weight_bits: int) -> int:
        """Bits of the product of a weight and an activation."""
        return weight_bits + 8

    def limits(self, weight_bits: int) -> tuple[int, int]:
        """The smallest and the largest weight."""
        return -1 << weight_bits - 1, (1 << weight_bits - 1) - 1

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """Weights [..., N] as the numbers of their fields [..., fields]."""
        return weights


@dataclass(frozen=True, kw_only=True)
class PackedRow(RowFormat):
    """Two columns to a multiplier and to a field: the second weight shifted, plus the first."""

    FIELD_BITS = 18
    SHIFT = 10

    def check(self, columns: int, weight_bits: int) -> None:
        if columns % 2 or weight_bits != 8:
            raise ValueError(
                "packed multipliers need an even number of columns and 8-bit weights, not "
                f"{columns} columns and {weight_bits} bits"
            )

    def fields(self, columns: int) -> int:
        return columns // 2

    def field_bits(self, weight_bits: int) -> int:
        return self.FIELD_BITS

    def limits(self, weight_bits: int) -> tuple[int, int]:
        return -127, 127

    def pack(self, weights: np.ndarray) -> np.ndarray:
        low, high = weights[..., 0::2].astype(np.int64), weights[..., 1::2].astype(np.int64)
        return (high << self.SHIFT) + low


@dataclass(frozen=True, kw_only=True)
class DualRow(RowFormat):
    """Two columns to a DSP block that splits into two multipliers; each weight has its field."""

    def check(self, columns: int, weight_bits: int) -> None:
        if weight_bits != 8:
            raise ValueError(f"dual multipliers need 8-bit weights, not {weight_bits} bits")
