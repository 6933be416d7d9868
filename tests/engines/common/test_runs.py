"""Rows and columns as runs: every place as given, in as few runs as there are."""

import numpy as np
import pytest

from weft.engines.common.runs import Run, runs


def places_of(found: tuple[Run, ...], count: int, size: int) -> list[int]:
    """What the address generator makes of runs; each output once."""
    places = [-2] * count
    for run in found:
        for i in range(run.count):
            there = run.origin + i * run.move
            assert places[run.first + i * run.step] == -2
            places[run.first + i * run.step] = there if 0 <= there < size else -1
    assert -2 not in places
    return places


@pytest.mark.parametrize(
    ("places", "size", "count"),
    [
        (range(10), 10, 1),
        (range(2, 9, 3), 10, 1),
        (range(9, -1, -1), 10, 1),
        (np.arange(10).repeat(2), 10, 2),
        (np.arange(10).repeat(5), 10, 5),
        (np.arange(15) * 2 // 3, 10, 3),  # by one and a half
        ([-1, -1, 0, 1, 2, -1], 3, 1),  # padded by a constant
        ([-1, 4, 5, 6, -1], 9, 2),  # whose neighbours are not outside: every other
        ([2, 1, 0, 1, 2, 1, 0], 3, 3),  # reflected
        ([0, 0, 0, 1, 2, 2], 3, 3),  # edges repeated
        ([3, 3, 3], 4, 1),
        ([-1, -1], 4, 1),
        ([-1, 2, -1], 5, 1),
        ([0], 1, 1),
    ],
)
def test_fewest(places: list[int], size: int, count: int) -> None:
    wanted = tuple(int(place) for place in places)
    found = runs(wanted, size)
    assert places_of(found, len(wanted), size) == list(wanted)
    assert len(found) == count


@pytest.mark.parametrize("seed", range(50))
def test_any(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9))
    wanted = tuple(rng.integers(-1, size, int(rng.integers(1, 30))).tolist())
    found = runs(wanted, size)
    assert places_of(found, len(wanted), size) == list(wanted)
    for run in found:
        filled = any(not 0 <= run.origin + i * run.move < size for i in range(run.count))
        assert run.move >= 0 or not filled
