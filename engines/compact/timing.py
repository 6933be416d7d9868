"""The compact engine's clock: loads and steps one after the other, each fetched first."""

from collections.abc import Sequence

from weft.machine.engine import Engine
from weft.machine.loads import Load
from weft.machine.plan import Step
from weft.machine.timing import (
    GO_LATENCY,
    Timing,
    drain_cycles,
    fetch_cycles,
    load_cycles,
    row_ends,
)


class CompactClock:
    """See ``StepClock``."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._end = GO_LATENCY

    def next(self, step: Step, loads: Sequence[Load], ready: int = 0) -> Timing:
        engine = self._engine
        begin = max(self._end + load_cycles(engine, loads) + fetch_cycles(engine), ready)
        rows = [row - 2 for row in row_ends(step, begin, None)]  # the start comes with the begin
        drain = drain_cycles(engine, step)
        timing = Timing(begin=begin, issued=rows[-1], rows=tuple(row + drain for row in rows))
        self._end = timing.end
        return timing
