"""Whether a plan's times keep its steps out of each other's way.

``mapper.cost.timings`` says when each row of each step is issued and when its last result is
written. Reads of a row happen while it is issued; its writes somewhere from its first tap to its
last write. Steps are reported in program order, so that the latest access of a word is the one
that counts, and every access must come after the ones that it depends on have ended.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from weft.mapper import cost
from weft.mapper.plan import Plan

NEVER, AT_START = -2, 0
"""Times of words that were never written, and of the inputs."""


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
        self.timings = cost.timings(plan.engine, plan.steps)
        self.rows = [self._rows(i) for i in range(len(plan.steps))]
        depths = plan.engine.memories.act
        self.written = [np.full(depth, NEVER) for depth in depths]
        self.read_until = [np.full(depth, NEVER) for depth in depths]
        self.writer = [np.full(depth, NEVER) for depth in depths]
        self.reader = [np.full(depth, NEVER) for depth in depths]
        region = plan.inputs
        self.written[region.bank][region.base : region.base + region.words] = AT_START

    def _rows(self, index: int) -> list[Row]:
        engine, step = self.plan.engine, self.plan.steps[index]
        drain = cost.unit_latency(engine, step.unit) + cost.requant_latency(engine)
        drain += step.write.groups_per_tile
        rows = []
        for written in self.timings[index].rows:
            last = written - drain
            rows.append(Row(last - step.loops.row_cycles + 1, last, written))
        assert len(rows) == step.loops.rows
        return rows

    def begin(self, index: int) -> None:
        """Rows come one after the other, and no step beside this one has its unit or its banks."""
        step, rows, begin = self.plan.steps[index], self.rows[index], self.timings[index].begin
        assert begin < rows[0].first
        hold = step.loops.hold
        for a, b in itertools.pairwise(rows):
            assert a.last + hold < b.first, f"{step.name}: rows overlap"
        for other_index in range(index):
            if self.timings[other_index].end <= begin:
                continue
            other = self.plan.steps[other_index]
            both = f"{step.name} beside {other.name}"
            assert other_index == index - 1, both
            assert step.follow is not None, both
            assert step.unit is not other.unit, both
            assert step.read.bank != other.read.bank, f"{both}: reads of one bank"
            assert step.write.bank != other.write.bank, f"{both}: writes to one bank"

    def read(self, index: int, row: int, words: np.ndarray) -> None:
        """A row's reads: within the bank, of words that another step is done with."""
        step = self.plan.steps[index]
        written = self.written[step.read.bank]
        if not words.size:
            return
        assert _within(words, len(written)), f"{step.name} reads beyond its bank"
        assert (written[words] != NEVER).all(), f"{step.name} reads what was never written"
        time = self.rows[index][row]
        assert (written[words] < time.first).all(), f"{step.name}: row {row} reads too early"
        assert (self.writer[step.read.bank][words] != index).all(), f"{step.name} reads its writes"
        until = self.read_until[step.read.bank]
        until[words] = np.maximum(until[words], time.last + 1)
        self.reader[step.read.bank][words] = index

    def write(self, index: int, row: int, words: np.ndarray) -> None:
        """A row's writes: within the bank, to words whose readers and other writers are done."""
        step = self.plan.steps[index]
        bank = step.write.bank
        written, until = self.written[bank], self.read_until[bank]
        assert _within(words, len(written)), f"{step.name} writes beyond its bank"
        time = self.rows[index][row]
        assert (self.reader[bank][words] != index).all(), f"{step.name} reads its writes"
        assert (until[words] < time.first).all(), f"{step.name}: row {row} overwrites too early"
        others = self.writer[bank][words] != index
        assert (written[words][others] < time.first).all(), f"{step.name} writes beside another"
        written[words] = time.written
        self.writer[bank][words] = index

    def end(self, index: int) -> None:
        """The plan's order of ends: nothing is left running when the program ends."""
        assert self.timings[index].end == self.rows[index][-1].written

    def read_outputs(self) -> None:
        """All output words were written, and not after the program's last cycle."""
        region = self.plan.outputs
        written = self.written[region.bank][region.base : region.base + region.words]
        assert (written > AT_START).all()
        assert written.max() <= cost.cycles(self.plan)


def _within(words: np.ndarray, depth: int) -> bool:
    return bool(((words >= 0) & (words < depth)).all())
