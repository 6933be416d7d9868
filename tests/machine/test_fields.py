"""The step word: its widths, and that every field has one."""

from dataclasses import replace

import pytest

from tests.hw.support import SMALL_COMPACT, small_params
from weft.hw.step import back_layout, front_layout, load_layout, param_layout
from weft.machine.engine import Engine
from weft.machine.fields import BACK, FRONT, LOAD, SIGNED, Field, Kind, encode, part_chunks, widths
from weft.machine.images import CHUNK_BITS, PARAM_CHUNKS

COMPACT = small_params(SMALL_COMPACT, streamed=True, store_words=100)


@pytest.mark.parametrize(
    ("engine", "hold", "groups"),
    [
        (small_params(columns=8, array_requant=1, vector_requant=1), 4, 4),
        (small_params(SMALL_COMPACT, columns=8), 6, 4),
        (small_params(lanes=16, columns=8, array_requant=4, vector_requant=2), 4, 4),
    ],
)
def test_idle_cycles_reach_to_the_end_of_a_drain(engine: Engine, hold: int, groups: int) -> None:
    assert widths(FRONT, engine)["hold"] == hold
    assert widths(BACK, engine)["groups_per_tile"] == groups


def test_a_groups_place_is_counted_in_the_shorter_groups() -> None:
    engine = small_params(lanes=16, columns=8, array_requant=4, vector_requant=2)
    assert widths(BACK, engine)["out_group"] == 3
    assert widths(BACK, engine)["first_lanes"] == 4


def test_fields_that_only_some_engines_have() -> None:
    plain, products = small_params(), small_params(products=True)
    overlapped = {"lead", "follow", "need", "chain", "gap", "rolling"}
    names = {part: set(widths(part, plain)) for part in (FRONT, BACK)}
    assert names[FRONT] - set(widths(FRONT, COMPACT)) == overlapped & names[FRONT]
    assert names[BACK] - set(widths(BACK, COMPACT)) == overlapped & names[BACK]
    assert set(widths(BACK, COMPACT)) - names[BACK] == {"load"}
    assert set(widths(FRONT, products)) - names[FRONT] == {"stay", "stay_base"}
    assert set(widths(BACK, products)) - names[BACK] == {"product", "zero_first", "zero_second"}


def test_the_hardware_has_the_same_fields_in_the_same_places() -> None:
    for part, layout in ((FRONT, front_layout), (BACK, back_layout), (LOAD, load_layout)):
        fields = list(layout(COMPACT))
        assert {str(name): field.width for name, field in fields} == widths(part, COMPACT)
        places = [field.offset for _, field in fields]
        assert places == sorted(places)
        assert -(-layout(COMPACT).size // CHUNK_BITS) == part_chunks(part, COMPACT)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 6), (4, 3), (3, 16)])
@pytest.mark.parametrize("count_bits", [2, 12])
@pytest.mark.parametrize("store", [1, 1 << 20])
def test_a_load_fits_the_front_part(sizes: tuple[int, int], count_bits: int, store: int) -> None:
    lanes, columns = sizes
    engine = COMPACT.replace(
        lanes=lanes,
        columns=columns,
        count_bits=count_bits,
        memories=COMPACT.memories.replace(act=(1, 1), store=store),
    )
    assert part_chunks(LOAD, engine) <= part_chunks(FRONT, engine)


def test_parameters_of_a_channel_fill_two_chunks() -> None:
    assert param_layout().size == PARAM_CHUNKS * CHUNK_BITS
    assert param_layout()["factor"].offset == CHUNK_BITS


def test_fields_lie_one_behind_the_other() -> None:
    part = (
        Field("a", 3, lambda step: 0),
        Field("absent", 8, lambda step: 0, only=lambda engine: engine.has_store),
        Field("b", 4, lambda step: 0, SIGNED),
        Field("c", 36, lambda step: 0, Kind.ADDRESS),
    )
    numbers = {"a": 5, "absent": 1000, "b": -8, "c": -1}
    word = 5 | 0b1000 << 3 | (1 << 36) - 1 << 7
    assert encode(part, small_params(), numbers) == [word & (1 << 36) - 1, word >> 36]


@pytest.mark.parametrize(("kind", "low", "high"), [(Kind.UNSIGNED, 0, 15), (SIGNED, -8, 7)])
def test_fields_refuse_what_they_cannot_hold(kind: Kind, low: int, high: int) -> None:
    field = Field("n", 4, lambda step: 0, kind)
    assert (field.encode(low, 4), field.encode(high, 4)) == (low & 15, high)
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"^step field n: {value} does not fit 4 bits$"):
            field.encode(value, 4)
    assert replace(field, kind=Kind.ADDRESS).encode(high + 1, 4) == high + 1 & 15
