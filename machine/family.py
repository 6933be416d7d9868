"""Device families, as far as the choice of an engine goes: one entry for each, nothing assumed."""

from dataclasses import dataclass

from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyFacts(Value):
    """What the mapper must know of a device family.

    lut_share, ff_share: most of a device's LUTs and flip-flops that the core may take; the board's
    top and the router need some. products_per_dsp: products of 9 x 9 bits that a multiplier gives
    by itself. splits_dsp: whether a multiplier gives two products of 8 x 8 bits (``Style.DUAL``).
    overlapped, compact: kinds of engines that are tried. block_kbits: size of a block RAM.
    """

    lut_share: float
    ff_share: float
    products_per_dsp: int = 1
    splits_dsp: bool = False
    overlapped: bool = True
    compact: bool = False
    block_kbits: int = 18


FAMILIES = {
    "ecp5": FamilyFacts(lut_share=0.75, ff_share=0.75),
    "ice40": FamilyFacts(
        lut_share=0.8,
        ff_share=0.8,
        splits_dsp=True,
        overlapped=False,
        compact=True,
        block_kbits=4,
    ),
    "gowin": FamilyFacts(
        lut_share=0.75,
        # A flip-flop that its own LUT does not feed blocks that LUT; pipelines have many. With
        # digits on a GW1NR-9, nextpnr's placer did not finish its first round with 73 % in use;
        # with 62 % it was stopped, unfinished, after 20 minutes on a loaded machine.
        ff_share=0.57,
        products_per_dsp=2,
        compact=True,
    ),
}
"""By the names that boards use."""
