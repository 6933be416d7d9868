"""Parameters: what is refused, and that the cycle model's copies of widths and latencies agree."""

import re
from itertools import product
from typing import Any

import pytest

from tests.hw.support import small_params
from weft.gen.hardware import engine_params
from weft.hw import params as hw
from weft.hw.step import back_layout, chunks, front_layout, param_layout
from weft.mapper import cost
from weft.mapper.plan import Engine, Memories, Style, Unit

SHAPES = [
    (1, 1, 1),
    (2, 6, 2),
    (4, 4, 2),
    (6, 3, 3),
    (8, 8, 1),
    (16, 16, 4),
    (16, 32, 16),
    (9, 3, 3),
]
DEPTHS = [
    Memories(act=1, weight=1, vector=1, param=1, program=1),
    Memories(act=2, weight=2, vector=3, param=2, program=5),
    Memories(act=1024, weight=1032, vector=64, param=129, program=100),
    Memories(act=1025, weight=4, vector=4096, param=128, program=1000),
    Memories(act=65536, weight=8192, vector=8193, param=4097, program=4096),
]


def engines() -> list[Engine]:
    """Every shape and style, with each set of depths."""
    return [
        Engine(
            lanes=lanes,
            columns=columns,
            requant_lanes=requant_lanes,
            accumulator_bits=25,
            weight_bits=8,
            array_multiplier=array,
            vector_multiplier=vector,
            requant_multiplier=requant,
            memories=memories,
        )
        for lanes, columns, requant_lanes in SHAPES
        for array, vector, requant in product(Style, repeat=3)
        for memories in DEPTHS
    ]


def test_latencies_equal_the_cycle_model() -> None:
    for engine in engines():
        p = engine_params(engine)
        assert cost.unit_latency(engine, Unit.ARRAY) == p.array_latency
        assert cost.unit_latency(engine, Unit.VECTOR) == p.vector_latency
        assert cost.requant_latency(engine) == p.requant_latency


def test_step_sizes_equal_the_cycle_model() -> None:
    seen = set()
    for engine in engines():
        p = engine_params(engine)
        n_chunks = chunks(front_layout(p)) + chunks(back_layout(p))
        assert cost.step_chunks(engine) == n_chunks
        seen.add(n_chunks)
    assert len(seen) > 2


def test_step_sizes_over_all_widths() -> None:
    """Each depth's power of two on its own: the sum of widths crosses every chunk boundary."""
    base = engines()[0]
    for name in ("act", "weight", "vector", "param"):
        for bits in range(17):
            for depth in {1 << bits, (1 << bits) + 1}:
                memories = DEPTHS[0].replace(**{name: depth})
                engine = base.replace(memories=memories)
                p = engine_params(engine)
                n_chunks = chunks(front_layout(p)) + chunks(back_layout(p))
                assert cost.step_chunks(engine) == n_chunks, memories


def test_constants_equal_the_cycle_model() -> None:
    assert cost.ROW_LATENCY == hw.ROW_LATENCY
    assert cost.CHUNK_BITS == hw.CHUNK_BITS
    for style, rows in product(Style, range(1, 17)):
        assert cost.multiplier_latency(style, rows) == hw.multiplier_latency(
            hw.Multiplier(style.value), rows
        )
    for count in (1, 2, 3, 4, 5, 8, 9, 1023, 1024, 1025):
        assert cost.bits_for(count) == hw.bits_for(count)


def test_parameters_of_a_channel_fill_two_chunks() -> None:
    assert param_layout().size == 2 * hw.CHUNK_BITS
    assert param_layout()["factor"].offset == hw.CHUNK_BITS


@pytest.mark.parametrize(
    ("lanes", "chunk"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, 3), (8, 4), (9, 3), (14, 2)]
)
def test_chunk_lanes(lanes: int, chunk: int) -> None:
    assert hw.chunk_lanes(lanes) == chunk
    assert chunk * 9 <= hw.CHUNK_BITS
    p = small_params(lanes=lanes, columns=2 * lanes, requant_lanes=1)
    assert p.vector_chunks == lanes // chunk
    assert p.weight_chunks * hw.chunk_lanes(2 * lanes) == 2 * lanes


def test_derived_numbers() -> None:
    p = small_params(lanes=16, columns=8, requant_lanes=4, act_words=1025, weight_words=100)
    assert (p.act_address_bits, p.weight_address_bits, p.param_address_bits) == (11, 7, 4)
    assert (p.groups_per_word, p.drain_lanes, p.param_chunks, p.row_bits) == (4, 16, 8, 4)
    assert (p.weight_chunks, p.vector_chunks, p.image_word_bits) == (2, 4, 12)
    wide = small_params(vector_words=5000)
    assert wide.weight_address_bits == 13  # the pointer reaches the deeper of both memories


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes must be at least 1, not 0"),
        ({"columns": 0}, "columns must be at least 1, not 0"),
        ({"requant_lanes": 0}, "requant_lanes must be at least 1, not 0"),
        ({"act_words": 0}, "act_words must be at least 1, not 0"),
        ({"weight_words": -1}, "weight_words must be at least 1, not -1"),
        ({"vector_words": 0}, "vector_words must be at least 1, not 0"),
        ({"param_words": 0}, "param_words must be at least 1, not 0"),
        ({"program_words": 0}, "program_words must be at least 1, not 0"),
        (
            {"requant_lanes": 3},
            "requant_lanes must divide lanes and columns: 3 does not divide both 4 and 4",
        ),
        (
            {"lanes": 8, "requant_lanes": 8},
            "requant_lanes must divide lanes and columns: 8 does not divide both 8 and 4",
        ),
        ({"accumulator_bits": 24}, "accumulator_bits must be 25..32, not 24"),
        ({"accumulator_bits": 33}, "accumulator_bits must be 25..32, not 33"),
        ({"weight_bits": 7}, "weight_bits must be 8 or 9, not 7"),
        ({"weight_bits": 10}, "weight_bits must be 8 or 9, not 10"),
        (
            {"weight_words": (1 << 19) + 1},
            "memories must take at most 21 bits of image address, not 22",
        ),
        (
            {"vector_words": (1 << 21) + 1},
            "memories must take at most 21 bits of image address, not 22",
        ),
        (
            {"param_words": (1 << 20) + 1},
            "memories must take at most 21 bits of image address, not 23",
        ),
        (
            {"program_words": (1 << 21) + 1},
            "memories must take at most 21 bits of image address, not 22",
        ),
    ],
)
def test_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_params(**changes)


@pytest.mark.parametrize(
    ("memory", "depth"),
    [
        ("weight_words", 1 << 19),  # of 4 rows of one chunk
        ("vector_words", 1 << 21),  # of one chunk
        ("param_words", 1 << 19),  # of 4 chunks
        ("program_words", 1 << 21),
    ],
)
def test_deepest_memories(memory: str, depth: int) -> None:
    assert small_params(**{memory: depth}).image_word_bits == hw.IMAGE_ADDRESS_BITS - 3
