"""Parts of an overlapped engine: two units, each with a sequencer and an output path of its own."""

from weft.machine.engine import Engine, Unit
from weft.machine.fields import BACK, part_bits, step_chunks
from weft.machine.images import CHUNK_BITS, PARAM_CHUNKS, weight_word
from weft.machine.parts import Multipliers, Parts, Ram
from weft.machine.timing import multiplier_latency, requant_latency

PARAM_BITS = PARAM_CHUNKS * CHUNK_BITS
"""Of a channel's parameters."""


def parts(engine: Engine) -> Parts:
    """All of the engine but the link.

    ``accumulator_bits``: of the array, with what clears them. ``vector_sum_bits``,
    ``vector_tap_bits``: of the vector unit's lanes, and of their taps. ``requant_sum_bits``: of all
    lanes that requantise. The rest are whole units, lanes, columns and address bits.
    """
    k, n, t = engine.lanes, engine.columns, engine.vector_taps
    acc = engine.accumulator_bits
    requant = engine.array_requant + engine.vector_requant
    return Parts(
        counts={
            "adder_bits": n * _partial_sum_bits(engine),
            # Drains, and the step word of a chained step.
            "multiplexer_bits": (k + n) * acc + part_bits(BACK, engine),
            "register_bits": _register_bits(engine),
            "accumulator_bits": n * acc,
            "vector_sum_bits": k * acc,
            "vector_tap_bits": k * t * acc,
            "vector_taps": k * t,
            "requant_sum_bits": requant * acc,
            "array_requant_lanes": engine.array_requant,
            "vector_requant_lanes": engine.vector_requant,
            "overlapped_engines": 1,
            "overlapped_lanes": k,
            "overlapped_columns": n,
            "overlapped_address_bits": 2 * engine.act_address_bits,
            "overlapped_product_units": int(engine.products),
            "overlapped_product_lanes": k * engine.products,
        },
        multipliers=_multipliers(engine),
        rams=_rams(engine),
    )


def _partial_sum_bits(engine: Engine) -> int:
    """Of one column."""
    product = engine.rows.product_bits(engine.weight_bits)
    return sum(min(engine.accumulator_bits, product + i.bit_length()) for i in range(engine.lanes))


def _register_bits(engine: Engine) -> int:
    """Registers whose width the structure says."""
    k, n, t = engine.lanes, engine.columns, engine.vector_taps
    acc = engine.accumulator_bits
    array = n * (_partial_sum_bits(engine) + acc)
    skew = 8 * k * (k - 1) // 2 + k * engine.weight_address_bits
    vector = k * t * acc + 8 * k * multiplier_latency(engine.styles.vector, 8)
    weights = k * weight_word(engine).width + k * t * engine.weight_bits
    params = (engine.array_requant + engine.vector_requant) * (
        PARAM_BITS + engine.param_address_bits
    )
    steps = 3 * CHUNK_BITS * step_chunks(engine) + part_bits(BACK, engine)
    writes = 2 * 12 * (requant_latency(engine) + k)
    return array + skew + vector + (k + n) * acc + weights + params + steps + writes


def _multipliers(engine: Engine) -> tuple[Multipliers, ...]:
    k, n, styles = engine.lanes, engine.columns, engine.styles
    requant = 2 * (engine.array_requant + engine.vector_requant)
    upper = engine.accumulator_bits - 16
    return tuple(
        Multipliers(style=style, groups=groups, each=each, a_bits=a_bits, b_bits=b_bits)
        for style, groups, each, a_bits, b_bits in (
            (styles.array, k, n, engine.weight_bits, 8),
            (styles.vector, k, engine.vector_taps, engine.weight_bits, 8),
            (styles.requant, requant, 1, 16, 16),
            (styles.requant, requant, 1, 16, upper),
        )
    )


def _rams(engine: Engine) -> tuple[Ram, ...]:
    k, memories = engine.lanes, engine.memories
    weight = Ram(width=weight_word(engine).width, depth=memories.weight, grain=CHUNK_BITS)
    vector = engine.vector_taps * k * engine.weight_bits
    return (
        *(Ram(width=8 * k, depth=depth, grain=8) for depth in memories.act),
        *(weight for _ in range(k)),
        Ram(width=vector, depth=memories.vector, grain=CHUNK_BITS),
        *(
            Ram(
                width=PARAM_BITS * engine.requant(unit),
                depth=memories.param[unit.index],
                grain=CHUNK_BITS,
            )
            for unit in Unit
        ),
        Ram(width=CHUNK_BITS, depth=memories.program, grain=CHUNK_BITS),
    )
