"""What the cycles of each step go to: work, requantisation, loads, filling and draining."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from weft.gen.report import prediction
from weft.machine import timing
from weft.machine.engine import Engine, Unit
from weft.machine.loads import Load, by_step
from weft.machine.plan import Plan, Step
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv

MULTIPLYING, READING, REQUANTISING, LOADING, LATENCY = PARTS = (
    "multiplying",
    "reading",
    "requantising",
    "loading",
    "latency",
)
"""Taps that are multiplied, or only read; idle cycles until results are requantised; words copied
from the store; and the time in which a unit gets no taps: pipelines fill and drain, rows wait."""


def step_rows(plan: Plan, graph: Graph) -> list[dict[str, Any]]:
    """The steps of ``prediction``, each with its multiply-accumulates and where its cycles go.

    issued: the cycle of its last tap. peak: multiply-accumulates that its unit could do per cycle;
    efficiency: share of them that it does from begin to end. bytes_read: activations. parts: how
    many of ``cycles``, which the program is longer because of it, go to each of ``PARTS``.
    """
    engine = plan.engine
    rows = prediction(plan)["steps"]
    times = timing.timings(engine, plan.steps, plan.transfers)
    loads = by_step(engine, plan.transfers)
    work = _macs(plan.steps, graph)
    for i, (row, step, when, macs) in enumerate(zip(rows, plan.steps, times, work, strict=True)):
        peak = unit_peak(engine, step.unit)
        took = when.end - when.begin
        row |= {
            "issued": when.issued,
            "macs": macs,
            "peak": peak,
            "macs_per_cycle": round(macs / took, 2),
            "efficiency": round(macs / (peak * took), 4),
            "bytes_read": row["floor"] * engine.lanes,
            "intensity": round(macs / (row["floor"] * engine.lanes), 3),
            "parts": _parts(engine, step, loads.get(i, []), row["cycles"], took),
        }
    total = sum(row["cycles"] for row in rows)
    return [row | {"share": round(row["cycles"] / total, 4)} for row in rows]


def bounds(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts of all steps together, the largest first; their cycles are the program's."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums.update(row["parts"])
    total = sum(sums.values())
    return [
        {"part": part, "cycles": cycles, "share": round(cycles / total, 4)}
        for part, cycles in sorted(sums.items(), key=lambda item: -item[1])
        if cycles
    ]


def unit_peak(engine: Engine, unit: Unit) -> int:
    """Multiply-accumulates that a unit could do in each cycle."""
    return engine.lanes * (engine.columns if unit is Unit.ARRAY else engine.vector_taps)


def operator_macs(graph: Graph, operator: Operator) -> int:
    """Multiply-accumulates of a convolution; of a stretched one, those that meet an element."""
    if not isinstance(operator, Conv):
        return 0
    _, height, width = graph.tensor(operator.output).shape
    down, right = operator.window.stretch
    return operator.weight.size * height * width // (down * right)


def _macs(steps: Sequence[Step], graph: Graph) -> list[int]:
    """Each step's part of its operator's multiply-accumulates, by the taps that it is given."""
    totals = {op.name: operator_macs(graph, op) for op in graph.operators}
    places: dict[str, list[int]] = {}
    for i, step in enumerate(steps):
        places.setdefault(step.name, []).append(i)
    result = [0] * len(steps)
    for name, those in places.items():
        floors = [timing.floor_cycles(steps[i]) for i in those]
        for i, macs in zip(those, shared(totals.get(name, 0), floors), strict=True):
            result[i] = macs
    return result


def _parts(
    engine: Engine, step: Step, loaded: Sequence[Load], cycles: int, took: int
) -> dict[str, int]:
    floor, issue = timing.floor_cycles(step), timing.issue_cycles(step)
    loads = timing.load_cycles(engine, loaded)
    work = MULTIPLYING if step.bound == "mac" or step.vector_op.value == "mac" else READING
    own = {work: floor, REQUANTISING: issue - floor, LOADING: loads}
    own[LATENCY] = max(0, took + loads - sum(own.values()))
    split = shared(cycles, list(own.values()))
    return dict(zip(own, split, strict=True))


def shared(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number split in proportion to weights: whole numbers with that sum."""
    whole = sum(weights)
    if not whole:
        return [0] * (len(weights) - 1) + [total]
    ends = [0, *(total * part // whole for part in accumulate(weights))]
    return [after - before for before, after in pairwise(ends)]
