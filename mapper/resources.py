"""The resource model: LUT, flip-flop, DSP and block-RAM counts before synthesis."""

from weft.machine.engine import Engine
from weft.machine.parts import Parts, Resources
from weft.machine.target import Target
from weft.mapper import compact_parts, overlapped_parts


def parts_of(engine: Engine) -> Parts:
    """The engine in parts, as its kind counts them."""
    return compact_parts.parts(engine) if engine.compact else overlapped_parts.parts(engine)


def predict_for(target: Target, engine: Engine) -> Resources:
    """Resources of the engine on the target's family."""
    return target.facts.resources(parts_of(engine))
