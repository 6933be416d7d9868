"""The cycle model: exact, because the schedule is static.

Latencies are those of ``weft.hw.params``; a test holds both to one another, and every simulation
compares the prediction with the cycles counted in hardware.
"""

import math
from dataclasses import dataclass

from weft.machine.plan import Engine, Plan, Step, Style, Unit

# Issue to lane data: the bank's port, its memory, two registers behind it, choice, padding.
ROW_LATENCY = 6
# From a step's begin to its first tap: registers loaded, start, counters, addresses.
ISSUE_LATENCY = 4
# From the accepted start until the controller begins to fetch: a register.
GO_LATENCY = 1
# A fetch's own pipeline, beside one cycle per chunk.
FETCH_LATENCY = 3
# A memory's read.
READ_LATENCY = 2
# Width of a program word.
CHUNK_BITS = 36
# From a tile's strobe at the drain until its sums are taken.
LOAD_DELAY = 4
# From a row's last write until a step that follows may issue: counter, comparison, address.
ROW_SEEN = 3
# Cycles that the comparison for the next row takes: a row that follows must be as long.
MIN_FOLLOW_CYCLES = 3
# Bits of the cycles between chained steps.
GAP_BITS = 7


def multiplier_latency(style: Style, rows: int) -> int:
    """Cycles of a multiplier whose second operand has up to 8 or 16 bits."""
    if style in (Style.DSP, Style.DUAL):
        return 2
    if style is Style.PACKED:
        return 4
    return 4 if rows > 8 else 3


def unit_latency(engine: Engine, unit: Unit) -> int:
    """Cycles from the issue of a tile's last tap until its sums are complete."""
    if unit is Unit.ARRAY:
        return ROW_LATENCY + multiplier_latency(engine.styles.array, 8) + engine.lanes + 1
    return ROW_LATENCY + multiplier_latency(engine.styles.vector, 8) + 1


def requant_latency(engine: Engine) -> int:
    """Cycles from a group's leaving the drain to its write."""
    if engine.compact:
        return 13 + multiplier_latency(engine.styles.requant, 16)
    return 9 + multiplier_latency(engine.styles.requant, 16)


def issue_cycles(step: Step) -> int:
    """Cycles of a step's taps and holds when no row has to wait."""
    loops = step.loops
    return (loops.n_tiles - 1) * (loops.taps + loops.hold) + loops.taps


def bits_for(count: int) -> int:
    """Bits of an index into ``count`` items, at least 1."""
    return max(1, (count - 1).bit_length())


def step_bits(engine: Engine) -> tuple[int, int]:
    """Bits of a step's two parts: the fields of ``weft.hw.step``, front and back."""
    memories = engine.memories
    act = bits_for(max(memories.act))
    weight = bits_for(max(memories.weight, memories.vector))
    tile = max(engine.tile_lanes(unit) // engine.requant(unit) for unit in Unit)
    groups = max(engine.lanes // engine.requant(unit) for unit in Unit)
    front = 7 * act + weight + bits_for(tile * engine.requant_interval + 1)
    front += 14 * engine.count_bits + 15
    back = 3 * act + bits_for(max(memories.param)) + 2 * bits_for(tile + 1)
    back += max(engine.requant(unit) for unit in Unit) + bits_for(groups) + 64
    if engine.products:
        front, back = front + 1 + act, back + 17
    if engine.compact:
        return front, back + engine.streamed
    return front + 2 * engine.count_bits + 3, back + 2 + GAP_BITS


def step_chunks(engine: Engine) -> int:
    """Program words of one step: each part begins with a word of its own."""
    return sum(math.ceil(bits / CHUNK_BITS) for bits in step_bits(engine))


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
