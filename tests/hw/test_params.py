"""Parameters: what is refused, and that the cycle model's copies of widths and latencies agree."""

import re
from itertools import product
from typing import Any

import pytest

from tests.hw.support import small_params
from weft.gen.hardware import engine_params
from weft.hw import dual, packed
from weft.hw import params as hw
from weft.hw.drain import LOAD_DELAY
from weft.hw.step import back_layout, chunks, front_layout, param_layout
from weft.machine import timing
from weft.machine.plan import Engine, Memories, Style, Styles, Unit

# (lanes, columns, array_requant, vector_requant, vector_taps)
SHAPES = [
    (1, 1, 1, 1, 1),
    (2, 6, 2, 1, 3),
    (4, 4, 2, 4, 2),
    (6, 3, 3, 2, 1),
    (8, 8, 1, 8, 3),
    (16, 16, 4, 2, 2),
    (16, 32, 16, 4, 3),
    (9, 3, 3, 9, 4),
]
DEPTHS = [
    Memories(),
    Memories(act=(2, 1), weight=2, vector=3, param=(2, 1), program=5),
    Memories(act=(1024, 3), weight=1032, vector=64, param=(129, 2), program=100),
    Memories(act=(7, 1025), weight=4, vector=4096, param=(128, 130), program=1000),
    Memories(act=(65536, 65536), weight=8192, vector=8193, param=(4097, 1), program=4096),
]
MULTIPLIERS = (Style.DSP, Style.LUT)


def engines() -> list[Engine]:
    """Every shape and style, with each set of depths."""
    return [
        Engine(
            lanes=lanes,
            columns=columns,
            array_requant=array_requant,
            vector_requant=vector_requant,
            vector_taps=taps,
            styles=Styles(array=array, vector=vector, requant=requant),
            memories=memories,
        )
        for lanes, columns, array_requant, vector_requant, taps in SHAPES
        for array, vector, requant in product(Style, MULTIPLIERS, MULTIPLIERS)
        for memories in DEPTHS
        if array is not Style.PACKED or columns % 2 == 0
    ]


def step_chunks(engine: Engine) -> int:
    p = engine_params(engine)
    return chunks(front_layout(p)) + chunks(back_layout(p))


def test_latencies_equal_the_cycle_model() -> None:
    for engine in engines():
        p = engine_params(engine)
        for unit in Unit:
            assert timing.unit_latency(engine, unit) == p.unit_latency(hw.Unit[unit.name])
            assert engine.requant(unit) == p.requant(hw.Unit[unit.name])
            assert engine.tile_lanes(unit) == p.tile_lanes(hw.Unit[unit.name])
        assert timing.requant_latency(engine) == p.requant_latency


def test_step_sizes_equal_the_cycle_model() -> None:
    seen = set()
    for engine in engines():
        assert timing.step_chunks(engine) == step_chunks(engine)
        seen.add(timing.step_chunks(engine))
    assert len(seen) > 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_step_sizes_over_all_widths(shape: tuple[int, int, int, int, int]) -> None:
    """Each depth's power of two on its own: the sum of widths crosses every chunk boundary."""
    names = ("lanes", "columns", "array_requant", "vector_requant", "vector_taps")
    base = Engine(**dict(zip(names, shape, strict=True)))
    for name in ("act", "weight", "vector", "param"):
        for bits in range(13):
            for depth in {1 << bits, (1 << bits) + 1}:
                pairs = [(depth, 1), (1, depth)] if name in ("act", "param") else [depth]
                for value in pairs:
                    memories = DEPTHS[0].replace(**{name: value})
                    engine = base.replace(memories=memories)
                    assert timing.step_chunks(engine) == step_chunks(engine), memories


