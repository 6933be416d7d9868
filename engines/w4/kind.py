"""The w4 kind: an overlapped engine for networks whose array weights all lie in -7..7."""

from collections.abc import Iterator
from typing import Any

from weft.engines.common.styles import check_family, check_styles
from weft.engines.kind import Demand, Pins
from weft.engines.overlapped.kind import Overlapped
from weft.engines.w4.candidates import candidates
from weft.engines.w4.parts import parts
from weft.engines.w4.spec import W4Spec
from weft.machine.engine import Engine
from weft.machine.parts import Parts
from weft.machine.target import Target


class FourBit(Overlapped):
    """See ``EngineKind``; what is not here is as in any overlapped engine."""

    spec: type[Engine] = W4Spec

    def candidates(self, demand: Demand, target: Target, pins: Pins) -> Iterator[Engine]:
        if target.facts.overlapped:
            yield from candidates(demand, target, pins)

    def check(self, engine: Engine, target: Target) -> None:
        check_family(target, engine, target.facts.overlapped)
        check_styles(target, engine, dual=False, packed=False)

    def parts(self, engine: Engine) -> Parts:
        return parts(engine)

    def component(
        self, engine: Engine, registers: tuple[int, int, int, int], image_dir: str
    ) -> Any:
        from weft.engines.overlapped.rtl import OverlappedEngine
        from weft.engines.w4.rtl import products

        return OverlappedEngine(engine, registers, image_dir, products)


W4 = FourBit()
