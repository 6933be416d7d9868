"""The engine: which sizes are refused, and what follows from the others."""

import re
from typing import Any

import pytest

from tests.hw.support import SMALL_COMPACT, small_params
from weft.machine.engine import Style, Unit


def test_derived_numbers() -> None:
    p = small_params(
        lanes=16, columns=8, array_requant=4, vector_requant=2, vector_taps=3,
        act_words=(1025, 5), weight_words=100, param_words=(3, 17),
    )  # fmt: skip
    assert (p.act_address_bits, p.weight_address_bits, p.param_address_bits) == (11, 7, 5)
    assert [p.requant(unit) for unit in Unit] == [4, 2]
    assert (
        [p.tile_lanes(unit) for unit in Unit] == [p.drain_lanes(unit) for unit in Unit] == [8, 16]
    )
    assert [p.groups_per_word(unit) for unit in Unit] == [4, 8]
    assert p.max_requant == 4
    assert small_params(act_words=(5, 1025)).act_address_bits == 11
    assert small_params(vector_words=5000).weight_address_bits == 13


def test_the_one_output_path_of_a_compact_engine_takes_the_larger_tile() -> None:
    p = small_params(SMALL_COMPACT, lanes=2, columns=6)
    assert [p.tile_lanes(unit) for unit in Unit] == [6, 2]
    assert [p.drain_lanes(unit) for unit in Unit] == [6, 6]


PACKED, DUAL = Style.PACKED, Style.DUAL
NOT_PACKED = "packed multipliers need an even number of columns and 8-bit weights, not"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes must be at least 1, not 0"),
        ({"columns": 0}, "columns must be at least 1, not 0"),
        ({"array_requant": 0}, "array_requant must be at least 1, not 0"),
        ({"vector_requant": 0}, "vector_requant must be at least 1, not 0"),
        ({"vector_taps": 0}, "vector_taps must be at least 1, not 0"),
        ({"act_words": (0, 4)}, "memories.act must have at least 1 word, not 0"),
        ({"act_words": (4, 0)}, "memories.act must have at least 1 word, not 0"),
        ({"weight_words": -1}, "memories.weight must have at least 1 word, not -1"),
        ({"vector_words": 0}, "memories.vector must have at least 1 word, not 0"),
        ({"param_words": (1, 0)}, "memories.param must have at least 1 word, not 0"),
        ({"param_words": (-2, 1)}, "memories.param must have at least 1 word, not -2"),
        ({"program_words": 0}, "memories.program must have at least 1 word, not 0"),
        (
            {"array_requant": 3},
            "array_requant must divide lanes and columns: 3 does not divide both 4 and 4",
        ),
        (
            {"lanes": 8, "array_requant": 8},
            "array_requant must divide lanes and columns: 8 does not divide both 8 and 4",
        ),
        (
            {"columns": 8, "array_requant": 8},
            "array_requant must divide lanes and columns: 8 does not divide both 4 and 8",
        ),
        ({"vector_requant": 3}, "vector_requant must divide lanes: 3 does not divide 4"),
        ({"columns": 8, "vector_requant": 8}, "vector_requant must divide lanes: 8 does not "
                                              "divide 4"),
        ({"accumulator_bits": 24}, "accumulator_bits must be 25..32, not 24"),
        ({"accumulator_bits": 33}, "accumulator_bits must be 25..32, not 33"),
        ({"count_bits": 1}, "count_bits must be 2..12, not 1"),
        ({"count_bits": 13}, "count_bits must be 2..12, not 13"),
        ({"weight_bits": 7}, "weight_bits must be 8..9, not 7"),
        ({"weight_bits": 10}, "weight_bits must be 8..9, not 10"),
        (
            {"vector_multiplier": PACKED},
            "vector multipliers cannot be packed: only the array's can",
        ),
        (
            {"requant_multiplier": PACKED},
            "requant multipliers cannot be packed: only the array's can",
        ),
        (
            {"array_multiplier": PACKED, "columns": 3, "array_requant": 1},
            f"{NOT_PACKED} 3 columns and 8 bits",
        ),
        ({"array_multiplier": PACKED, "weight_bits": 9}, f"{NOT_PACKED} 4 columns and 9 bits"),
        (
            {"requant_multiplier": DUAL},
            "requant multipliers cannot be dual: their operands have 16 bits",
        ),
        (
            {"array_multiplier": DUAL, "weight_bits": 9},
            "dual multipliers need 8-bit weights, not 9 bits",
        ),
        (
            {"vector_multiplier": DUAL, "weight_bits": 9},
            "dual multipliers need 8-bit weights, not 9 bits",
        ),
    ],
)  # fmt: skip
def test_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_params(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vector_taps": 2}, "a compact engine has one requantisation lane and one vector tap"),
        ({"array_requant": 2}, "a compact engine has one requantisation lane and one vector tap"),
        ({"lanes": 9}, "a compact engine has at most 8 lanes, not 9"),
        ({"lanes": 0}, "lanes must be at least 1, not 0"),
    ],
)
def test_errors_of_compact_engines(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_params(SMALL_COMPACT, **changes)
