"""The step word as the hardware has it: ``weft.machine.fields`` as layouts."""

from amaranth.lib import data, enum

from weft.machine import plan
from weft.machine.engine import Engine
from weft.machine.fields import BACK, FRONT, LOAD, VECTOR_CODES, VECTOR_OP_BITS, Part, widths


class VectorOp(enum.Enum, shape=VECTOR_OP_BITS):
    """What a lane of the vector unit does with each word."""

    MAC = VECTOR_CODES[plan.VectorOp.MAC]  # acc += act * weight
    SUM = VECTOR_CODES[plan.VectorOp.SUM]  # acc += act
    MAX = VECTOR_CODES[plan.VectorOp.MAX]  # acc = max(acc, act)
    PAIR = VECTOR_CODES[plan.VectorOp.PAIR]  # first word to the low 16 bits, second above them


PRODUCT = VectorOp(VECTOR_CODES[plan.VectorOp.PRODUCT])
"""The operation of a step with ``product``: first word times second word, of one lane each."""

SHAPES = {"vector_op": VectorOp}
"""Of the fields that are more than bits."""


def front_layout(engine: Engine) -> data.StructLayout:
    """Fields of the address generator's part."""
    return _layout(FRONT, engine)


def back_layout(engine: Engine) -> data.StructLayout:
    """Fields of the output path's part."""
    return _layout(BACK, engine)


def load_layout(engine: Engine) -> data.StructLayout:
    """A step of the loader, in the place of the front part."""
    return _layout(LOAD, engine)


def _layout(part: Part, engine: Engine) -> data.StructLayout:
    return data.StructLayout(
        {name: SHAPES.get(name, bits) for name, bits in widths(part, engine).items()}
    )


def param_layout() -> data.StructLayout:
    """Requantisation of one channel, two chunks. ``shift`` s places the point at bit 24 + 8 s."""
    return data.StructLayout({"bias": 32, "shift": 3, "unused": 1, "factor": 32, "unused2": 4})
