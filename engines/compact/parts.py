"""Parts of a compact engine: units that take turns at one sequencer and one output path."""

from weft.machine.engine import Engine
from weft.machine.fields import step_chunks
from weft.machine.images import CHUNK_BITS, PARAM_CHUNKS, STORE_BITS
from weft.machine.parts import Multipliers, Parts, Ram

PARAM_BITS = PARAM_CHUNKS * CHUNK_BITS
"""Of a channel's parameters."""


def parts(engine: Engine) -> Parts:
    """All of the engine but the link: whole units, lanes, columns, count and address bits."""
    k, n, acc = engine.lanes, engine.columns, engine.accumulator_bits
    rams = _rams(engine)
    sums = sum(min(acc, 16 + i.bit_length()) for i in range(k))
    drain = max(n, k) * acc
    behind_rams = sum(ram.width for ram in rams)
    return Parts(
        counts={
            "register_bits": (
                n * (sums + acc) + drain + CHUNK_BITS * step_chunks(engine) + behind_rams
            ),
            "compact_engines": 1,
            "compact_lanes": k,
            "compact_columns": n,
            "compact_count_bits": engine.count_bits,
            "compact_address_bits": engine.act_address_bits,
            "compact_stores": int(engine.has_store),
            "compact_product_units": int(engine.products),
            "compact_product_lanes": k * engine.products,
        },
        multipliers=_multipliers(engine),
        rams=rams,
    )


def _multipliers(engine: Engine) -> tuple[Multipliers, ...]:
    k, n, styles = engine.lanes, engine.columns, engine.styles
    return tuple(
        Multipliers(style=style, groups=groups, each=each, a_bits=bits[0], b_bits=bits[1])
        for style, groups, each, bits in (
            (styles.array, k, n, (engine.weight_bits, 8)),
            (styles.vector, 1, k, (engine.weight_bits, 8)),
            (styles.requant, 1, 1, (16, 16)),
        )
    )


def _rams(engine: Engine) -> tuple[Ram, ...]:
    k, n, memories = engine.lanes, engine.columns, engine.memories
    weight = Ram(width=n * engine.weight_bits, depth=memories.weight, grain=CHUNK_BITS)
    store = Ram(width=STORE_BITS, depth=memories.store, grain=STORE_BITS, large=True)
    return (
        *(Ram(width=8 * k, depth=d, grain=8, large=engine.alternates) for d in memories.act),
        *(weight for _ in range(k)),
        Ram(width=k * engine.weight_bits, depth=memories.vector, grain=CHUNK_BITS),
        Ram(width=PARAM_BITS, depth=memories.param[0], grain=CHUNK_BITS),
        Ram(width=CHUNK_BITS, depth=memories.program, grain=CHUNK_BITS),
        *((store,) if engine.has_store else ()),
    )
