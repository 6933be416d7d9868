"""Where tensors lie and for how long, and how large the memories are."""

from typing import Any

from weft.machine import timing
from weft.machine.engine import Engine, Unit
from weft.machine.images import (
    CHUNK_BITS,
    STORE_BITS,
    Word,
    param_word,
    vector_word,
    weight_word,
)
from weft.machine.plan import Plan


def buffer_rows(plan: Plan) -> list[dict[str, Any]]:
    """Each buffer of activations: its bank and words, and the cycles from the begin of the
    step that writes it to the last tap of the step that reads it last.

    Inputs are there from the start, outputs until the end.
    """
    times = timing.timings(plan.engine, plan.steps, plan.transfers)
    total = timing.cycles(plan)
    rows = []
    for buffer in plan.buffers:
        first, last = buffer.first_step, buffer.last_step
        rows.append(
            {
                "tensor": buffer.tensor,
                "bank": buffer.bank,
                "offset": buffer.offset,
                "words": buffer.words,
                "bytes": buffer.words * plan.engine.lanes,
                "begin": times[first].begin if first >= 0 else 0,
                "end": times[last].issued if last < len(times) else total,
            }
        )
    return rows


def memory_rows(engine: Engine) -> list[dict[str, Any]]:
    """Each memory of the engine: words, bits of a word, bytes of all."""
    sizes = engine.memories
    array, vector = (word_bits(param_word(engine, unit)) for unit in Unit)
    memories = [
        ("activations, bank 0", sizes.act[0], 8 * engine.lanes),
        ("activations, bank 1", sizes.act[1], 8 * engine.lanes),
        ("weights of the array", sizes.weight, word_bits(weight_word(engine))),
        ("weights of the vector unit", sizes.vector, word_bits(vector_word(engine))),
        ("parameters of the array", sizes.param[0], array),
        ("parameters of the vector unit", sizes.param[1], vector),
        ("program", sizes.program, CHUNK_BITS),
        ("store", sizes.store, STORE_BITS),
    ]
    return [
        {"memory": name, "words": words, "word_bits": bits, "bytes": -(-words * bits // 8)}
        for name, words, bits in memories
        if words
    ]


def word_bits(word: Word) -> int:
    """Bits of a memory's word, over all memories side by side."""
    return word.rows * word.fields * word.bits
