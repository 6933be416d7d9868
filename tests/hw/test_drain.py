"""The drain: sums taken once, groups in order, parameters and flags in their cycle."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hw.support import SMALL, SMALL_COMPACT, mix, play, small_params
from weft.hw.drain import GROUP, Drain
from weft.hw.sequencer import FLAGS
from weft.machine.engine import Engine, Unit
from weft.machine.timing import LOAD_DELAY, READ_LATENCY

PARAM_BASE = 5
NAMES = [str(name) for name, _ in GROUP]


@dataclass(frozen=True, kw_only=True)
class Case:
    """An engine's shape and one step: groups per tile, tiles per pixel, gap between the tiles."""

    lanes: int
    columns: int
    requant: int
    unit: Unit
    groups: int
    tiles: int
    shared: bool = False
    interval: int = 1
    gap: int = 0  # idle cycles at most beyond the groups' own

    def __str__(self) -> str:
        shape = f"{self.lanes}x{self.columns}r{self.requant}"
        tiles = f"g{self.groups}t{self.tiles}-gap{self.gap}-i{self.interval}"
        return f"{self.unit.name}-{shape}-{tiles}"

    def params(self) -> Engine:
        """The other unit's output path has another width."""
        requant = [self.requant, 1] if self.unit is Unit.ARRAY else [1, self.requant]
        return small_params(
            SMALL_COMPACT if self.interval > 1 else SMALL,
            lanes=self.lanes,
            columns=self.columns,
            array_requant=requant[0],
            vector_requant=requant[1],
            param_words=(64, 50),
        )


CASES = [
    Case(lanes=4, columns=4, requant=2, unit=Unit.ARRAY, groups=2, tiles=3),
    Case(lanes=4, columns=4, requant=4, unit=Unit.ARRAY, groups=1, tiles=2),
    Case(lanes=4, columns=4, requant=4, unit=Unit.VECTOR, groups=1, tiles=1),
    Case(lanes=4, columns=8, requant=4, unit=Unit.VECTOR, groups=1, tiles=3),
    Case(lanes=8, columns=4, requant=2, unit=Unit.VECTOR, groups=4, tiles=2),
    Case(lanes=8, columns=4, requant=2, unit=Unit.ARRAY, groups=2, tiles=4, gap=1),
    Case(lanes=2, columns=6, requant=1, unit=Unit.ARRAY, groups=6, tiles=2),
    Case(lanes=2, columns=6, requant=1, unit=Unit.VECTOR, groups=2, tiles=3, gap=3),
    Case(lanes=2, columns=6, requant=1, unit=Unit.ARRAY, groups=4, tiles=1, gap=7),
    Case(lanes=4, columns=4, requant=1, unit=Unit.VECTOR, groups=4, tiles=2, shared=True),
    Case(lanes=4, columns=4, requant=1, unit=Unit.VECTOR, groups=3, tiles=3, gap=2),
    Case(lanes=1, columns=1, requant=1, unit=Unit.VECTOR, groups=1, tiles=3, shared=True),
    Case(lanes=4, columns=4, requant=1, unit=Unit.ARRAY, groups=4, tiles=3, interval=4),
    Case(lanes=4, columns=2, requant=1, unit=Unit.ARRAY, groups=1, tiles=2, interval=4),
    Case(lanes=2, columns=6, requant=1, unit=Unit.ARRAY, groups=5, tiles=2, interval=4, gap=5),
    Case(lanes=4, columns=4, requant=1, unit=Unit.VECTOR, groups=4, tiles=2, interval=4),
    Case(lanes=8, columns=4, requant=1, unit=Unit.VECTOR, groups=6, tiles=3, interval=4, gap=6),
    Case(lanes=1, columns=1, requant=1, unit=Unit.VECTOR, groups=1, tiles=3, interval=4),
    Case(lanes=4, columns=4, requant=1, unit=Unit.VECTOR, groups=3, tiles=2, interval=4, gap=1,
         shared=True),
]  # fmt: skip

