"""The writer: each group's word and lanes, for every layout of the output in its buffer."""

import random
from dataclasses import dataclass

import pytest

from tests.hw.support import play, small_params
from weft.hw.drain import GROUP
from weft.hw.writer import Writer


@dataclass(frozen=True, kw_only=True)
class Case:
    """One step: pixels, groups and where they go."""

    lanes: int = 8
    requant_lanes: int = 2
    rows: int = 2
    cols: int = 3
    groups: int = 4  # written per pixel
    extra: int = 0  # groups per pixel that leave the drain beyond those
    out_group: int = 0
    out_word: int = 10
    out_col: int = 1
    out_row: int = 3
    first_lanes: int = 3
    gap: int = 0  # idle cycles at most between groups


CASES = [
    Case(),
    Case(gap=3),
    Case(groups=1, out_col=1, extra=3),
    Case(groups=6, extra=2, out_col=2, out_row=6),  # a part of the second word
    Case(groups=5, extra=3, out_group=3, out_col=2, out_row=6, gap=1),  # behind other channels
    Case(groups=2, out_group=2, out_col=5, out_row=16, extra=2),
    Case(groups=1, out_group=3, first_lanes=2, out_col=2, out_row=7),  # an unaligned part
    Case(groups=9, out_group=1, first_lanes=2, extra=3, out_col=3, out_row=9),
    Case(out_col=60, out_row=59, out_word=61),  # moves may be negative: addresses wrap
    Case(requant_lanes=8, groups=3, first_lanes=0xFF, out_col=3, out_row=9),  # one group a word
    Case(requant_lanes=8, groups=2, first_lanes=0xE0, extra=1, out_col=2, out_row=6, gap=2),
    Case(lanes=1, requant_lanes=1, first_lanes=1, groups=3, out_col=3, out_row=9),
    Case(lanes=6, requant_lanes=2, groups=7, out_group=2, out_col=4, out_row=12, extra=2),
    Case(rows=1, cols=1, groups=1),
    Case(rows=4, cols=1, out_row=2, out_col=40),
]

Write = tuple[int, int]


def expected(case: Case, words: int) -> list[tuple[dict[str, int], Write | None]]:
    """Every group of the step in order: its flags, and (word, lane mask) where it is written."""
    places = case.lanes // case.requant_lanes
    full = (1 << case.requant_lanes) - 1
    groups = []
    for row in range(case.rows):
        for col in range(case.cols):
            pixel = case.out_word + row * case.out_row + col * case.out_col
            for g in range(case.groups + case.extra):
                word, place = divmod(case.out_group + g, places)
                mask = case.first_lanes if g == 0 else full
                write = ((pixel + word) % words, mask << place * case.requant_lanes)
                last = (row, col) == (case.rows - 1, case.cols - 1)
                flags = {
                    "valid": 1,
                    "first": g == 0,
                    "first_col": col == 0,
                    "first_row": row == 0,
                    "last": last and g == case.groups + case.extra - 1,
                }
                groups.append(
                    (
                        {name: int(on) for name, on in flags.items()},
                        write if g < case.groups else None,
                    )
                )
    return groups


@pytest.mark.parametrize("case", CASES, ids=str)
def test_writes(case: Case) -> None:
    p = small_params(lanes=case.lanes, columns=case.lanes, requant_lanes=case.requant_lanes)
    dut = Writer(p)
    rng = random.Random(1)
    stream: list[tuple[dict[str, int], Write | None, int]] = []
    for _ in range(2):  # the second step starts from its own flags alone
        for flags, write in expected(case, p.act_words):
            for _ in range(rng.randint(0, case.gap)):  # flags without ``valid`` mean nothing
                junk = {name: rng.getrandbits(1) for name, _ in GROUP} | {"valid": 0}
                stream.append((junk, None, 0))
            stream.append((flags, write, flags["last"]))
    idle = {name: 0 for name, _ in GROUP}
    fields = ("groups_per_pixel", "out_group", "out_word", "out_col", "out_row", "first_lanes")
    values = (case.groups, case.out_group, case.out_word, case.out_col, case.out_row,
              case.first_lanes)  # fmt: skip
    step = dict(zip(fields, values, strict=True))
    feed = [flags for flags, _, _ in stream] + [idle]
    inputs = [(dut.step, [step]), (dut.group, feed)]
    rows = play(dut, inputs, [dut.word, dut.enable, dut.done], len(feed) + 1)
    assert rows[0][1:] == (0, 0)
    for t, (_, write, done) in enumerate(stream):
        word, enable, got_done = rows[t + 1]
        assert (word, enable) == write if write else enable == 0, f"cycle {t}"
        assert got_done == done, f"cycle {t}"
    assert rows[-1][1:] == (0, 0)
