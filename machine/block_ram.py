"""Block RAMs of a device family: how many a memory takes."""

import math
from dataclasses import dataclass

from weft.machine.parts import Ram
from weft.value import Value

LUT_RAM = (4, 16)
"""Width and depth of a memory made of LUTs, the same in all families that have one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LutRam(Value):
    """What yosys weighs a block RAM, a memory of LUTs and one of the selects between rows of those,
    per bit, at when it chooses."""

    block_cost: int
    cell_cost: int
    select_cost: float


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockRam(Value):
    """A family's block RAM.

    shapes: width and depth, the widest first. byte_bits: bits that a write enable belongs to, so
    that 8-bit grains leave some unused; None if there is one for each bit. mixes: blocks of several
    shapes lie one behind the other. lut_ram: None if small memories take a block like others.
    """

    shapes: tuple[tuple[int, int], ...]
    byte_bits: int | None = None
    mixes: bool = False
    lut_ram: LutRam | None = None

    def blocks(self, ram: Ram) -> tuple[int, int]:
        """Blocks of a memory, and how many of them lie one behind the other; 0 for a single word
        and where LUTs are cheaper."""
        if ram.depth <= 1:
            return 0, 0
        width, shapes = ram.width, self.shapes
        if self.byte_bits and ram.grain == 8:
            width = width // 8 * self.byte_bits
            shapes = tuple(shape for shape in shapes if shape[0] >= self.byte_bits)
        blocks, behind = self._blocks(width, ram.depth, shapes)
        if self.lut_ram and self._in_luts(self.lut_ram, ram) < self.lut_ram.block_cost * blocks:
            return 0, 0
        return blocks, behind

    def _blocks(
        self, width: int, depth: int, shapes: tuple[tuple[int, int], ...]
    ) -> tuple[int, int]:
        if depth <= 1:
            return 0, 0
        ways = []
        for wide, deep in shapes:
            beside, behind = math.ceil(width / wide), math.ceil(depth / deep)
            ways.append((beside * behind, behind))
            if self.mixes and depth > deep:
                rest, more = self._blocks(width, depth % deep, shapes)
                ways.append((beside * (depth // deep) + rest, depth // deep + more))
        return min(ways)

    @staticmethod
    def _in_luts(cost: LutRam, ram: Ram) -> float:
        rows = math.ceil(ram.depth / LUT_RAM[1])
        cells = rows * math.ceil(ram.width / LUT_RAM[0])
        return cost.cell_cost * cells + cost.select_cost * (rows - 1) * ram.width
