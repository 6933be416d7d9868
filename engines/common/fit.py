"""Memory depths and widths of an engine for one program."""

from collections.abc import Sequence

from weft.engines.common.program import Program
from weft.engines.common.widths import Widths
from weft.machine.engine import Engine, Memories
from weft.machine.fields import step_chunks
from weft.machine.loads import loads_of
from weft.machine.plan import Content, Transfer


def fitted(engine: Engine, program: Program, act: tuple[int, int], widths: Widths) -> Engine:
    """The engine with what all kinds need; the program memory is still open.

    act: words of either bank of activations.
    """
    return engine.replace(
        memories=Memories(
            act=act,
            weight=program.depth(Content.WEIGHTS),
            vector=program.depth(Content.VECTOR),
            param=(program.depth(Content.ARRAY_PARAMS), program.depth(Content.VECTOR_PARAMS)),
        ),
        accumulator_bits=widths.accumulator,
        weight_bits=max(widths.weight, engine.weight_bits),
        products=widths.products,
    )


def with_program(engine: Engine, program: Program, transfers: Sequence[Transfer] = ()) -> Engine:
    """The engine with a program memory, and a store, for the steps and transfers from there."""
    loads = loads_of(engine, transfers)
    words = (len(program.steps) + len(loads)) * step_chunks(engine)
    memories = engine.memories.replace(store=sum(load.store_words for load in loads), program=words)
    return engine.replace(memories=memories)
