"""Whether a plan's times keep its steps out of each other's way.

``machine.timing.plan_timings`` says when each step begins and when the last tap of each row is
issued; what follows from that is the cycle of every single read and write. Steps are reported in
program order, so that the latest access of a word is the one that counts, and every access must
come after the ones that it depends on.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weft.machine import timing
from weft.machine.check.fault import PlanFault, field_name, step_name
from weft.machine.engine import Unit
from weft.machine.memory_map import ACTIVATIONS
from weft.machine.plan import Plan, Step

NEVER, AT_START = -2, 0
"""Times of words that were never written, and of the inputs."""

FRONT_USED = 4
"""Cycles after the last tap in which the unit still takes from its front registers."""

LOADED = 2
"""Cycles from a step's begin until its registers hold its front part; from the last result of the
step before, its back part."""

STROBE = 4
"""Cycles before a tile's sums are complete in which its output path is told of them."""

WAIT = "an empty after: then it waits for the steps before it"


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
        schedule = timing.schedule(plan)
        self.timings, self.transfers = schedule.steps, schedule.transfers
        self.end = max(times.end for times in self.timings)
        self.rows = [self._rows(i) for i in range(len(plan.steps))]
        self.before: list[int | None] = []  # the step before each one on its engine
        last: dict[int, int] = {}
        for index, step in enumerate(plan.steps):
            self.before.append(last.get(step.engine))
            last[step.engine] = index
        self.written = self._words()
        self.read_until = self._words()
        self.writer = self._words()
        self.reader = self._words()
        self.writes: list[list[np.ndarray]] = [[] for _ in plan.steps]  # cycles of each step's
        region = plan.inputs
        self.written[0, region.bank][region.base : region.base + region.words] = AT_START

    def _words(self) -> dict[tuple[int, int], np.ndarray]:
        """A number for each word of activations, by engine and bank."""
        return {
            (engine, bank): np.full(depth, NEVER)
            for engine, spec in enumerate(self.plan.engines)
            for bank, depth in enumerate(spec.memories.act)
        }

    def _steps_before(self, index: int) -> Iterator[int]:
        """The earlier steps of its engine, the last one first."""
        other = self.before[index]
        while other is not None:
            yield other
            other = self.before[other]

    def _rows(self, index: int) -> list[Row]:
        step = self.plan.steps[index]
        drain = timing.drain_cycles(self.plan.engines[step.engine], step)
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
            step = self.plan.steps[index]
            raise PlanFault(step_name(index, step), field_name(step, field), value, why, works)

    def begin(self, index: int) -> None:
        """Rows come one after the other; a step runs beside another one only as it is planned."""
        step, rows, begin = self.plan.steps[index], self.rows[index], self.timings[index].begin
        for a, b in itertools.pairwise(rows):
            assert a.last + step.loops.hold < b.first
        latest = list(itertools.islice(self._steps_before(index), 2))
        for other in self._steps_before(index):
            if self.timings[other].end <= begin:
                continue
            if step.gap is not None:
                self._chained(index, other)
            elif step.follow is not None and other == latest[0]:
                self._beside(index, other)
            else:  # what the step before is chained to drains while this one waits for a row
                drains = other == latest[-1] and self.plan.steps[latest[0]].gap is not None
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
            works = f"move its buffer to bank {1 - ours}, or leave out Rows"
            self._need(ours != theirs, index, f"{kind}.bank", ours, why, works)

    def _chained(self, index: int, other: int) -> None:
        """The registers of the step before are free when those of this one replace them."""
        step = self.plan.steps[index]
        both = f"it would still run beside {self._name(other)}"
        self._need(other == self.before[index], index, "gap", step.gap, both, WAIT)
        before, begin = self.timings[other], self.timings[index].begin
        reading = begin + LOADED > before.issued + FRONT_USED
        why = f"too early: {self._name(other)} still reads"
        self._need(reading, index, "gap", step.gap, why, "a larger gap, or none")
        strobe = self.rows[index][0].first + step.loops.taps - 1 - STROBE
        strobe += timing.unit_latency(self.plan.engines[step.engine], step.unit)
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
        place = step.engine, bank
        written, base = self.written[place], step.read.base
        self._within(index, "read.base", base, bank, words)
        there = written[words] != NEVER
        first = words[np.argmin(there)]
        why = f"row {row} reads word {first} of bank {bank}, which nothing has written"
        self._need(there.all(), index, "read.base", base, why)
        own = self.writer[place][words] == index
        why = f"row {row} reads word {words[np.argmax(own)]} of bank {bank}, which it has written"
        self._need(not own.any(), index, "read.base", base, why, "keep its buffers apart")
        begins = self._tile_begins(index, row, tile)
        times = (begins[:, None] + np.arange(step.loops.taps))[inside]
        late = written[words] >= times
        writers = self.writer[place][words][late]
        self._need_order(not late.any(), index, f"row {row} reads too early", writers)
        np.maximum.at(self.read_until[place], words, times)
        self.reader[place][words] = index

    def write(self, index: int, row: int, tile: int, words: np.ndarray) -> None:
        """Writes of a tile [columns with results, groups], after all other accesses of the words.

        The bank writes one word in a cycle.
        """
        step = self.plan.steps[index]
        bank, loops, base = step.write.bank, step.loops, step.write.base
        place = step.engine, bank
        self._within(index, "write.base", base, bank, words)
        last_taps = self._tile_begins(index, row, tile)[loops.lead :] + loops.taps - 1
        drain = timing.drain_cycles(self.plan.engines[step.engine], step)
        first = last_taps + drain + 1 - step.write.groups_per_tile
        times = first[:, None] + np.arange(words.shape[1])
        own = self.reader[place][words] == index
        word = words.ravel()[np.argmax(own)]
        why = f"row {row} overwrites word {word} of bank {bank}, which it reads"
        self._need(not own.any(), index, "write.base", base, why, "keep its buffers apart")
        early = self.read_until[place][words] >= times
        readers = self.reader[place][words][early]
        self._need_order(not early.any(), index, f"row {row} overwrites too early", readers)
        early = (self.writer[place][words] != index) & (self.written[place][words] >= times)
        writers = self.writer[place][words][early]
        self._need_order(not early.any(), index, f"row {row} overwrites too early", writers)
        self.writes[index].append(times.ravel())
        np.maximum.at(self.written[place], words, times)
        self.writer[place][words] = index

    def finish(self, index: int) -> None:
        """A bank writes one word in a cycle, whichever unit it is from."""
        bank = self.plan.steps[index].write.bank
        times = np.sort(np.concatenate(self.writes[index]))
        assert (np.diff(times) > 0).all(), "a lane's results leave one after the other"
        self.writes[index] = [times]
        latest = list(itertools.islice(self._steps_before(index), 2))
        for other in latest:
            if self.plan.steps[other].write.bank == bank:
                meet = np.intersect1d(times, self.writes[other][0]).size
                why = f"it would write in the same cycle as {self._name(other)}"
                self._need(not meet, index, "write.bank", bank, why, WAIT)
        if len(latest) == 2:
            self.writes[latest[1]] = []

    def transfer(self, number: int) -> None:
        """A transfer between engines: a word in a cycle, each after it was written."""
        transfer, times = self.plan.transfers[number], self.transfers[number]
        source = transfer.from_engine, ACTIVATIONS.index(transfer.source)
        target = transfer.to_engine, ACTIVATIONS.index(transfer.target)
        reads = times.begin + np.arange(transfer.words)
        words = transfer.first + np.arange(transfer.words)
        where, after = f"transfer {number}", [end.step for end in transfer.after]
        written = self.written[source][words]
        there = written != NEVER
        why = f"it reads word {words[np.argmin(there)]}, which nothing has written"
        _need(there.all(), where, "first", transfer.first, why)
        late = written >= reads
        other = self._name(int(self.writer[source][words][np.argmax(late)]))
        works = f"End of {other}"
        _need(not late.any(), where, "after", after, f"too early: {other} is not done", works)
        self.read_until[source][words] = np.maximum(self.read_until[source][words], reads)
        self.reader[source][words] = _code(number)
        writes, words = reads + timing.TRANSFER_LATENCY, transfer.at + np.arange(transfer.words)
        for who, until in (
            (self.reader[target], self.read_until[target]),
            (self.writer[target], self.written[target]),
        ):
            early = until[words] >= writes
            other = self._name(int(who[words][np.argmax(early)]))
            works = f"End of {other}"
            _need(not early.any(), where, "after", after, f"too early: {other} is not done", works)
        self.written[target][words] = writes
        self.writer[target][words] = _code(number)
        self._ports(number)

    def _ports(self, number: int) -> None:
        """No step reads the bank that it reads, nor writes the one that it writes, meanwhile."""
        transfer, times = self.plan.transfers[number], self.transfers[number]
        for index, step in enumerate(self.plan.steps):
            first, last = self.rows[index][0].first, self.timings[index]
            for kind, engine, name, bank, begin, end, until in (
                ("read", transfer.from_engine, transfer.source, step.read.bank, times.begin,
                 times.end - timing.TRANSFER_LATENCY, last.issued),
                ("write", transfer.to_engine, transfer.target, step.write.bank,
                 times.begin + timing.TRANSFER_LATENCY, times.end, last.end),
            ):  # fmt: skip
                same = (step.engine, ACTIVATIONS[bank]) == (engine, name)
                why = f"it would {kind} {name} beside {{}}, and the memory has one port for that"
                meet = same and first <= end and begin <= until
                if meet and index < transfer.before:
                    after = [end.step for end in transfer.after]
                    why, works = why.format(self._name(index)), f"End of {self._name(index)}"
                    raise PlanFault(f"transfer {number}", "after", after, why, works)
                why, works = why.format(f"transfer {number}"), f"Moved of transfer {number}"
                self._need(not meet, index, "after", _kinds(step), why, works)

    def read_outputs(self) -> None:
        """All output words were written, and not after the program's last cycle."""
        region = self.plan.outputs
        written = self.written[0, region.bank][region.base : region.base + region.words]
        if not (written > AT_START).all():
            word = region.base + int(np.argmin(written > AT_START))
            why = f"no step writes word {word} of bank {region.bank}, where an output lies"
            raise PlanFault("outputs", "base", region.base, why)
        assert written.max() <= self.end

    def _within(self, index: int, field: str, base: int, bank: int, words: np.ndarray) -> None:
        engine = self.plan.steps[index].engine
        low, high, depth = int(words.min()), int(words.max()), len(self.written[engine, bank])
        verb = field.partition(".")[0] + "s"
        beyond = low if low < 0 else high
        why = f"it {verb} word {beyond} of bank {bank}, which has {depth} words"
        works = f"keep to the buffers, or make engines[{engine}].memories.act[{bank}] larger"
        self._need(low >= 0 and high < depth, index, field, base, why, works)

    def _need_order(self, condition: bool, index: int, what: str, others: np.ndarray) -> None:
        """An access that must wait for another step's: what decides when it comes is named."""
        if condition:
            return
        step = self.plan.steps[index]
        other = self._name(int(others[0]))
        field, value, works = "after", _kinds(step), f"that it waits for {other}"
        if step.follow is not None:
            field, value, works = "follow.need", step.follow.need, "more rows, or no Rows"
        elif step.gap is not None:
            field, value, works = "gap", step.gap, "a larger gap, or none"
        self._need(False, index, field, value, f"{what}: {other} is not done", works)

    def _name(self, who: int) -> str:
        """A step or (``_code``) a transfer."""
        if who <= _code(0):
            return f"transfer {_code(0) - who}"
        return step_name(who, self.plan.steps[who])


def _code(number: int) -> int:
    """A transfer among the numbers of steps: below ``NEVER``."""
    return NEVER - 1 - number


def _kinds(step: Step) -> str:
    return f"[{', '.join(type(dependency).__name__ for dependency in step.after)}]"


def _need(
    condition: object, where: str, field: str, value: object, why: str, works: str = ""
) -> None:
    if not condition:
        raise PlanFault(where, field, value, why, works)
