"""The resource model: LUT, flip-flop, DSP and block-RAM counts before synthesis."""

from weft.engines.kinds import kind_of
from weft.machine.engine import Engine
from weft.machine.parts import Resources
from weft.machine.target import Target


def predict_for(target: Target, engine: Engine) -> Resources:
    """Resources of the engine on the target's family."""
    return target.facts.resources(kind_of(engine).parts(engine))
