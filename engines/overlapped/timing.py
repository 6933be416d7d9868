"""The overlapped engine's clock: steps begin beside others, and while others drain."""

from collections.abc import Sequence

from weft.machine.engine import Engine, Unit
from weft.machine.plan import Step
from weft.machine.timing import GO_LATENCY, Timing, drain_cycles, fetch_cycles, row_ends


def timings(engine: Engine, steps: Sequence[Step]) -> list[Timing]:
    """When every step and row of a program ends."""
    fetch = fetch_cycles(engine)
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
        rows = row_ends(step, begin, result[-1] if step.follow else None)
        drain = drain_cycles(engine, step)
        result.append(Timing(begin=begin, issued=rows[-1], rows=tuple(row + drain for row in rows)))
        ends[step.unit] = result[i].end
    return result
