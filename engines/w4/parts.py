"""Parts of a w4 engine: those of an overlapped one, with half as many DSP blocks in the array."""

from weft.engines.overlapped import parts as overlapped
from weft.machine.engine import Engine, Style
from weft.machine.parts import Parts


def parts(engine: Engine) -> Parts:
    """As ``weft.engines.overlapped.parts`` has them."""
    found = overlapped.parts(engine)
    array, *others = found.multipliers
    halved = array.replace(style=Style.DUAL)  # two products to a block, and no logic
    return found.replace(multipliers=(halved, *others))
