"""Networks that share one engine, in Verilator: every bit, every cycle."""

from pathlib import Path

import numpy as np

from weft.gen.build_dir import CELLS
from weft.gen.data import random_inputs
from weft.gen.hardware import verilog_text
from weft.machine import timing
from weft.machine.encode import image_writes
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.machine.plan import Plan
from weft.nn.ir.graph import Graph
from weft.nn.ir.reference import run
from weft.sim_tb.compare import compare
from weft.sim_tb.job import Job
from weft.sim_tb.simulate import Simulator


def wrong_on_hardware(graphs: list[Graph], plans: list[Plan], folder: Path) -> list[str]:
    """What differs from the reference or from the predicted cycles: nothing, if all is well.

    Two random inputs for each network; a fifth of them with stalls on all streams.
    """
    lanes = plans[0].engine.lanes
    simulator = Simulator(sources=_sources(plans[0], folder), lanes=lanes, workdir=folder)
    codes = [random_inputs(graph, 2, seed) for seed, graph in enumerate(graphs)]
    jobs = [
        _job(plan, code, stalls=seed % 5 == 0)
        for seed, (plan, code) in enumerate(zip(plans, codes, strict=True))
    ]
    return [
        line
        for graph, plan, code, result in zip(graphs, plans, codes, simulator.run(jobs), strict=True)
        for line in _differences(graph, plan, code, result)
    ]


def _sources(plan: Plan, folder: Path) -> tuple[Path, ...]:
    top = folder / "weft_top.v"
    top.write_text(verilog_text(plan, baked=False))
    return (top, *sorted(CELLS.glob("*.v")))


def _job(plan: Plan, codes: dict[str, np.ndarray], *, stalls: bool) -> Job:
    words = pack_inputs(plan.inputs, codes, plan.engine.lanes)
    budget = timing.cycles(plan) + 20 * (plan.inputs.words + plan.outputs.words) + 1000
    return Job(
        images=image_writes(plan),
        inputs=words,
        n_out=plan.outputs.words,
        max_cycles=budget,
        stalls=stalls,
    )


def _differences(graph: Graph, plan: Plan, codes: dict[str, np.ndarray], result) -> list[str]:
    if result.fault:
        return [f"{graph.name}: {result.fault}"]
    expected = run(graph, codes)
    actual = unpack_outputs(plan.outputs, result.outputs)
    # An output that only copies an input has a name of its own in the plan.
    checks = [
        compare(graph.name, expected[edge.tensor], actual[port.edge.tensor])
        for port, edge in zip(plan.outputs.ports, graph.outputs, strict=True)
    ]
    lines = [str(check) for check in checks if not check.bit_exact]
    predicted = timing.cycles(plan)
    for counted in (result.cycles, result.busy_cycles):
        if not np.all(counted == predicted):
            lines.append(f"{graph.name}: predicted {predicted} cycles, counted {counted}")
    return lines
