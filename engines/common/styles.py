"""Which multipliers a device family has, for engines that somebody has written by hand."""

from weft.machine.check.fault import PlanFault
from weft.machine.engine import Engine, Style
from weft.machine.target import Target

ENGINE = "engines[0]"


def check_family(target: Target, engine: Engine, tried: bool) -> None:
    """Raise PlanFault for a kind that is not tried on the target's family."""
    if not tried:
        why = f"weft makes no such engine for {target.family}"
        raise PlanFault(ENGINE, "_type", engine.kind, why)


def check_styles(target: Target, engine: Engine, *, dual: bool, packed: bool) -> None:
    """Raise PlanFault for multipliers that the kind does not make of the target's DSP blocks."""
    can = {Style.DUAL: dual, Style.PACKED: packed}
    for name, style in (("array", engine.styles.array), ("vector", engine.styles.vector)):
        if not can.get(style, True):
            why = f"weft has no such multipliers for {target.family}"
            raise PlanFault(ENGINE, f"styles.{name}", style.value, why, "dsp or lut")
