"""The resource model: block RAMs as yosys maps them, and figures that grow with the engine."""

import pytest

from tests.mapper.support import engine
from weft.mapper.plan import Engine, Memories, Style
from weft.mapper.resources import block_rams, predict

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
    assert tuple(block_rams(width, depth, width) for depth in DEPTHS) == MEASURED[width]


@pytest.mark.parametrize(
    ("width", "depth", "grain", "expected"),
    [
        (8, 32, 8, 0),  # in LUTs
        (36, 32, 36, 0),
        (36, 33, 36, 1),
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
    assert block_rams(width, depth, grain) == expected


def sized(lanes: int, columns: int, requant_lanes: int = 1, depth: int = 600) -> Engine:
    memories = Memories(act=depth, weight=depth, vector=depth, param=depth, program=depth)
    return engine(lanes, columns, requant_lanes).replace(memories=memories)


def test_dsps_are_the_multipliers() -> None:
    made = sized(16, 8, 4)
    assert predict(made).dsp == 16 * 8 + 16 + 4 * 4
    assert predict(made.replace(vector_multiplier=Style.LUT)).dsp == 16 * 8 + 4 * 4
    assert predict(made.replace(requant_multiplier=Style.LUT)).dsp == 16 * 8 + 16
    assert predict(made.replace(array_multiplier=Style.LUT)).dsp == 16 + 4 * 4


def test_block_rams_of_all_memories() -> None:
    """4 lanes, 4 columns, 600 words each: activations 1, weights 4, vector 1, params 4, program 2.

    600 words take the 1024-deep shape: 32 bits in 18-bit blocks are 2.
    """
    assert predict(sized(4, 4, 1)).bram == 2 + 4 * 2 + 2 + 4 + 2


def test_a_lut_multiplier_costs_luts() -> None:
    made = sized(4, 4)
    assert predict(made.replace(array_multiplier=Style.LUT)).lut > predict(made).lut + 16 * 100


@pytest.mark.parametrize("field", ["lut", "ff", "dsp", "bram"])
def test_more_of_anything_never_costs_less(field: str) -> None:
    """The search relies on it: an engine that is too large without memories stays too large."""
    small = getattr(predict(sized(4, 4, 2, depth=1)), field)
    for larger in (sized(8, 4, 2, depth=1), sized(4, 8, 2, depth=1), sized(4, 4, 4, depth=1)):
        assert getattr(predict(larger), field) >= small
    deeper = sized(4, 4, 2, depth=5000)
    wider = deeper.replace(accumulator_bits=30, weight_bits=9)
    assert getattr(predict(wider), field) >= getattr(predict(deeper), field) >= small
