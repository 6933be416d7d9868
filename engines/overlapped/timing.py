"""The overlapped engine's clock: steps begin beside others, and while others drain."""

from collections.abc import Sequence

from weft.machine.engine import Engine, Unit
from weft.machine.loads import Load
from weft.machine.plan import Step
from weft.machine.timing import GO_LATENCY, Timing, drain_cycles, fetch_cycles, row_ends


class OverlappedClock:
    """See ``StepClock``."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._fetch = fetch_cycles(engine)
        self._ends = dict.fromkeys(Unit, 0)
        self._last: Timing | None = None
        self._drained = 0  # cycle from which the step after a chained one may drain

    def next(self, step: Step, loads: Sequence[Load], ready: int = 0) -> Timing:
        assert not loads
        last, ends = self._last, self._ends
        begin = (last.begin if last else GO_LATENCY) + self._fetch
        idle = ends[step.unit] if step.follow else max(ends.values())
        if last and step.gap is not None:
            chained = max(ends[Unit.VECTOR], last.issued + 1 + step.gap, self._drained)
            idle = min(idle, chained)
        begin = max(begin, idle, ready)
        rows = row_ends(step, begin, last if step.follow else None)
        drain = drain_cycles(self._engine, step)
        timing = Timing(begin=begin, issued=rows[-1], rows=tuple(row + drain for row in rows))
        # One step of the array drains at a time.
        self._drained = last.end + 1 if last and step.gap is not None else 0
        self._last = timing
        ends[step.unit] = timing.end
        return timing
