"""The drain: sums taken once, groups in order, parameters and flags in their cycle."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hw.support import play, small_params
from weft.hw.drain import GROUP, LOAD_DELAY, Drain
from weft.hw.params import EngineParams
from weft.hw.ram import READ_LATENCY
from weft.hw.sequencer import FLAGS
from weft.hw.step import Unit

PARAM_BASE = 5


@dataclass(frozen=True, kw_only=True)
class Case:
    """An engine's shape and one step: groups per tile, tiles per pixel, gap between the tiles."""

    lanes: int
    columns: int
    requant_lanes: int
    unit: Unit
    groups: int
    tiles: int
    shared: bool = False
    gap: int = 0  # idle cycles beyond the groups' own

    def params(self) -> EngineParams:
        names = ("lanes", "columns", "requant_lanes")
        return small_params(**{n: getattr(self, n) for n in names}, param_words=64)


CASES = [
    Case(lanes=4, columns=4, requant_lanes=2, unit=Unit.ARRAY, groups=2, tiles=3),
    Case(lanes=4, columns=4, requant_lanes=4, unit=Unit.ARRAY, groups=1, tiles=2),
    Case(lanes=4, columns=4, requant_lanes=4, unit=Unit.VECTOR, groups=1, tiles=1),
    Case(lanes=8, columns=4, requant_lanes=2, unit=Unit.VECTOR, groups=4, tiles=2),
    Case(lanes=8, columns=4, requant_lanes=2, unit=Unit.ARRAY, groups=2, tiles=4, gap=1),
    Case(lanes=2, columns=6, requant_lanes=1, unit=Unit.ARRAY, groups=6, tiles=2),
    Case(lanes=2, columns=6, requant_lanes=1, unit=Unit.VECTOR, groups=2, tiles=3, gap=3),
    Case(lanes=2, columns=6, requant_lanes=1, unit=Unit.ARRAY, groups=4, tiles=1, gap=7),
    Case(lanes=4, columns=4, requant_lanes=1, unit=Unit.VECTOR, groups=4, tiles=2, shared=True),
    Case(lanes=1, columns=1, requant_lanes=1, unit=Unit.VECTOR, groups=1, tiles=3, shared=True),
]

ROWS, COLS = 2, 3


def tiles_of(case: Case) -> list[dict[str, int]]:
    """Flags of every tile of a step of 2 x 3 pixels."""
    tiles = []
    for row in range(ROWS):
        for col in range(COLS):
            for tile in range(case.tiles):
                last = (row, col, tile) == (ROWS - 1, COLS - 1, case.tiles - 1)
                flags = {"first_tile": tile == 0, "first_col": col == 0, "first_row": row == 0}
                tiles.append({name: int(on) for name, on in flags.items()} | {"last_tile": last})
    return tiles


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.unit.name}-{case.groups}")
def test_groups(case: Case) -> None:
    dut = Drain(case.params())
    rng = random.Random(2)
    r = case.requant_lanes
    sums = {Unit.ARRAY: dut.array_sums, Unit.VECTOR: dut.vector_sums}
    sizes = {Unit.ARRAY: case.columns, Unit.VECTOR: case.lanes}

    def values(unit: Unit) -> list[int]:
        return [rng.randrange(-(1 << 31), 1 << 31) for _ in range(sizes[unit])]

    tiles = tiles_of(case)
    period = case.groups + case.gap
    n_cycles = period * len(tiles) + LOAD_DELAY + case.groups + 4
    # Whatever is not a strobe or a tile's sums is junk, which must not get through.
    strobes: list[dict[str, int]] = [
        {name: rng.getrandbits(1) for name, _ in FLAGS} | {"active": 0} for _ in range(n_cycles)
    ]
    feeds = {unit: [values(unit) for _ in range(n_cycles)] for unit in Unit}
    expected: dict[int, dict[str, Any]] = {}
    for i, flags in enumerate(tiles):
        t = i * period
        strobes[t] = {"active": 1, "first": 0, "last": 1, **flags}
        taken = feeds[case.unit][t + LOAD_DELAY]
        for g in range(case.groups):
            place = i % case.tiles * case.groups + g
            expected[t + LOAD_DELAY + 1 + g] = {
                "sums": taken[g * r : (g + 1) * r],
                "first": g == 0 and flags["first_tile"],
                "first_col": flags["first_col"],
                "first_row": flags["first_row"],
                "last": g == case.groups - 1 and flags["last_tile"],
                "param": PARAM_BASE + (0 if case.shared else place),
            }
    step = {
        "groups_per_tile": case.groups,
        "param_base": PARAM_BASE,
        "shared_params": int(case.shared),
    }
    inputs = [(dut.tile, strobes), (dut.unit, [case.unit]), (dut.step, [step])]
    inputs += [(sums[unit], feed) for unit, feed in feeds.items()]
    names = [name for name, _ in GROUP]
    flags_out = [dut.group[name] for name in names]
    rows = play(dut, inputs, [dut.param_address, *flags_out, *dut.sums], n_cycles)
    for t, (_address, *rest) in enumerate(rows):
        group = dict(zip(names, rest[: len(names)], strict=True))
        assert group.pop("valid") == (t in expected), f"cycle {t}"
        assert not group["last"] or t in expected, f"cycle {t}"
        if t in expected:
            got = {"sums": rest[len(names) :], **group, "param": rows[t - READ_LATENCY][0]}
            assert got == expected[t], f"cycle {t}"


def test_latency() -> None:
    """The delay that the engine's pipelines of flags leave out."""
    assert LOAD_DELAY == 2
