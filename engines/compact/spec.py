"""The compact engine as a value."""

from dataclasses import dataclass
from typing import ClassVar

from weft.engines.compact.timing import CompactClock
from weft.machine.engine import SERIAL_CYCLES, Engine, Unit
from weft.machine.timing import StepClock

MAX_LANES = 8
"""With more, flags of a step would outlive it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CompactSpec(Engine):
    """The units take turns at one sequencer and one output path, which takes ``SERIAL_CYCLES`` over
    a result.

    single_port: activations lie in memories with one port: a step reads one bank and writes the
    other. streamed: weights and parameters wait in a store until the step that needs them.
    """

    kind: ClassVar[str] = "compact"
    overlaps: ClassVar[bool] = False
    requant_interval: ClassVar[int] = SERIAL_CYCLES
    # Four more than elsewhere: one multiplier makes four products, a sum is shifted byte by byte.
    requant_stages: ClassVar[int] = 13
    weight_registers: ClassVar[int] = 0

    single_port: bool = False
    streamed: bool = False

    def _check(self) -> None:
        if (self.array_requant, self.vector_requant, self.vector_taps) != (1, 1, 1):
            raise ValueError("a compact engine has one requantisation lane and one vector tap")
        if self.lanes > MAX_LANES:
            raise ValueError(f"a compact engine has at most {MAX_LANES} lanes, not {self.lanes}")
        super()._check()

    def clock(self) -> StepClock:
        return CompactClock(self)

    def path(self, unit: Unit) -> Unit:
        return Unit.ARRAY

    @property
    def has_store(self) -> bool:
        return self.streamed

    @property
    def alternates(self) -> bool:
        return self.single_port
