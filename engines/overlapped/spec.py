"""The overlapped engine as a value."""

from dataclasses import dataclass
from typing import ClassVar

from weft.engines.overlapped.timing import OverlappedClock
from weft.machine.engine import Engine, Unit
from weft.machine.timing import StepClock


@dataclass(frozen=True, kw_only=True, eq=False)
class OverlappedSpec(Engine):
    """Each unit has a sequencer and an output path: both may work at the same time.

    A large engine: multipliers lie far from the weight memories, hence the registers behind them.
    """

    kind: ClassVar[str] = "overlapped"
    overlaps: ClassVar[bool] = True
    requant_interval: ClassVar[int] = 1
    requant_stages: ClassVar[int] = 9
    weight_registers: ClassVar[int] = 1

    def clock(self) -> StepClock:
        return OverlappedClock(self)

    def path(self, unit: Unit) -> Unit:
        return unit
