"""What one inference moves and multiplies, and what that costs under named assumptions.

Ref: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure
1.1.9: rough energies in a 45 nm process at 0.9 V.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from weft.machine.engine import Unit
from weft.machine.images import vector_word, weight_word
from weft.machine.plan import Plan, VectorOp
from weft.machine.timing import floor_cycles
from weft.nn.ir.graph import Graph
from weft.report.cycles import unit_peak
from weft.report.memory import word_bits

PARAM_BYTES = 9  # 72 bits: bias, factor and shift of a channel
SOURCE = "M. Horowitz, ISSCC 2014: a 45 nm chip at 0.9 V"
PICOJOULES = {
    "multiply-accumulate of 8 bits": 0.23,
    "requantisation: multiplication of 32 bits": 3.1,
    "byte of a small memory on chip": 1.25,
}
"""An 8-bit multiplication and addition; a 32-bit multiplication; an eighth of a 64-bit access to
8 KB."""


def traffic(plan: Plan, graph: Graph) -> dict[str, int]:
    """Accesses of one inference. Bytes of words that are moved, unused lanes included."""
    engine = plan.engine
    by_unit = dict.fromkeys(Unit, 0)
    multiplied = dict.fromkeys(Unit, 0)
    for step in plan.steps:
        taps = floor_cycles(step)
        by_unit[step.unit] += taps
        if step.unit is Unit.ARRAY or step.vector_op is VectorOp.MAC:
            multiplied[step.unit] += taps
    slots = sum(multiplied[unit] * unit_peak(engine, unit) for unit in Unit)
    words = {Unit.ARRAY: weight_word(engine), Unit.VECTOR: vector_word(engine)}
    read = sum(multiplied[unit] * word_bits(word) for unit, word in words.items())
    results = sum(graph.tensor(operator.output).size for operator in graph.operators)
    return {
        "macs": plan.macs,
        "multiplier_slots": slots,
        "requantisations": results,
        "activation_bytes_read": sum(by_unit.values()) * engine.lanes,
        "activation_bytes_written": results,
        "weight_bytes_read": read // 8,
        "parameter_bytes_read": results * PARAM_BYTES,
        "input_bytes": plan.inputs.words * engine.lanes,
        "output_bytes": plan.outputs.words * engine.lanes,
    }


def energy(counts: Mapping[str, int]) -> dict[str, Any]:
    """The energy of an inference if each access cost what the assumptions say; in nanojoules."""
    memory = ("activation_bytes_read", "activation_bytes_written", "weight_bytes_read")
    of = [counts["multiplier_slots"], counts["requantisations"]]
    of.append(sum(counts[name] for name in (*memory, "parameter_bytes_read")))
    rows: Sequence[dict[str, Any]] = [
        {"access": access, "picojoules": each, "count": n, "nanojoules": round(n * each / 1e3, 3)}
        for (access, each), n in zip(PICOJOULES.items(), of, strict=True)
    ]
    return {
        "source": SOURCE,
        "rows": rows,
        "nanojoules": round(sum(row["nanojoules"] for row in rows), 3),
    }
