"""Block RAMs as yosys maps memories to them."""

import pytest

from weft.machine.block_ram import BlockRam
from weft.machine.family import FAMILIES
from weft.machine.parts import Ram

ECP5, ICE40 = FAMILIES["ecp5"].block_ram, FAMILIES["ice40"].block_ram


def blocks(ram: BlockRam, width: int, depth: int, grain: int = 36) -> tuple[int, int]:
    return ram.blocks(Ram(width=width, depth=depth, grain=grain))


# Measured with yosys 0.70 on ECP5, one write and one read port: width -> blocks at each depth.
DEPTHS = (256, 512, 1024, 2048, 4096)
MEASURED = {
    32: (1, 1, 2, 4, 8),
    64: (2, 2, 4, 8, 16),
    128: (4, 4, 8, 15, 30),
    256: (8, 8, 15, 29, 58),
}


@pytest.mark.parametrize("width", MEASURED)
def test_block_rams_as_measured(width: int) -> None:
    assert tuple(blocks(ECP5, width, depth, width)[0] for depth in DEPTHS) == MEASURED[width]


@pytest.mark.parametrize(
    ("width", "depth", "grain", "expected"),
    [
        (8, 32, 8, 0),  # in LUTs
        (36, 32, 36, 0),
        (36, 33, 36, 1),  # 3 x 9 cells of 4 and two selects outweigh a block of 128
        (28, 48, 28, 0),
        (32, 48, 32, 1),  # as dear as a block: the block
        (16, 80, 16, 0),
        (16, 96, 16, 1),
        (8, 160, 8, 0),
        (8, 192, 8, 1),
        (576, 32, 36, 0),
        (576, 33, 36, 16),
        (72, 96, 36, 2),
        (36, 512, 36, 1),
        (36, 513, 36, 2),
        (8, 2048, 8, 1),
        (128, 1024, 8, 8),  # 16 bytes take 9 bits each
        (32, 512, 8, 1),
        (72, 512, 36, 2),
        (1, 16384, 1, 1),
        (1, 16385, 1, 2),
    ],
)
def test_block_rams(width: int, depth: int, grain: int, expected: int) -> None:
    assert blocks(ECP5, width, depth, grain)[0] == expected


@pytest.mark.parametrize(
    ("width", "depth", "count", "behind"),
    [
        (16, 256, 1, 1),
        (8, 512, 1, 1),
        (2, 2048, 1, 1),
        (48, 352, 6, 1),
        (24, 1262, 8, 2),  # 1,024 words in six, the rest in two
        (36, 1, 0, 0),
        (17, 2, 2, 1),
    ],
)
def test_block_rams_of_ice40(width: int, depth: int, count: int, behind: int) -> None:
    """Counts as yosys 0.70 needs them (``bench/resources.py``)."""
    assert blocks(ICE40, width, depth) == (count, behind)