def test_constants_equal_the_cycle_model() -> None:
    assert timing.ROW_LATENCY == hw.ROW_LATENCY
    assert timing.LOAD_DELAY == LOAD_DELAY
    assert timing.CHUNK_BITS == hw.CHUNK_BITS
    assert [unit.name for unit in hw.Unit] == [unit.name for unit in Unit]
    for style, rows in product(Style, range(1, 17)):
        assert timing.multiplier_latency(style, rows) == hw.multiplier_latency(
            hw.Multiplier(style.value), rows
        )
    for count in (1, 2, 3, 4, 5, 8, 9, 1023, 1024, 1025):
        assert timing.bits_for(count) == hw.bits_for(count)


def test_latency_of_shared_multipliers() -> None:
    assert hw.multiplier_latency(hw.Multiplier.PACKED, 8) == packed.LATENCY == 4
    assert hw.multiplier_latency(hw.Multiplier.DUAL, 8) == dual.LATENCY == 2


def test_parameters_of_a_channel_fill_two_chunks() -> None:
    assert param_layout().size == 2 * hw.CHUNK_BITS
    assert param_layout()["factor"].offset == hw.CHUNK_BITS


@pytest.mark.parametrize(
    ("fields", "bits", "chunk"),
    [(1, 9, 1), (2, 9, 2), (3, 9, 3), (4, 9, 4), (5, 9, 1), (6, 9, 3), (8, 9, 4), (9, 9, 3),
     (14, 9, 2), (8, 8, 4), (1, 18, 1), (2, 18, 2), (3, 18, 1), (16, 18, 2)],
)  # fmt: skip
def test_chunk_lanes(fields: int, bits: int, chunk: int) -> None:
    assert hw.chunk_lanes(fields, bits) == chunk
    assert chunk * bits <= hw.CHUNK_BITS


def test_chunks_of_a_weight_word() -> None:
    p = small_params(lanes=6, columns=8, vector_taps=3)
    assert (p.weight_fields, p.weight_chunks) == ((8, 8), 2)
    assert (p.vector_lanes, p.vector_chunks) == (18, 6)
    p = small_params(columns=6, weight_bits=9, vector_taps=2)
    assert (p.weight_fields, p.weight_chunks) == ((6, 9), 2)
    assert (p.vector_lanes, p.vector_chunks) == (8, 2)
    p = small_params(columns=6, array_multiplier=hw.Multiplier.PACKED)
    assert (p.weight_fields, p.weight_chunks) == ((3, 18), 3)
    p = small_params(columns=8, array_multiplier=hw.Multiplier.PACKED)
    assert (p.weight_fields, p.weight_chunks) == ((4, 18), 2)


def test_derived_numbers() -> None:
    p = small_params(
        lanes=16, columns=8, array_requant=4, vector_requant=2, vector_taps=3,
        act_words=(1025, 5), weight_words=100, param_words=(3, 17),
    )  # fmt: skip
    assert (p.act_address_bits, p.weight_address_bits, p.param_address_bits) == (11, 7, 5)
    assert [p.requant(unit) for unit in hw.Unit] == [4, 2]
    assert [p.tile_lanes(unit) for unit in hw.Unit] == [8, 16]
    assert [p.groups_per_word(unit) for unit in hw.Unit] == [4, 8]
    assert (p.group_bits, p.groups_per_tile_bits, p.hold_bits, p.max_requant) == (3, 4, 4, 4)
    assert (p.row_bits, p.weight_chunks, p.vector_chunks, p.image_word_bits) == (4, 2, 12, 12)
    assert small_params(act_words=(5, 1025)).act_address_bits == 11


@pytest.mark.parametrize(("interval", "bits"), [(1, 4), (4, 6)])
def test_idle_cycles_reach_to_the_end_of_a_drain(interval: int, bits: int) -> None:
    p = small_params(columns=8, array_requant=1, vector_requant=1, requant_interval=interval)
    assert (p.hold_bits, p.groups_per_tile_bits) == (bits, 4)
    assert small_params(vector_words=5000).weight_address_bits == 13


