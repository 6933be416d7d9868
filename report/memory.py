"""Where tensors lie and for how long, and how large the memories are."""

from typing import Any

from weft.machine import timing
from weft.machine.engine import Engine
from weft.machine.images import CHUNK_BITS, PARAM_CHUNKS, STORE_BITS
from weft.machine.plan import Plan


def buffer_rows(plan: Plan) -> list[dict[str, Any]]:
    """Each buffer of activations: its bank and words, and the cycles from the begin of the
    step that writes it to the last tap of the step that reads it last.

    Inputs are there from the start, outputs until the end.
    """
    times = timing.timings(plan.engine, plan.steps)
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
    sizes, weight = engine.memories, engine.weight_bits
    param = CHUNK_BITS * PARAM_CHUNKS
    memories = [
        ("activations, bank 0", sizes.act[0], 8 * engine.lanes),
        ("activations, bank 1", sizes.act[1], 8 * engine.lanes),
        ("weights of the array", sizes.weight, engine.multipliers * weight),
        ("weights of the vector unit", sizes.vector, engine.lanes * engine.vector_taps * weight),
        ("parameters of the array", sizes.param[0], param * engine.array_requant),
        ("parameters of the vector unit", sizes.param[1], param * engine.vector_requant),
        ("program", sizes.program, CHUNK_BITS),
        ("store", sizes.store, STORE_BITS),
    ]
    return [
        {"memory": name, "words": words, "word_bits": bits, "bytes": -(-words * bits // 8)}
        for name, words, bits in memories
        if words
    ]
