"""The cycle model: exact, because the schedule is static.

Latencies are those of ``weft.hw.params``; a test holds both to one another, and every simulation
compares the prediction with the cycles counted in hardware.
"""

import math

from weft.mapper.plan import Engine, Plan, Step, Style, Unit

# Issue to lane data: memory read, its output register, the padding multiplexer.
ROW_LATENCY = 3
# A fetch's own pipeline, beside one cycle per chunk.
FETCH_LATENCY = 3
# Width of a program word.
CHUNK_BITS = 36


def multiplier_latency(style: Style, rows: int) -> int:
    """Cycles of a multiplier whose second operand has up to 8 or 16 bits."""
    if style is Style.DSP:
        return 2
    return 5 if rows > 8 else 4


def unit_latency(engine: Engine, unit: Unit) -> int:
    """Cycles from the issue of a tile's last tap until its sums are complete."""
    if unit is Unit.ARRAY:
        return ROW_LATENCY + multiplier_latency(engine.array_multiplier, 8) + engine.lanes + 1
    return ROW_LATENCY + multiplier_latency(engine.vector_multiplier, 8) + 1


def requant_latency(engine: Engine) -> int:
    """Cycles from a group's leaving the drain to its write."""
    return 8 + multiplier_latency(engine.requant_multiplier, 16)


def issue_cycles(step: Step) -> int:
    """Cycles from a step's first tap to its last, both included."""
    loops = step.loops
    return (loops.n_tiles - 1) * (loops.taps + loops.hold) + loops.taps


def bits_for(count: int) -> int:
    """Bits of an index into ``count`` items, at least 1."""
    return max(1, (count - 1).bit_length())


def step_chunks(engine: Engine) -> int:
    """Program words of one step: the fields of ``weft.hw.step``, front and back."""
    memories = engine.memories
    act = bits_for(memories.act)
    weight = bits_for(max(memories.weight, memories.vector))
    drain = max(engine.lanes, engine.columns)
    groups = engine.lanes // engine.requant_lanes
    front = 7 * act + weight + bits_for(drain + 1) + 182
    back = 3 * act + bits_for(memories.param) + bits_for(drain // engine.requant_lanes + 1)
    back += engine.requant_lanes + bits_for(groups) + 76
    return math.ceil(front / CHUNK_BITS) + math.ceil(back / CHUNK_BITS)


def step_ends(engine: Engine, steps: tuple[Step, ...]) -> list[int]:
    """Cycle of each step's last write, counted from the accepted start."""
    fetch = FETCH_LATENCY + step_chunks(engine)
    ends = []
    start = fetch
    for step in steps:
        issued = start + issue_cycles(step)
        drain = unit_latency(engine, step.unit) + step.write.groups_per_tile
        end = issued + drain + requant_latency(engine)
        ends.append(end)
        start = max(issued + fetch, end)
    return ends


def cycles(plan: Plan) -> int:
    """Cycles of one inference, from the accepted start to the last output word written."""
    return step_ends(plan.engine, plan.steps)[-1]


def floor_cycles(step: Step) -> int:
    """Lower limit of a step on this engine: its multiply-accumulate (or read) cycles alone."""
    return step.loops.n_tiles * step.loops.taps


def mac_floor(engine: Engine, macs: int) -> int:
    """Cycles if every array multiplier were busy in every cycle."""
    return math.ceil(macs / engine.multipliers)
