"""The compact kind: array and vector unit take turns, for devices that would not hold both."""

from collections.abc import Iterator
from typing import Any

from weft.engines.common import lower
from weft.engines.common.fit import fitted, with_program
from weft.engines.common.loads import transfers_of
from weft.engines.common.nest import extents
from weft.engines.common.program import Program
from weft.engines.common.styles import check_family, check_styles
from weft.engines.common.widths import Widths
from weft.engines.compact.candidates import candidates
from weft.engines.compact.parts import parts
from weft.engines.compact.spec import CompactSpec
from weft.engines.kind import Demand, Pins
from weft.machine.check.fault import PlanFault
from weft.machine.engine import Engine
from weft.machine.parts import Parts
from weft.machine.target import Target
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator


class Compact:
    """See ``EngineKind``."""

    spec: type[Engine] = CompactSpec
    counts_cells = True

    def supports(self, operator: Operator, graph: Graph) -> str | None:
        return lower.supports(operator)

    def candidates(self, demand: Demand, target: Target, pins: Pins) -> Iterator[Engine]:
        if target.facts.compact:
            yield from candidates(demand, target, pins)

    def check(self, engine: Engine, target: Target) -> None:
        check_family(target, engine, target.facts.compact)
        for name in ("single_port", "streamed"):
            if getattr(engine, name) and not target.spram:
                why = f"{target.name} has no large single-ported memories"
                raise PlanFault("engines[0]", name, True, why, "False")
        check_styles(target, engine, dual=target.facts.splits_dsp, packed=False)

    def lower(self, program: Program, operator: Operator) -> None:
        lower.lower(program, operator)

    def fit(self, engine: Engine, program: Program, act: tuple[int, int], widths: Widths) -> Engine:
        """Counters are as wide as the program needs; larger engines can serve other networks."""
        largest = max(size for step in program.steps for size in extents(step))
        engine = fitted(engine, program, act, widths)
        engine = engine.replace(count_bits=max(2, largest.bit_length()))
        transfers = transfers_of(program.segments) if engine.has_store else ()
        return with_program(engine, program, transfers)

    def busy(self, array: int, vector: int) -> int:
        return array + vector

    def parts(self, engine: Engine) -> Parts:
        return parts(engine)

    def component(
        self, engine: Engine, registers: tuple[int, int, int, int], image_dir: str
    ) -> Any:
        from weft.engines.compact.rtl import CompactEngine

        return CompactEngine(engine, registers, image_dir)


COMPACT = Compact()
