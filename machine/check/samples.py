"""Whether a plan gives the outputs of the reference, on a few samples."""

import numpy as np

from weft.machine.check.execute import execute
from weft.machine.check.fault import PlanFault
from weft.machine.plan import Plan
from weft.nn.ir.graph import Graph
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN

SAMPLES = 3
"""The lowest codes, the highest ones and random ones."""


def check_samples(graph: Graph, plan: Plan) -> None:
    """Raise PlanFault where the plan breaks a rule as it runs, or an output differs."""
    rng = np.random.default_rng(0)
    codes = {}
    for edge in graph.inputs:
        shape = graph.tensor(edge.tensor).shape
        codes[edge.tensor] = rng.integers(CODE_MIN, CODE_MAX + 1, (SAMPLES, *shape), np.int8)
        codes[edge.tensor][0], codes[edge.tensor][1] = CODE_MIN, CODE_MAX
    expected, actual = run(graph, codes), execute(plan, codes)
    for port, edge in zip(plan.outputs.ports, graph.outputs, strict=True):
        wrong = np.argwhere(actual[port.edge.tensor] != expected[edge.tensor])
        if len(wrong):
            place = tuple(wrong[0].tolist())
            raise PlanFault(
                "outputs",
                f"{edge.name!r} at {list(place[1:])}",
                int(actual[port.edge.tensor][place]),
                f"the reference gives {int(expected[edge.tensor][place])}",
            )
