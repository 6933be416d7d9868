"""Which kinds of engines and multipliers a device family has."""

from weft.machine.check.fault import PlanFault
from weft.machine.engine import Engine, Style
from weft.machine.target import Target


def check_styles(target: Target, engine: Engine) -> None:
    """Raise PlanFault for an engine that the mapper would never choose for the target."""
    facts = target.facts
    if not (facts.compact if engine.compact else facts.overlapped):
        raise PlanFault(
            "engines[0]",
            "compact",
            engine.compact,
            f"weft has no such engine for {target.family}",
            f"{not engine.compact}",
        )
    if (engine.single_port or engine.streamed) and not target.spram:
        name = "single_port" if engine.single_port else "streamed"
        why = f"{target.name} has no large single-ported memories"
        raise PlanFault("engines[0]", name, True, why, "False")
    styles = engine.styles
    packs = not engine.compact and facts.products_per_dsp == 1
    for name, style in (("array", styles.array), ("vector", styles.vector)):
        can = {Style.DUAL: facts.splits_dsp and engine.compact, Style.PACKED: packs}
        if not can.get(style, True):
            raise PlanFault(
                "engines[0]",
                f"styles.{name}",
                style.value,
                f"weft has no such multipliers for {target.family}",
                "dsp or lut",
            )