PACKED, DUAL = hw.Multiplier.PACKED, hw.Multiplier.DUAL
NOT_PACKED = "packed multipliers need an even number of columns and 8-bit weights, not"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, "lanes must be at least 1, not 0"),
        ({"columns": 0}, "columns must be at least 1, not 0"),
        ({"array_requant": 0}, "array_requant must be at least 1, not 0"),
        ({"vector_requant": 0}, "vector_requant must be at least 1, not 0"),
        ({"vector_taps": 0}, "vector_taps must be at least 1, not 0"),
        ({"act_words": (0, 4)}, "act_words must be at least 1, not 0"),
        ({"act_words": (4, 0)}, "act_words must be at least 1, not 0"),
        ({"weight_words": -1}, "weight_words must be at least 1, not -1"),
        ({"vector_words": 0}, "vector_words must be at least 1, not 0"),
        ({"param_words": (1, 0)}, "param_words must be at least 1, not 0"),
        ({"param_words": (-2, 1)}, "param_words must be at least 1, not -2"),
        ({"program_words": 0}, "program_words must be at least 1, not 0"),
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
        ({"requant_interval": 0}, "requant_interval must be 1 or 4, not 0"),
        ({"requant_interval": 2}, "requant_interval must be 1 or 4, not 2"),
        (
            {"requant_interval": 4, "array_requant": 1},
            "requant_interval 4 needs array_requant and vector_requant of 1, not 1 and 2",
        ),
        (
            {"requant_interval": 4, "vector_requant": 1},
            "requant_interval 4 needs array_requant and vector_requant of 1, not 2 and 1",
        ),
        ({"weight_bits": 7}, "weight_bits must be 8 or 9, not 7"),
        ({"weight_bits": 10}, "weight_bits must be 8 or 9, not 10"),
        ({"vector_multiplier": PACKED}, "vector_multiplier cannot be packed: only the array's can"),
        (
            {"requant_multiplier": PACKED},
            "requant_multiplier cannot be packed: only the array's can",
        ),
        (
            {"array_multiplier": PACKED, "columns": 3, "array_requant": 1},
            f"{NOT_PACKED} 3 columns and 8 bits",
        ),
        ({"array_multiplier": PACKED, "weight_bits": 9}, f"{NOT_PACKED} 4 columns and 9 bits"),
        (
            {"requant_multiplier": DUAL},
            "requant_multiplier cannot be dual: its operands have 16 bits",
        ),
        (
            {"array_multiplier": DUAL, "weight_bits": 9},
            "dual multipliers need 8-bit weights, not 9 bits",
        ),
        (
            {"vector_multiplier": DUAL, "weight_bits": 9},
            "dual multipliers need 8-bit weights, not 9 bits",
        ),
        (
            {"weight_words": (1 << 19) + 1},
            "memories must take at most 21 bits of image address, not 22",
        ),
        (
            {"vector_words": (1 << 21) + 1},
            "memories must take at most 21 bits of image address, not 22",
        ),
        (
            {"param_words": ((1 << 20) + 1, 1)},
            "memories must take at most 21 bits of image address, not 23",
        ),
        (
            {"param_words": (1, (1 << 19) + 1)},
            "memories must take at most 21 bits of image address, not 22",
        ),
        (
            {"program_words": (1 << 21) + 1},
            "memories must take at most 21 bits of image address, not 22",
        ),
    ],
)  # fmt: skip
def test_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small_params(**changes)


@pytest.mark.parametrize(
    ("memory", "depth"),
    [
        ("weight_words", 1 << 19),  # of 4 rows of one chunk
        ("vector_words", 1 << 21),  # of one chunk
        ("param_words", (1 << 19, 1)),  # of 4 chunks
        ("param_words", (1, 1 << 19)),
        ("program_words", 1 << 21),
    ],
)
def test_deepest_memories(memory: str, depth: Any) -> None:
    assert small_params(**{memory: depth}).image_word_bits == hw.IMAGE_ADDRESS_BITS - 3
