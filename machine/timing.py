"""The cycle model: exact, because the schedule is static.

The hardware takes its latencies from here; every simulation compares the prediction with the cycles
counted in hardware.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from weft.machine.engine import Engine, Style, Unit
from weft.machine.fields import step_chunks
from weft.machine.loads import Load, by_step
from weft.machine.plan import End, Moved, Plan, Step, Transfer

READ_LATENCY = 2
"""Cycles from a memory's address to its data."""

BANK_LATENCY = 1 + READ_LATENCY + 1
"""The same of a bank of activations, with the registers at its ports."""

ROW_LATENCY = BANK_LATENCY + 2
"""Cycles from an issued address to lane data at row 0 (the bank, its choice, padding)."""

ISSUE_LATENCY = 4
"""From a step's begin to its first tap: registers loaded, start, counters, addresses."""

GO_LATENCY = 1
"""From the accepted start until the controller begins to fetch: a register."""

FETCH_LATENCY = 1 + READ_LATENCY
"""A fetch's own pipeline, beside one cycle per chunk."""

LOAD_DELAY = 4
"""From a tile's strobe at the drain until its sums are taken."""

ROW_SEEN = 3
"""From a row's last write until a step that follows may issue: counter, comparison, address."""

MIN_FOLLOW_CYCLES = 3
"""Cycles that the comparison for the next row takes: a row that follows must be as long."""


TRANSFER_LATENCY = BANK_LATENCY + 1
"""From the read of a word in one engine's activations to its write in another's."""


def multiplier_latency(style: Style, rows: int) -> int:
    """Cycles from operands to product; ``rows``: bits of the second operand, up to 16."""
    if style in (Style.DSP, Style.DUAL):
        return 2
    return 4 if rows > 8 else 3


def unit_latency(engine: Engine, unit: Unit) -> int:
    """Cycles from the issue of a tile's last tap until its sums are complete."""
    if unit is Unit.ARRAY:
        return ROW_LATENCY + engine.rows.latency + engine.lanes + 1
    return ROW_LATENCY + multiplier_latency(engine.styles.vector, 8) + 1


def requant_latency(engine: Engine) -> int:
    """Cycles from a group's leaving the drain to its write."""
    return engine.requant_stages + multiplier_latency(engine.styles.requant, 16)


def weight_issue(engine: Engine) -> int:
    """Cycles from a tap's issue to that of its weights' address: the data meet at row 0."""
    return ROW_LATENCY - READ_LATENCY - engine.weight_registers


def issue_cycles(step: Step) -> int:
    """Cycles of a step's taps and holds when no row has to wait."""
    loops = step.loops
    return (loops.n_tiles - 1) * (loops.taps + loops.hold) + loops.taps


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Cycles, counted from the accepted start: a step's begin, and the last write of each row."""

    begin: int
    issued: int  # its last tap
    rows: tuple[int, ...]

    @property
    def end(self) -> int:
        """The step's last write."""
        return self.rows[-1]


def drain_cycles(engine: Engine, step: Step) -> int:
    """Cycles from the issue of a row's last tap to the row's last write."""
    groups = 1 + (step.write.groups_per_tile - 1) * engine.requant_interval
    return unit_latency(engine, step.unit) + groups + requant_latency(engine)


def fetch_cycles(engine: Engine) -> int:
    """Cycles of the fetch of a step."""
    return FETCH_LATENCY + step_chunks(engine)


class StepClock(Protocol):
    """An engine's time, from the accepted start on, as it runs one program."""

    def next(self, step: Step, loads: Sequence[Load], ready: int = 0) -> Timing:
        """When the next step of the program begins and ends, after the loads before it.

        ready: the cycle in which the last thing outside of the engine that it waits for is done.
        """
        ...


