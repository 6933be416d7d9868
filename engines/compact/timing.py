"""The compact engine's clock: loads and steps one after the other, each fetched first."""

from collections.abc import Sequence

from weft.machine.engine import Engine
from weft.machine.plan import Step
from weft.machine.timing import (
    GO_LATENCY,
    Timing,
    drain_cycles,
    fetch_cycles,
    load_cycles,
    row_ends,
)


def timings(engine: Engine, steps: Sequence[Step]) -> list[Timing]:
    """When every step and row of a program ends."""
    fetch = fetch_cycles(engine)
    end = GO_LATENCY
    result = []
    for step in steps:
        begin = end + load_cycles(engine, step) + fetch
        rows = [row - 2 for row in row_ends(step, begin, None)]  # the start comes with the begin
        drain = drain_cycles(engine, step)
        result.append(Timing(begin=begin, issued=rows[-1], rows=tuple(row + drain for row in rows)))
        end = result[-1].end
    return result
