"""The writer: each group's word and lanes, for every layout of the output in its buffer."""

import random
from dataclasses import dataclass, replace

import pytest

from tests.hw.support import mix, play, small_params
from weft.hw.drain import GROUP
from weft.hw.writer import WRITER_LATENCY, Writer
from weft.machine.engine import Unit


@dataclass(frozen=True, kw_only=True)
class Case:
    """One step: pixels, groups and where they go."""

    unit: Unit = Unit.ARRAY
    lanes: int = 8
    requant: int = 2
    rows: int = 2
    cols: int = 3
    tiles: int = 1
    groups: int = 4  # that leave the drain per tile
    last: int = 4  # of the last tile that are written
    out_group: int = 0
    out_word: int = 10
    out_col: int = 1
    out_row: int = 3
    first_lanes: int = 3
    gap: int = 0  # idle cycles at most between groups

    def __str__(self) -> str:
        return "-".join(str(getattr(v, "name", v)) for v in self.__dict__.values())


ARRAY = [
    Case(),
    Case(gap=3),
    Case(last=1),
    Case(tiles=2, last=2, out_col=2, out_row=6),  # a part of the second word
    Case(tiles=2, last=1, out_group=3, out_col=2, out_row=6, gap=1),  # behind other channels
    Case(groups=2, last=2, tiles=3, out_group=2, out_col=5, out_row=16),
    Case(last=1, out_group=3, first_lanes=2, out_col=2, out_row=7),  # an unaligned part
    Case(tiles=3, last=1, out_group=1, first_lanes=2, out_col=3, out_row=9),
    Case(out_col=60, out_row=59, out_word=61),  # moves may be negative: addresses wrap
    Case(requant=8, groups=3, last=3, first_lanes=0xFF, out_col=3, out_row=9),  # one group a word
    Case(requant=8, groups=1, last=1, tiles=2, first_lanes=0xE0, out_col=2, out_row=6, gap=2),
    Case(lanes=1, requant=1, first_lanes=1, groups=3, last=2, out_col=3, out_row=9),
    Case(lanes=6, groups=3, last=1, tiles=3, out_group=2, out_col=4, out_row=12),
    Case(rows=1, cols=1, groups=1, last=1),
    Case(rows=4, cols=1, out_row=2, out_col=40),
    Case(groups=8, last=5, tiles=2, out_col=4, out_row=12),  # a tile of several words
]
VECTOR = [
    replace(case, unit=Unit.VECTOR)
    for case in (
        Case(),
        Case(gap=3),
        Case(last=1, tiles=3, out_col=3, out_row=9),
        Case(last=3, tiles=2, out_col=2, out_row=7, gap=1, cols=1),
        Case(tiles=2, last=2, out_col=60, out_row=59, out_word=61),
        Case(requant=8, groups=1, last=1, tiles=3, out_col=4, out_row=12),
        Case(lanes=1, requant=1, groups=1, last=1, tiles=4, out_col=5, out_row=15, gap=2),
        Case(groups=3, last=3, out_group=1, out_col=2, out_row=8),  # fewer than a word
        Case(tiles=2, last=1, out_group=2, out_col=4, out_row=12),  # behind other channels
        Case(rows=4, cols=1, tiles=2, out_row=2, out_col=40),
        Case(rows=1, cols=1, groups=1, last=1),
    )
]

Write = tuple[int, int]


def expected(case: Case, words: int) -> list[tuple[dict[str, int], Write | None]]:
    """Every group of the step in order: its flags, and (word, lane mask) where it is written."""
    places = case.lanes // case.requant
    full = (1 << case.requant) - 1
    order = [(col, tile) for tile in range(case.tiles) for col in range(case.cols)]
    if case.unit is Unit.ARRAY:
        order.sort()
    # A tile of the array is N channels, a tile of the vector unit one word.
    tile_groups = case.groups if case.unit is Unit.ARRAY else places
    groups = []
    for row in range(case.rows):
        for col, tile in order:
            pixel = case.out_word + row * case.out_row + col * case.out_col
            last_tile = tile == case.tiles - 1
            for g in range(case.groups):
                word, place = divmod(case.out_group + tile * tile_groups + g, places)
                opens = case.unit is Unit.ARRAY and tile == g == 0
                mask = case.first_lanes if opens else full
                write = ((pixel + word) % words, mask << place * case.requant)
                ends = last_tile and col == case.cols - 1 and g == case.groups - 1
                flags = {
                    "valid": 1,
                    "first": g == 0,
                    "first_tile": tile == 0,
                    "last_tile": last_tile,
                    "first_col": col == 0,
                    "first_row": row == 0,
                    "row_done": ends,
                    "done": ends and row == case.rows - 1,
                }
                written = not last_tile or g < case.last
                groups.append(
                    ({name: int(on) for name, on in flags.items()}, write if written else None)
                )
    return groups


@pytest.mark.parametrize("case", ARRAY + VECTOR, ids=str)
def test_writes(case: Case) -> None:
    requant = [case.requant, 1] if case.unit is Unit.ARRAY else [1, case.requant]
    p = small_params(
        lanes=case.lanes,
        columns=4 * case.lanes,
        array_requant=requant[0],
        vector_requant=requant[1],
    )
    dut = Writer(p, case.unit)
    rng = random.Random(1)
    stream: list[tuple[dict[str, int], Write | None]] = []
    for _ in range(2):  # the second step starts from its own flags alone
        for flags, write in expected(case, p.memories.act[0]):
            for _ in range(rng.randint(0, case.gap)):  # flags without ``valid`` mean nothing
                stream.append((mix(rng, GROUP, valid=0), None))
            stream.append((flags, write))
    step = {
        "groups_per_tile": case.groups,
        "groups_last": case.last,
        "out_group": case.out_group,
        "out_word": case.out_word,
        "out_col": case.out_col,
        "out_row": case.out_row,
        "first_lanes": case.first_lanes,
    }
    feed = [flags for flags, _ in stream] + [mix(rng, GROUP, valid=0)]
    inputs = [(dut.step, [step]), (dut.group, feed)]
    outputs = [dut.word, dut.enable, dut.row_done, dut.done]
    rows = play(dut, inputs, outputs, len(feed) + WRITER_LATENCY)
    assert rows[0][1:] == (0, 0, 0)
    for t, (flags, write) in enumerate(stream):
        word, enable, row_done, done = rows[t + WRITER_LATENCY]
        assert (word, enable) == write if write else enable == 0, f"cycle {t}"
        valid = flags["valid"]
        assert (row_done, done) == (valid & flags["row_done"], valid & flags["done"]), f"cycle {t}"
    assert rows[-1][1:] == (0, 0, 0)
