"""Random layers in Verilator: every bit equal, every cycle predicted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.layers import random_network
from tests.mapper.support import chains
from weft.gen.build_dir import CELLS
from weft.gen.data import random_inputs
from weft.gen.hardware import verilog_text
from weft.gen.images import image_writes
from weft.mapper import cost
from weft.mapper.build import FOLD_LEVELS, build, shared_engine
from weft.mapper.memory_layout import pack_inputs, unpack_outputs
from weft.mapper.plan import Engine, Plan, Style, Styles
from weft.mapper.target import Target
from weft.nn.graph import Graph
from weft.nn.reference import run
from weft.sim_tb.compare import compare
from weft.sim_tb.job import Job
from weft.sim_tb.simulate import Simulator

TARGET = Target(name="any", family="ecp5", lut=1, ff=1, dsp=1, bram=1, clock_hz=25e6)


@dataclass(frozen=True)
class Shape:
    """An engine to test, and how many layers on it."""

    lanes: int
    columns: int
    array_requant: int
    vector_requant: int
    taps: int = 1
    style: Style = Style.DSP
    wide_weights: bool = False
    packed: bool = False
    layers: int = 80

    def __str__(self) -> str:
        parts = [f"k{self.lanes}n{self.columns}", f"r{self.array_requant}-{self.vector_requant}"]
        style = "packed" if self.packed else self.style.value
        return "-".join([*parts, f"t{self.taps}", style] + ["w9"] * self.wide_weights)

    def engine(self) -> Engine:
        """The engine, its memories still open."""
        return Engine(
            lanes=self.lanes,
            columns=self.columns,
            array_requant=self.array_requant,
            vector_requant=self.vector_requant,
            vector_taps=self.taps,
            styles=Styles(
                array=Style.PACKED if self.packed else self.style,
                vector=self.style,
                requant=self.style,
            ),
        )


SHAPES = (
    Shape(8, 4, 2, 4, taps=3, layers=96),
    Shape(16, 16, 4, 2, taps=2, packed=True, layers=96),
    Shape(3, 6, 3, 1, style=Style.LUT, layers=64),
    Shape(4, 5, 1, 4, taps=3, wide_weights=True, layers=64),
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_layers(shape: Shape, tmp_path: Path) -> None:
    graphs = [
        random_network(seed, wide_weights=shape.wide_weights, packable=shape.packed)
        for seed in range(shape.layers)
    ]
    plans = [
        build(graph, TARGET, shape.engine(), FOLD_LEVELS[seed % len(FOLD_LEVELS)])
        for seed, graph in enumerate(graphs)
    ]
    engine = shared_engine(plans)
    plans = [plan.replace(engines=(engine,)) for plan in plans]
    assert set().union(*map(chains, plans)) >= {
        "image",
        "fully connected",
        "after a chained step",
        "after a step that follows",
        "before a step that follows",
        "before a step that waits",
    }
    simulator = Simulator(sources=_sources(plans[0], tmp_path), lanes=shape.lanes, workdir=tmp_path)
    codes = [random_inputs(graph, 2, seed) for seed, graph in enumerate(graphs)]
    jobs = [
        _job(plan, code, stalls=seed % 5 == 0)
        for seed, (plan, code) in enumerate(zip(plans, codes, strict=True))
    ]
    results = simulator.run(jobs)
    wrong = [
        line
        for graph, plan, code, result in zip(graphs, plans, codes, results, strict=True)
        for line in _differences(graph, plan, code, result)
    ]
    assert wrong == []


def _sources(plan: Plan, folder: Path) -> tuple[Path, ...]:
    top = folder / "weft_top.v"
    top.write_text(verilog_text(plan, baked=False))
    return (top, *sorted(CELLS.glob("*.v")))


def _job(plan: Plan, codes: dict[str, np.ndarray], *, stalls: bool) -> Job:
    words = pack_inputs(plan.inputs, codes, plan.engine.lanes)
    budget = cost.cycles(plan) + 20 * (plan.inputs.words + plan.outputs.words) + 1000
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
    checks = [compare(graph.name, expected[name], actual[name]) for name in actual]
    lines = [str(check) for check in checks if not check.bit_exact]
    predicted = cost.cycles(plan)
    for counted in (result.cycles, result.busy_cycles):
        if not np.all(counted == predicted):
            lines.append(f"{graph.name}: predicted {predicted} cycles, counted {counted}")
    return lines
