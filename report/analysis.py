"""Everything that a build's files say before it is simulated or synthesised."""

from typing import Any

from weft.gen.build_dir import Build
from weft.machine.engine import Engine
from weft.machine.images import weight_word
from weft.machine.plan import Plan
from weft.mapper.resources import predict_for
from weft.mapper.search import budgets
from weft.nn.ir.edges import HostEdge
from weft.report.cycles import bounds, step_rows
from weft.report.memory import buffer_rows, memory_rows, word_bits
from weft.report.network import drawing
from weft.report.traffic import energy, traffic
from weft.report.weights import weight_rows

RESOURCES = ("lut", "ff", "dsp", "bram", "spram")


def analysis(build: Build) -> dict[str, Any]:
    """The ``analysis`` part of report.json: what follows from graph, plan and manifest alone."""
    plan, graph = build.plan, build.graph
    steps = step_rows(plan, graph)
    counts = traffic(plan, graph)
    return {
        "network": {
            "name": plan.network,
            "macs": plan.macs,
            "operators": len(graph.operators),
            "inputs": [_edge(edge) for edge in graph.inputs],
            "outputs": [_edge(edge) for edge in graph.outputs],
        },
        "board": _board(plan),
        "engine": _engine(plan.engine),
        "resources": _resources(plan),
        "steps": steps,
        "bounds": bounds(steps),
        "drawing": drawing(graph, steps),
        "buffers": buffer_rows(plan),
        "memories": memory_rows(plan.engine),
        "weights": weight_rows(graph),
        "traffic": counts,
        "energy": energy(counts),
        "versions": {"weft": build.manifest["weft"], **build.manifest["tools"]},
        "plan_hash": build.manifest["plan_hash"],
    }


def _edge(edge: HostEdge) -> dict[str, Any]:
    return {"name": edge.name, "dtype": edge.dtype, "shape": list(edge.shape)}


def _board(plan: Plan) -> dict[str, Any]:
    target = plan.target
    return {
        "name": target.name,
        "family": target.family,
        "clock_mhz": round(target.clock_hz / 1e6, 4),
    }


def _engine(engine: Engine) -> dict[str, Any]:
    return {
        "kind": engine.kind,
        "lanes": engine.lanes,
        "columns": engine.columns,
        "multipliers": engine.multipliers,
        "array_requant": engine.array_requant,
        "vector_requant": engine.vector_requant,
        "vector_taps": engine.vector_taps,
        "weight_bits": engine.weight_bits,
        "array_weight_bits": word_bits(weight_word(engine)) / engine.multipliers,
        "accumulator_bits": engine.accumulator_bits,
        "array_multipliers": engine.styles.array.value,
        "vector_multipliers": engine.styles.vector.value,
        "requant_multipliers": engine.styles.requant.value,
    }


def _resources(plan: Plan) -> list[dict[str, Any]]:
    """For each resource: what the model predicts for the core, what the core may take of the
    device, and what the device has."""
    needs = predict_for(plan.target, plan.engine)
    limits = {
        _KEYS[name]: (used, of) for name, used, of in budgets(plan.target, plan.engine, needs)
    }
    rows = []
    for name in RESOURCES:
        used, allowed = limits[name]
        device = getattr(plan.target, name)
        if device or used:
            rows.append(
                {
                    "resource": name,
                    "predicted": used,
                    "allowed": allowed,
                    "device": device,
                    "share": round(used / allowed, 4) if allowed else None,
                }
            )
    return rows


_KEYS = {
    "block RAM": "bram",
    "DSP multiplier": "dsp",
    "single-ported RAM": "spram",
    "logic cell": "lut",
    "LUT": "lut",
    "flip-flop": "ff",
}
"""Names of ``budgets`` as the fields of ``Resources``."""
