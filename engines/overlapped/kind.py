"""The overlapped kind: array and vector unit side by side, for devices with room for both."""

from collections.abc import Iterator
from typing import Any

from weft.engines.common import lower
from weft.engines.common.fit import fitted, with_program
from weft.engines.common.program import Program
from weft.engines.common.styles import check_family, check_styles
from weft.engines.common.widths import Widths
from weft.engines.kind import Demand, Pins
from weft.engines.overlapped.candidates import candidates
from weft.engines.overlapped.parts import parts
from weft.engines.overlapped.spec import OverlappedSpec
from weft.machine.engine import Engine
from weft.machine.parts import Parts
from weft.machine.target import Target
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator


class Overlapped:
    """See ``EngineKind``."""

    spec: type[Engine] = OverlappedSpec
    counts_cells = False

    def supports(self, operator: Operator, graph: Graph) -> str | None:
        return lower.supports(operator)

    def candidates(self, demand: Demand, target: Target, pins: Pins) -> Iterator[Engine]:
        if target.facts.overlapped:
            yield from candidates(demand, target, pins)

    def check(self, engine: Engine, target: Target) -> None:
        facts = target.facts
        check_family(target, engine, facts.overlapped)
        check_styles(target, engine, dual=False, packed=facts.products_per_dsp == 1)

    def lower(self, program: Program, operator: Operator) -> None:
        lower.lower(program, operator)

    def fit(self, engine: Engine, program: Program, act: tuple[int, int], widths: Widths) -> Engine:
        return with_program(fitted(engine, program, act, widths), program)

    def busy(self, array: int, vector: int) -> int:
        return max(array, vector)

    def parts(self, engine: Engine) -> Parts:
        return parts(engine)

    def component(
        self, engine: Engine, registers: tuple[int, int, int, int], image_dir: str
    ) -> Any:
        from weft.engines.overlapped.rtl import OverlappedEngine

        return OverlappedEngine(engine, registers, image_dir)


OVERLAPPED = Overlapped()