ROWS, COLS = 2, 3


def tiles_of(case: Case, cols: int) -> list[tuple[int, dict[str, int]]]:
    """(tile, flags) of every tile of a step of 2 x cols pixels, in the order of the unit."""
    order = [(col, tile) for tile in range(case.tiles) for col in range(cols)]
    if case.unit is Unit.ARRAY:
        order.sort()
    return [
        (
            tile,
            {
                "first_tile": int(tile == 0),
                "last_tile": int(tile == case.tiles - 1),
                "first_col": int(col == 0),
                "last_col": int(col == cols - 1),
                "first_row": int(row == 0),
                "last_row": int(row == ROWS - 1),
            },
        )
        for row in range(ROWS)
        for col, tile in order
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("cols", [1, COLS])
def test_groups(case: Case, cols: int) -> None:
    dut = Drain(case.params(), case.unit)
    rng = random.Random(2)
    r = case.requant
    tiles = tiles_of(case, cols) * 2  # the second step starts from its own flags alone
    starts = [0]
    for _ in tiles:
        starts.append(starts[-1] + case.groups * case.interval + rng.randint(0, case.gap))
    n_cycles = starts[-1] + LOAD_DELAY + case.groups * case.interval + 4
    # Whatever is not a strobe or a tile's sums is junk, which must not get through.
    strobes = [mix(rng, FLAGS, active=0) for _ in range(n_cycles)]
    n_sums = len(dut.sums)
    own = case.columns if case.unit is Unit.ARRAY else case.lanes
    assert n_sums == (own if case.interval == 1 else max(case.columns, case.lanes))
    feed = [[rng.randrange(-(1 << 31), 1 << 31) for _ in range(n_sums)] for _ in strobes]
    expected: dict[int, dict[str, Any]] = {}  # first cycles of groups
    held: dict[int, dict[str, Any]] = {}  # their other cycles
    for t, (tile, flags) in zip(starts, tiles, strict=False):
        strobes[t] = mix(rng, FLAGS, active=1, **flags)
        taken = feed[t + LOAD_DELAY]
        for g in range(case.groups):
            ends = g == case.groups - 1 and flags["last_tile"] and flags["last_col"]
            first = t + LOAD_DELAY + 1 + g * case.interval
            expected[first] = {
                "valid": 1,
                "sums": taken[g * r : (g + 1) * r],
                "first": g == 0,
                "first_tile": flags["first_tile"],
                "last_tile": flags["last_tile"],
                "first_col": flags["first_col"],
                "first_row": flags["first_row"],
                "row_done": ends,
                "done": ends and flags["last_row"],
                "param": PARAM_BASE + (0 if case.shared else tile * case.groups + g),
            }
            for cycle in range(first + 1, first + case.interval):
                held[cycle] = {name: expected[first][name] for name in ("sums", "param")}
    step = {
        "groups_per_tile": case.groups,
        "param_base": PARAM_BASE,
        "shared_params": int(case.shared),
    }
    inputs = [(dut.tile, strobes), (dut.step, [step]), (dut.sums, feed)]
    flags_out = [dut.group[name] for name in NAMES]
    rows = play(dut, inputs, [dut.param_address, *flags_out, *dut.group_sums], n_cycles)
    for t, (_address, *rest) in enumerate(rows):
        group = dict(zip(NAMES, rest[: len(NAMES)], strict=True))
        got = {"sums": rest[len(NAMES) :], "param": rows[t - READ_LATENCY - 2][0]}
        if t in expected:
            assert got | group == expected[t], f"cycle {t}"
        else:
            assert [group[name] for name in ("valid", "row_done", "done")] == [0, 0, 0], t
            assert t not in held or got == held[t], f"cycle {t}"


def test_latency() -> None:
    """The delay that the output path's pipeline of flags leaves out."""
    assert LOAD_DELAY == 4
