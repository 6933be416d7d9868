"""Lists of rows or columns as runs of equal steps, which address generators can follow."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_STEP = 32
"""Outputs of a run are at most that far apart."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Outputs ``first, first + step, ...`` are the input's places ``origin, origin + move, ...``.

    Where such a place lies outside the input, the output is filled.
    """

    first: int
    step: int
    count: int
    origin: int
    move: int


@functools.cache
def runs(places: tuple[int, ...], size: int) -> tuple[Run, ...]:
    """The fewest runs of outputs equally far apart. A place of -1 is filled.

    size: of the input. Runs with fills never move backwards.
    """
    ways = [_runs(places, size, step) for step in range(1, min(MAX_STEP, len(places)) + 1)]
    return min(ways, key=len)


def _runs(places: tuple[int, ...], size: int, step: int) -> tuple[Run, ...]:
    """Those whose outputs are ``step`` apart, each as long as it can be from its beginning."""
    return tuple(
        Run(first=phase + step * begin, step=step, count=count, origin=line.origin, move=line.move)
        for phase in range(step)
        for begin, count, line in _cut(places[phase::step], size)
    )


@dataclass(frozen=True, kw_only=True)
class _Line:
    """Places ``origin + i * move`` of an input of ``size``."""

    origin: int
    move: int
    size: int

    def meets(self, index: int, place: int) -> bool:
        """Whether it is at that place, or for -1 outside the input and not on the way back."""
        there = self.origin + index * self.move
        if place >= 0:
            return there == place
        return self.move >= 0 and not 0 <= there < self.size


def _cut(places: Sequence[int], size: int) -> Iterator[tuple[int, int, _Line]]:
    """(begin, count, line) of one run after the other."""
    begin = 0
    while begin < len(places):
        count, line = 1, _line(places[begin : begin + 1], size)
        assert line is not None
        while begin + count < len(places):
            if not line.meets(count, places[begin + count]):
                longer = _line(places[begin : begin + count + 1], size)
                if longer is None:
                    break
                line = longer
            count += 1
        yield begin, count, line
        begin += count


def _line(places: Sequence[int], size: int) -> _Line | None:
    """The line through some places; None where there is none."""
    known = [(i, place) for i, place in enumerate(places) if place >= 0]
    if not known:
        return _Line(origin=-1, move=0, size=size)
    index, place = known[0]
    if len(known) == 1:
        moves = [0] if len(places) == 1 else [1, size]
    else:
        move, rest = divmod(known[1][1] - place, known[1][0] - index)
        moves = [] if rest else [move]
    for move in moves:
        line = _Line(origin=place - index * move, move=move, size=size)
        if all(line.meets(i, there) for i, there in enumerate(places)):
            return line
    return None
