"""Device families, as far as the choice of an engine goes: one entry for each, nothing assumed.

What is measured (LUTs and flip-flops of each part of an engine) is in ``machine/costs/NAME.json``;
``bench/resources.py`` holds it against yosys and fits it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from weft.machine.block_ram import BlockRam, LutRam
from weft.machine.engine import Style
from weft.machine.parts import Parts, Resources
from weft.value import Value

COSTS = Path(__file__).parent / "costs"
SMALL_BITS = 9
"""Operands of a small multiplier, of which some families have several to a DSP block."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyFacts(Value):
    """What the mapper must know of a device family.

    lut_share, ff_share: most of a device's LUTs and flip-flops that the core may take; the board's
    top and the router need some. dsp_share: the same of multipliers, for a large engine.
    lone_ff_share: flip-flops that take a logic cell without its LUT. products_per_dsp: products of
    9 x 9 bits that a multiplier gives by itself. splits_dsp: whether a multiplier gives two
    products of 8 x 8 bits (``Style.DUAL``). overlapped, compact: kinds of engines that are tried.
    large_ram: width and depth of a large single-ported RAM, where there are some.
    """

    name: str
    lut_share: float
    ff_share: float
    block_ram: BlockRam
    dsp_share: float = 0.86  # what routing still copes with: see docs/architecture.md
    lone_ff_share: float = 0.6
    products_per_dsp: int = 1
    splits_dsp: bool = False
    overlapped: bool = True
    compact: bool = False
    large_ram: tuple[int, int] | None = None

    @cached_property
    def costs(self) -> dict[str, dict[str, float]]:
        """LUTs ("lut") and flip-flops ("ff") of one of each part, by its name."""
        return json.loads((COSTS / f"{self.name}.json").read_text(encoding="utf-8"))["parts"]

    def logic_cells(self, needs: Resources) -> int:
        """Logic cells that LUTs and flip-flops take together: some flip-flops share a LUT's."""
        return needs.lut + int(needs.ff * self.lone_ff_share)

    def resources(self, parts: Parts) -> Resources:
        """What an engine takes of a device of this family. Raises ValueError for an unknown part.

        LUTs are LUT4 equivalents (on ECP5 a carry cell is two).
        """
        counts = self.counts(parts)
        unknown = counts.keys() - self.costs.keys()
        if unknown:
            raise ValueError(
                f"{COSTS.name}/{self.name}.json has no costs of {', '.join(sorted(unknown))}: "
                "run bench/resources.py --fit"
            )
        lut, ff = (
            sum(count * self.costs[part].get(resource, 0) for part, count in counts.items())
            for resource in ("lut", "ff")
        )
        large = [ram for ram in parts.rams if ram.large and self.large_ram]
        blocks = [self.block_ram.blocks(ram)[0] for ram in parts.rams if ram not in large]
        return Resources(
            lut=int(lut),
            ff=int(ff),
            dsp=self._dsps(parts),
            bram=sum(blocks),
            spram=sum(self._large_rams(ram.width, ram.depth) for ram in large),
        )

    def counts(self, parts: Parts) -> Mapping[str, int]:
        """The parts that cost LUTs and flip-flops, with those that multipliers and memories leave
        to them here."""
        in_luts = [m for m in parts.multipliers if m.style is Style.LUT]
        packed = [m for m in parts.multipliers if m.style is Style.PACKED]
        blocks = [ram for ram in parts.rams if not (ram.large and self.large_ram)]
        behind = [(ram.width, self.block_ram.blocks(ram)[1]) for ram in blocks]
        counts = {
            **parts.counts,
            "multiplier_bits": sum(m.count * m.a_bits * m.b_bits for m in in_luts),
            "packed_pairs": sum(m.count // 2 for m in packed),
            "memory_select_bits": sum(width * max(0, rows - 1) for width, rows in behind),
        }
        return {name: count for name, count in counts.items() if count}

    def _dsps(self, parts: Parts) -> int:
        small = total = 0
        for m in parts.multipliers:
            if m.style in (Style.PACKED, Style.DUAL):
                total += m.groups * math.ceil(m.each / 2)
            elif m.style is Style.DSP and max(m.a_bits, m.b_bits) <= SMALL_BITS:
                small += m.count
            elif m.style is Style.DSP:
                total += m.count
        return total + math.ceil(small / self.products_per_dsp)

    def _large_rams(self, width: int, depth: int) -> int:
        assert self.large_ram
        wide, deep = self.large_ram
        return math.ceil(width / wide) * math.ceil(depth / deep)


EIGHTEEN_KBIT = BlockRam(
    shapes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    byte_bits=9,
    # The first two are yosys' own (share/ecp5 and share/gowin: brams.txt, lutrams.txt); the select
    # is fitted to what it chose on ECP5.
    lut_ram=LutRam(block_cost=128, cell_cost=4, select_cost=0.5),
)
"""DP16KD of ECP5, with TRELLIS_DPR16X4 beside it; BSRAM of Gowin, with RAM16SDP4."""

FAMILIES = {
    family.name: family
    for family in (
        FamilyFacts(name="ecp5", lut_share=0.75, ff_share=0.75, block_ram=EIGHTEEN_KBIT),
        FamilyFacts(
            name="ice40",
            lut_share=0.8,
            ff_share=0.8,
            splits_dsp=True,
            overlapped=False,
            compact=True,
            # SB_RAM40_4K; yosys puts what a memory exceeds a shape by into another shape.
            block_ram=BlockRam(shapes=((16, 256), (8, 512), (4, 1024), (2, 2048)), mixes=True),
            large_ram=(16, 16384),  # SB_SPRAM256KA
        ),
        FamilyFacts(
            name="gowin",
            lut_share=0.75,
            # A flip-flop that its own LUT does not feed blocks that LUT; pipelines have many. With
            # digits on a GW1NR-9, nextpnr's placer did not finish its first round with 73 % in use;
            # with 62 % it was stopped, unfinished, after 20 minutes on a loaded machine.
            ff_share=0.57,
            products_per_dsp=2,
            compact=True,
            block_ram=EIGHTEEN_KBIT,
        ),
    )
}
"""By the names that boards use."""

USUAL = FAMILIES["ecp5"]
"""What weights are counted for where no board is named."""
