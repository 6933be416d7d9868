"""What a kind of engine answers: everything about it that is not common to all engines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from weft.engines.common.program import Program
from weft.engines.common.widths import Widths
from weft.machine.engine import Engine
from weft.machine.parts import Parts
from weft.machine.target import Target
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator

LARGER = "try a larger board"
"""A remedy of what does not fit; the command line, which knows the boards, says which one."""


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Sizes that the engine must have, None where the kind chooses.

    requant_lanes: of the array's and the vector unit's output path.
    """

    lanes: int | None = None
    columns: int | None = None
    requant_lanes: tuple[int, int] | None = None

    @property
    def requant_text(self) -> str:
        """As the command line has it: one number for both output paths, or array+vector."""
        array, vector = self.requant_lanes or (1, 1)
        return f"{array}" if array == vector else f"{array}+{vector}"

    @property
    def advice(self) -> tuple[str, ...]:
        """What to try where nothing fits."""
        pinned = self.lanes or self.columns
        return (LARGER, "fewer --lanes and --columns may do") if pinned else (LARGER,)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a network asks of any engine.

    depthwise: it has convolutions of the vector unit. weights: the smallest and the largest of all
    convolutions, array_weights: of those of the array.
    """

    widths: Widths
    depthwise: bool = False
    weights: tuple[int, int] = (0, 0)
    array_weights: tuple[int, int] = (0, 0)


class EngineKind(Protocol):
    """One kind of engine. Its engines' own facts and their clock are methods of ``spec``'s class.

    A kind is a folder of ``weft.engines`` and a name in ``weft.engines.kinds.KINDS``.
    """

    spec: type[Engine]
    counts_cells: bool
    """Whether the device is taken to be so full that flip-flops need logic cells of their own."""

    def supports(self, operator: Operator, graph: Graph) -> str | None:
        """None if engines of this kind run the operator, else why not and what would work."""
        ...

    def candidates(self, demand: Demand, target: Target, pins: Pins) -> Iterator[Engine]:
        """Engines worth trying on a device, the largest first, with open memory depths.

        There are none where the family or the network is not for this kind. Raises FitError or
        ConfigError where the pins leave none.
        """
        ...

    def check(self, engine: Engine, target: Target) -> None:
        """Raise PlanFault for an engine that ``candidates`` would never give for the target."""
        ...

    def lower(self, program: Program, operator: Operator) -> None:
        """Append the steps of one operator. Raises ModelError beyond the engine's counters."""
        ...

    def fit(self, engine: Engine, program: Program, act: tuple[int, int], widths: Widths) -> Engine:
        """The engine with the widths and memory depths that a program needs.

        act: words of either bank of activations.
        """
        ...

    def busy(self, array: int, vector: int) -> int:
        """Fewest cycles of a program that issues so many cycles to either unit."""
        ...

    def parts(self, engine: Engine) -> Parts:
        """What the engine is made of; the device's family knows what that costs."""
        ...

    def component(
        self, engine: Engine, registers: tuple[int, int, int, int], image_dir: str
    ) -> Any:
        """The hardware, as ``weft.hw.engine_base.EngineBase`` describes it."""
        ...
