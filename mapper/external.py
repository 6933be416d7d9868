"""What memory outside the chip would have to hold and to give.

weft builds no such design; this is for judging networks that are larger than a chip's own memory.
"""

from dataclasses import dataclass

from weft.machine.engine import Engine, Unit
from weft.machine.images import param_word, vector_word, weight_word
from weft.mapper.build import Draft
from weft.nn.ir.graph import Graph


@dataclass(frozen=True, kw_only=True)
class ExternalMemory:
    """In bytes, as the engine packs its words.

    weights: of all layers, with their parameters. activations: live at the busiest step. traffic:
    of one inference in which all weights are read once, every tensor is written once, and every
    operator reads its inputs once. No engine can do with less, unless it keeps something on chip.
    """

    weights: int
    activations: int
    traffic: int


def external_memory_of(draft: Draft) -> ExternalMemory:
    """What a draft's memories come to, were they all outside."""
    weights = _weights(draft.engine)
    return ExternalMemory(
        weights=weights,
        activations=sum(draft.engine.memories.act) * draft.engine.lanes,
        traffic=weights + _moved(draft.stored.graph, draft.engine),
    )


def _weights(engine: Engine) -> int:
    memories, row = engine.memories, weight_word(engine)
    bits = memories.weight * row.rows * row.width + memories.vector * vector_word(engine).width
    for unit, words in zip(Unit, memories.param, strict=True):
        bits += words * param_word(engine, unit).width
    return -(-bits // 8)


def _moved(graph: Graph, engine: Engine) -> int:
    size = {
        tensor.name: engine.words(tensor.shape[0]) * tensor.shape[1] * tensor.shape[2]
        for tensor in graph.tensors
    }
    words = sum(size[op.output] + sum(size[name] for name in op.inputs) for op in graph.operators)
    return words * engine.lanes
