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
from weft.machine.check.fault import PlanFault, step_name
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

WAIT = "leave out follow and gap, so that it waits for the steps before it"


@dataclass(frozen=True)
class Row:
    """First and last tap issued, last result written."""

    first: int
    last: int
    written: int


class Clock:
    """When each word was last read and written, and by which step.

    Raises PlanFault, from every method, for an access that does not keep its distance.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.timings = timing.timings(plan.engine, plan.steps)
        self.end = max(times.end for times in self.timings)
        self.rows = [self._rows(i) for i in range(len(plan.steps))]
        depths = plan.engine.memories.act
        self.written = [np.full(depth, NEVER) for depth in depths]
        self.read_until = [np.full(depth, NEVER) for depth in depths]
        self.writer = [np.full(depth, NEVER) for depth in depths]
        self.reader = [np.full(depth, NEVER) for depth in depths]
        self.writes: list[list[np.ndarray]] = [[] for _ in plan.steps]  # cycles of each step's
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
        assert self.timings[index].begin < rows[0].first
        return rows

    def _tile_begins(self, index: int, row: int, tile: int) -> np.ndarray:
        """Cycles [cols] of the first tap of a tile of every column of a row."""
        step = self.plan.steps[index]
        loops, col = step.loops, np.arange(step.loops.cols)
        order = col * loops.tiles + tile if step.unit is Unit.ARRAY else tile * loops.cols + col
        return self.rows[index][row].first + order * (loops.taps + loops.hold)

    def _need(
        self, condition: object, index: int, field: str, value: object, why: str, works: str = ""
    ) -> None:
        if not condition:
            where = step_name(index, self.plan.steps[index])
            raise PlanFault(where, field, value, why, works)

    def begin(self, index: int) -> None:
        """Rows come one after the other; a step runs beside another one only as it is planned."""
        step, rows, begin = self.plan.steps[index], self.rows[index], self.timings[index].begin
        for a, b in itertools.pairwise(rows):
            assert a.last + step.loops.hold < b.first
        for other in range(index):
            if self.timings[other].end <= begin:
                continue
            if step.gap is not None:
                self._chained(index, other)
            elif step.follow is not None and other == index - 1:
                self._beside(index, other)
            else:  # what the step before is chained to drains while this one waits for a row
                drains = other == index - 2 and self.plan.steps[index - 1].gap is not None
                drains = drains and self.timings[other].end < rows[0].first
                both = f"it would still run beside {self._name(other)}"
                need = None if step.follow is None else step.follow.need
                self._need(drains, index, "follow.need", need, both, WAIT)

    def _beside(self, index: int, other: int) -> None:
        """Both units have a bank to read and a bank to write of their own."""
        step, before = self.plan.steps[index], self.plan.steps[other]
        beside = f"of {self._name(other)}, beside which it runs"
        for kind, ours, theirs in (
            ("read", step.read.bank, before.read.bank),
            ("write", step.write.bank, before.write.bank),
        ):
            why = f"the {kind}s {beside}, are in the same bank, which has one port for them"
            works = f"move its buffer to bank {1 - ours}, or leave out follow"
            self._need(ours != theirs, index, f"{kind}.bank", ours, why, works)

    def _chained(self, index: int, other: int) -> None:
        """The registers of the step before are free when those of this one replace them."""
        step = self.plan.steps[index]
        both = f"it would still run beside {self._name(other)}"
        self._need(other == index - 1, index, "gap", step.gap, both, WAIT)
        before, begin = self.timings[other], self.timings[index].begin
        reading = begin + LOADED > before.issued + FRONT_USED
        why = f"too early: {self._name(other)} still reads"
        self._need(reading, index, "gap", step.gap, why, "a larger gap, or none")
        strobe = self.rows[index][0].first + step.loops.taps - 1 - STROBE
        strobe += timing.unit_latency(self.plan.engine, step.unit)
        why = f"too early: {self._name(other)} still has results to write"
        drained = strobe >= before.end + LOADED
        works = f"at least {(step.gap or 0) + before.end + LOADED - strobe}, or none"
        self._need(drained, index, "gap", step.gap, why, works)

    def read(
        self, index: int, row: int, tile: int, address: np.ndarray, inside: np.ndarray
    ) -> None:
        """Reads of a tile of every column [cols, taps], of words that another step has written."""
        step = self.plan.steps[index]
        bank, words = step.read.bank, address[inside]
        if not words.size:
            return
        written, base = self.written[bank], step.read.base
        self._within(index, "read.base", base, bank, words)
        there = written[words] != NEVER
        first = words[np.argmin(there)]
        why = f"row {row} reads word {first} of bank {bank}, which nothing has written"
        self._need(there.all(), index, "read.base", base, why)
        own = self.writer[bank][words] == index
        why = f"row {row} reads word {words[np.argmax(own)]} of bank {bank}, which it has written"
        self._need(not own.any(), index, "read.base", base, why, "keep its buffers apart")
        begins = self._tile_begins(index, row, tile)
        times = (begins[:, None] + np.arange(step.loops.taps))[inside]
        late = written[words] >= times
        writers = self.writer[bank][words][late]
        self._need_order(not late.any(), index, f"row {row} reads too early", writers)
        np.maximum.at(self.read_until[bank], words, times)
        self.reader[bank][words] = index

    def write(self, index: int, row: int, tile: int, words: np.ndarray) -> None:
        """Writes of a tile [columns with results, groups], after all other accesses of the words.

        The bank writes one word in a cycle.
        """
        step = self.plan.steps[index]
        bank, loops, base = step.write.bank, step.loops, step.write.base
        self._within(index, "write.base", base, bank, words)
        last_taps = self._tile_begins(index, row, tile)[loops.lead :] + loops.taps - 1
        drain = timing.drain_cycles(self.plan.engine, step)
        first = last_taps + drain + 1 - step.write.groups_per_tile
        times = first[:, None] + np.arange(words.shape[1])
        own = self.reader[bank][words] == index
        word = words.ravel()[np.argmax(own)]
        why = f"row {row} overwrites word {word} of bank {bank}, which it reads"
        self._need(not own.any(), index, "write.base", base, why, "keep its buffers apart")
        early = self.read_until[bank][words] >= times
        readers = self.reader[bank][words][early]
        self._need_order(not early.any(), index, f"row {row} overwrites too early", readers)
        early = (self.writer[bank][words] != index) & (self.written[bank][words] >= times)
        writers = self.writer[bank][words][early]
        self._need_order(not early.any(), index, f"row {row} overwrites too early", writers)
        self.writes[index].append(times.ravel())
        np.maximum.at(self.written[bank], words, times)
        self.writer[bank][words] = index

    def finish(self, index: int) -> None:
        """A bank writes one word in a cycle, whichever unit it is from."""
        bank = self.plan.steps[index].write.bank
        times = np.sort(np.concatenate(self.writes[index]))
        assert (np.diff(times) > 0).all(), "a lane's results leave one after the other"
        self.writes[index] = [times]
        for other in range(max(0, index - 2), index):
            if self.plan.steps[other].write.bank == bank:
                meet = np.intersect1d(times, self.writes[other][0]).size
                why = f"it would write in the same cycle as {self._name(other)}"
                self._need(not meet, index, "write.bank", bank, why, WAIT)
        if index >= 2:
            self.writes[index - 2] = []

    def read_outputs(self) -> None:
        """All output words were written, and not after the program's last cycle."""
        region = self.plan.outputs
        written = self.written[region.bank][region.base : region.base + region.words]
        if not (written > AT_START).all():
            word = region.base + int(np.argmin(written > AT_START))
            why = f"no step writes word {word} of bank {region.bank}, where an output lies"
            raise PlanFault("outputs", "base", region.base, why)
        assert written.max() <= self.end

    def _within(self, index: int, field: str, base: int, bank: int, words: np.ndarray) -> None:
        low, high, depth = int(words.min()), int(words.max()), len(self.written[bank])
        verb = field.partition(".")[0] + "s"
        beyond = low if low < 0 else high
        why = f"it {verb} word {beyond} of bank {bank}, which has {depth} words"
        works = f"keep to the buffers, or make engines[0].memories.act[{bank}] larger"
        self._need(low >= 0 and high < depth, index, field, base, why, works)

    def _need_order(self, condition: bool, index: int, what: str, others: np.ndarray) -> None:
        """An access that must wait for another step's: what decides when it comes is named."""
        if condition:
            return
        step = self.plan.steps[index]
        field, value, works = "follow", None, "a smaller overlap"
        if step.follow is not None:
            field, value, works = "follow.need", step.follow.need, "more rows, or no follow"
        elif step.gap is not None:
            field, value, works = "gap", step.gap, "a larger gap, or none"
        other = int(others.max(initial=0))
        self._need(False, index, field, value, f"{what}: {self._name(other)} is not done", works)

    def _name(self, index: int) -> str:
        return step_name(index, self.plan.steps[index])