def timings(engine: Engine, steps: Sequence[Step], transfers: Sequence[Transfer]) -> list[Timing]:
    """When every step and row of a program ends."""
    clock: StepClock = engine.clock()
    loads = by_step(engine, transfers)
    return [clock.next(step, loads.get(i, ())) for i, step in enumerate(steps)]


@dataclass(frozen=True, kw_only=True)
class TransferTiming:
    """Cycles: a transfer's first read, one word a cycle from there on; its last write."""

    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a plan's steps, and its transfers between engines by their numbers, take place."""

    steps: list[Timing]
    transfers: dict[int, TransferTiming]


def schedule(plan: Plan) -> Schedule:
    """Each engine runs its steps in their order; a step also waits until all that it names is done.

    Transfers between engines come one at a time, in their order, each a cycle after the last thing
    that it waits for.
    """
    clocks: list[StepClock] = [engine.clock() for engine in plan.engines]
    loads = [by_step(engine, plan.transfers, i) for i, engine in enumerate(plan.engines)]
    steps: list[Timing] = []
    moved: dict[int, TransferTiming] = {}
    crossing = [(i, x) for i, x in enumerate(plan.transfers) if x.crosses]
    free = GO_LATENCY
    for index, step in enumerate(plan.steps):
        while crossing and crossing[0][1].before <= index:
            number, transfer = crossing.pop(0)
            begin = 1 + max([free, *(steps[end.step].end for end in transfer.after)])
            free = begin + transfer.words - 1 + TRANSFER_LATENCY
            moved[number] = TransferTiming(begin=begin, end=free)
        done = [moved[x.transfer].end for x in step.after if isinstance(x, Moved)]
        done += [steps[x.step].end for x in step.after if isinstance(x, End)]
        ready = max(done, default=0)
        steps.append(clocks[step.engine].next(step, loads[step.engine].get(index, ()), ready))
    return Schedule(steps=steps, transfers=moved)


def plan_timings(plan: Plan) -> list[Timing]:
    """When every step and row of a plan ends."""
    return schedule(plan).steps


def load_cycles(engine: Engine, loads: Sequence[Load]) -> int:
    """Cycles of loads, their fetches included."""
    fetch = fetch_cycles(engine)
    return sum(fetch + load.store_words + READ_LATENCY for load in loads)


def row_ends(step: Step, begin: int, before: Timing | None) -> list[int]:
    """Cycles in which the last tap of each row is issued.

    before: the step whose rows a step that follows waits for.
    """
    loops = step.loops
    if before is None:
        pitch = loops.cols * loops.tiles * (loops.taps + loops.hold)
        first = begin + ISSUE_LATENCY - 1 + loops.row_cycles
        return [first + row * pitch for row in range(loops.rows)]
    assert step.follow is not None
    assert loops.row_cycles >= MIN_FOLLOW_CYCLES
    ends: list[int] = []
    ready = begin + ISSUE_LATENCY + 1
    for row in range(loops.rows):
        need = min(step.follow.need + row * step.read.y.move, len(before.rows))
        seen = before.rows[need - 1] + ROW_SEEN if need > 0 else 0
        ends.append(max(ready, seen) + loops.row_cycles)
        ready = ends[-1] + loops.hold
    return ends


def cycles(plan: Plan) -> int:
    """Cycles of one inference, from the accepted start to the last output word written."""
    return max(timing.end for timing in plan_timings(plan))


def program_cycles(engine: Engine, steps: Sequence[Step], transfers: Sequence[Transfer]) -> int:
    """Cycles of a program, from the accepted start to its last write."""
    return max(timing.end for timing in timings(engine, steps, transfers))


def floor_cycles(step: Step) -> int:
    """Lower limit of a step on this engine: its multiply-accumulate (or read) cycles alone."""
    return step.loops.n_tiles * step.loops.taps


def mac_floor(engine: Engine, macs: int) -> int:
    """Cycles if every array multiplier were busy in every cycle."""
    return math.ceil(macs / engine.multipliers)
