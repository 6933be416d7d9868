"""The cycle model: exact, because the schedule is static.

The hardware takes its latencies from here; every simulation compares the prediction with the cycles
counted in hardware.
"""

import math
from dataclasses import dataclass

from weft.machine.engine import Engine, Style, Unit
from weft.machine.fields import step_chunks
from weft.machine.plan import Plan, Step

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
    # Four more where one multiplier makes four products and a sum is shifted byte by byte.
    return (13 if engine.compact else 9) + multiplier_latency(engine.styles.requant, 16)


def weight_registers(engine: Engine) -> int:
    """Registers behind the weight memories: multipliers lie far from them in a large engine."""
    return 0 if engine.compact else 1


def weight_issue(engine: Engine) -> int:
    """Cycles from a tap's issue to that of its weights' address: the data meet at row 0."""
    return ROW_LATENCY - READ_LATENCY - weight_registers(engine)


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


def timings(engine: Engine, steps: tuple[Step, ...]) -> list[Timing]:
    """When every step and row of a program ends."""
    if engine.compact:
        return _in_turn(engine, steps)
    fetch = FETCH_LATENCY + step_chunks(engine)
    result: list[Timing] = []
    ends = dict.fromkeys(Unit, 0)
    for i, step in enumerate(steps):
        begin = (result[-1].begin if result else GO_LATENCY) + fetch
        idle = ends[step.unit] if step.follow else max(ends.values())
        if step.gap is not None:
            # One step of the array drains at a time.
            drained = result[-2].end + 1 if steps[i - 1].gap is not None else 0
            chained = max(ends[Unit.VECTOR], result[-1].issued + 1 + step.gap, drained)
            idle = min(idle, chained)
        begin = max(begin, idle)
        rows = _rows(step, begin, result[-1] if step.follow else None)
        drain = drain_cycles(engine, step)
        result.append(Timing(begin=begin, issued=rows[-1], rows=tuple(row + drain for row in rows)))
        ends[step.unit] = result[i].end
    return result


def load_cycles(engine: Engine, step: Step) -> int:
    """Cycles that a compact engine spends on the loads before a step, their fetches included."""
    fetch = FETCH_LATENCY + step_chunks(engine)
    return sum(fetch + load.store_words + READ_LATENCY for load in step.loads)


def _in_turn(engine: Engine, steps: tuple[Step, ...]) -> list[Timing]:
    """Timings of a compact engine: loads and steps one after the other, each fetched first."""
    fetch = FETCH_LATENCY + step_chunks(engine)
    end = GO_LATENCY
    result = []
    for step in steps:
        begin = end + load_cycles(engine, step) + fetch
        rows = [row - 2 for row in _rows(step, begin, None)]  # the start comes with the begin
        drain = drain_cycles(engine, step)
        result.append(Timing(begin=begin, issued=rows[-1], rows=tuple(row + drain for row in rows)))
        end = result[-1].end
    return result


def _rows(step: Step, begin: int, before: Timing | None) -> list[int]:
    """Cycles in which the last tap of each row is issued."""
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
    return program_cycles(plan.engine, plan.steps)


def program_cycles(engine: Engine, steps: tuple[Step, ...]) -> int:
    """Cycles of a program, from the accepted start to its last write."""
    return max(timing.end for timing in timings(engine, steps))


def floor_cycles(step: Step) -> int:
    """Lower limit of a step on this engine: its multiply-accumulate (or read) cycles alone."""
    return step.loops.n_tiles * step.loops.taps


def mac_floor(engine: Engine, macs: int) -> int:
    """Cycles if every array multiplier were busy in every cycle."""
    return math.ceil(macs / engine.multipliers)
