"""Whether a plan's times keep its steps out of each other's way.

``machine.timing.timings`` says when each step begins and when the last tap of each row is issued;
what follows from that is the cycle of every single read and write. Steps are reported in program
order, so that the latest access of a word is the one that counts, and every access must come after
the ones that it depends on.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from weft.machine import timing
from weft.machine.engine import Unit
from weft.machine.plan import Plan

NEVER, AT_START = -2, 0
"""Times of words that were never written, and of the inputs."""

FRONT_USED = 4
"""Cycles after the last tap in which the unit still takes from its front registers."""

LOADED = 2
"""Cycles from a step's begin until its registers hold its front part; from the last result of the
step before, its back part."""

STROBE = 4
"""Cycles before a tile's sums are complete in which its output path is told of them."""


@dataclass(frozen=True)
class Row:
    """First and last tap issued, last result written."""

    first: int
    last: int
    written: int


class Clock:
    """When each word was last read and written, and by which step."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.timings = timing.timings(plan.engine, plan.steps)
        self.rows = [self._rows(i) for i in range(len(plan.steps))]
        depths = plan.engine.memories.act
        self.written = [np.full(depth, NEVER) for depth in depths]
        self.read_until = [np.full(depth, NEVER) for depth in depths]
        self.writer = [np.full(depth, NEVER) for depth in depths]
        self.reader = [np.full(depth, NEVER) for depth in depths]
        self.writing = [np.zeros(timing.cycles(plan) + 1, bool) for _ in depths]  # cycle by cycle
        region = plan.inputs
        self.written[region.bank][region.base : region.base + region.words] = AT_START

    def _rows(self, index: int) -> list[Row]:
        step = self.plan.steps[index]
        drain = timing.drain_cycles(self.plan.engine, step)
        rows = []
        for written in self.timings[index].rows:
            last = written - drain
            rows.append(Row(last - step.loops.row_cycles + 1, last, written))
        assert len(rows) == step.loops.rows
        assert rows[-1].last == self.timings[index].issued
        return rows

    def _tile_begins(self, index: int, row: int, tile: int) -> np.ndarray:
        """Cycles [cols] of the first tap of a tile of every column of a row."""
        step = self.plan.steps[index]
        loops, col = step.loops, np.arange(step.loops.cols)
        order = col * loops.tiles + tile if step.unit is Unit.ARRAY else tile * loops.cols + col
        return self.rows[index][row].first + order * (loops.taps + loops.hold)

    def begin(self, index: int) -> None:
        """Rows come one after the other; a step runs beside another one only as it is planned."""
        step, rows, begin = self.plan.steps[index], self.rows[index], self.timings[index].begin
        assert begin < rows[0].first
        if self.plan.engine.alternates:
            assert step.read.bank != step.write.bank, f"{step.name}: two accesses to one bank"
        hold = step.loops.hold
        for a, b in itertools.pairwise(rows):
            assert a.last + hold < b.first, f"{step.name}: rows overlap"
        for other_index in range(index):
            if self.timings[other_index].end <= begin:
                continue
            other = self.plan.steps[other_index]
            both = f"{step.name} beside {other.name}"
            if step.gap is not None:
                assert other_index == index - 1, both
                self._chained(index, both)
            elif other_index == index - 1:
                assert step.follow is not None, both
                assert step.unit is not other.unit, both
                assert step.read.bank != other.read.bank, f"{both}: reads of one bank"
                assert step.write.bank != other.write.bank, f"{both}: writes to one bank"
            else:  # what the step before is chained to drains while this one waits for a row
                assert other_index == index - 2, both
                assert self.plan.steps[index - 1].gap is not None, both
                assert self.timings[other_index].end < rows[0].first, both

    def _chained(self, index: int, both: str) -> None:
        """The registers of the step before are free when those of this one replace them."""
        step, other = self.plan.steps[index], self.plan.steps[index - 1]
        before, begin = self.timings[index - 1], self.timings[index].begin
        assert step.follow is None, both
        assert step.unit is other.unit is Unit.ARRAY, both
        assert begin + LOADED > before.issued + FRONT_USED, f"{both}: still reading"
        strobe = self.rows[index][0].first + step.loops.taps - 1 - STROBE
        strobe += timing.unit_latency(self.plan.engine, step.unit)
        assert strobe >= before.end + LOADED, f"{both}: still draining"

    def read(
        self, index: int, row: int, tile: int, address: np.ndarray, inside: np.ndarray
    ) -> None:
        """Reads of a tile of every column [cols, taps], of words that another step has written."""
        step = self.plan.steps[index]
        bank, words = step.read.bank, address[inside]
        if not words.size:
            return
        written = self.written[bank]
        assert _within(words, len(written)), f"{step.name} reads beyond its bank"
        assert (written[words] != NEVER).all(), f"{step.name} reads what was never written"
        begins = self._tile_begins(index, row, tile)
        times = (begins[:, None] + np.arange(step.loops.taps))[inside]
        assert (written[words] < times).all(), f"{step.name}: row {row} reads too early"
        assert (self.writer[bank][words] != index).all(), f"{step.name} reads its writes"
        np.maximum.at(self.read_until[bank], words, times)
        self.reader[bank][words] = index

    def write(self, index: int, row: int, tile: int, words: np.ndarray) -> None:
        """Writes of a tile [columns with results, groups], after all other accesses of the words.

        The bank writes one word in a cycle.
        """
        step = self.plan.steps[index]
        bank, loops = step.write.bank, step.loops
        written = self.written[bank]
        assert _within(words, len(written)), f"{step.name} writes beyond its bank"
        last_taps = self._tile_begins(index, row, tile)[loops.lead :] + loops.taps - 1
        drain = timing.drain_cycles(self.plan.engine, step)
        first = last_taps + drain + 1 - step.write.groups_per_tile
        times = first[:, None] + np.arange(words.shape[1])
        assert (self.reader[bank][words] != index).all(), f"{step.name} reads its writes"
        until = self.read_until[bank][words]
        assert (until < times).all(), f"{step.name}: row {row} overwrites too early"
        others = self.writer[bank][words] != index
        assert (written[words] < times)[others].all(), f"{step.name} writes beside another"
        assert not self.writing[bank][times].any(), f"{step.name}: two writes in one cycle"
        self.writing[bank][times] = True
        np.maximum.at(written, words, times)
        self.writer[bank][words] = index

    def end(self, index: int) -> None:
        """The plan's order of ends: nothing is left running when the program ends."""
        assert self.timings[index].end == self.rows[index][-1].written

    def read_outputs(self) -> None:
        """All output words were written, and not after the program's last cycle."""
        region = self.plan.outputs
        written = self.written[region.bank][region.base : region.base + region.words]
        assert (written > AT_START).all()
        assert written.max() <= timing.cycles(self.plan)


def _within(words: np.ndarray, depth: int) -> bool:
    return bool(((words >= 0) & (words < depth)).all())
