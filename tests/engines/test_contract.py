"""What every kind of engine keeps, whatever it is made of."""

import json
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.hardware import wrong_on_hardware
from tests.e2e.random_networks import KINDS as NETWORKS
from tests.e2e.random_networks import random_network
from weft.engines.kind import EngineKind, Pins
from weft.engines.kinds import KINDS, kind_of, read_plan
from weft.errors import WeftError
from weft.gen.data import random_inputs
from weft.hw.step import back_layout, front_layout
from weft.machine.check.execute import execute
from weft.machine.encode import image_writes
from weft.machine.engine import Engine
from weft.machine.family import FAMILIES
from weft.machine.fields import BACK, FRONT, part_bits, part_chunks, values
from weft.machine.images import WORD_BITS
from weft.machine.memory_map import PROGRAM, REGISTERS, STORE, memory_map
from weft.machine.plan import Content, Plan
from weft.machine.target import Target
from weft.mapper.build import build, shared_engine
from weft.mapper.candidates import demand_of
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.reference import run

MOST = 7
"""Of the weights here: every kind can hold them."""
TARGETS = tuple(
    Target(name=name, family=name, lut=10**6, ff=10**6, dsp=64, bram=500, spram=4, clock_hz=25e6)
    for name in FAMILIES
)
ALL_KINDS = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.spec.kind)


def network(seed: int) -> Graph:
    """A random network whose weights all kinds can hold."""
    graph = random_network(seed, packable=True)
    narrow = [
        op.replace(weight=np.clip(op.weight, -MOST, MOST)) if isinstance(op, Conv) else op
        for op in graph.operators
    ]
    return graph.replace(operators=tuple(narrow))


def engines(kind: EngineKind, pins: Pins, graph: Graph) -> list[tuple[Target, Engine]]:
    """All that the kind would try, on all families."""
    demand = demand_of(graph)
    return [(t, made) for t in TARGETS for made in kind.candidates(demand, t, pins)]


def plan_of(kind: EngineKind, seed: int) -> tuple[Graph, Plan]:
    """A network on the first engine that the kind would try with 4 lanes and 4 columns."""
    graph = network(seed)
    target, engine = engines(kind, Pins(lanes=4, columns=4), graph)[0]
    return graph, build(graph, target, engine, 0)


@ALL_KINDS
def test_candidates_are_the_kinds_and_keep_the_pins(kind: EngineKind) -> None:
    graph = network(0)
    free = engines(kind, Pins(), graph)
    pinned = engines(kind, Pins(lanes=4, columns=6, requant_lanes=(1, 1)), graph)
    assert len(free) > len(pinned) > 0
    for target, made in [*free, *pinned]:
        assert type(made) is kind.spec
        assert kind_of(made) is kind
        memory_map(made)
        assert min(vars(target.facts.resources(kind.parts(made))).values()) >= 0
    for _, made in pinned:
        sizes = made.lanes, made.columns, made.array_requant, made.vector_requant
        assert sizes == (4, 6, 1, 1)


@ALL_KINDS
def test_pins_beyond_the_kind_are_an_error_of_the_users(kind: EngineKind) -> None:
    """No candidates, or one that is larger than any device."""
    for pins in (Pins(lanes=1000), Pins(columns=1000), Pins(requant_lanes=(3, 5))):
        for target in TARGETS:
            with suppress(WeftError):
                for made in kind.candidates(demand_of(network(0)), target, pins):
                    assert pins.lanes in (None, made.lanes)
                    assert pins.columns in (None, made.columns)


@ALL_KINDS
def test_step_fields_are_those_of_the_hardware(kind: EngineKind) -> None:
    _, plan = plan_of(kind, 3)
    for part, layout in ((FRONT, front_layout), (BACK, back_layout)):
        hardware = layout(plan.engine)
        assert hardware.size == part_bits(part, plan.engine)
        assert {str(name) for name, _ in hardware} <= set(values(part, plan.steps[0]))
        assert hardware.size <= 36 * part_chunks(part, plan.engine)


@ALL_KINDS
@pytest.mark.parametrize("seed", range(0, 2 * len(NETWORKS), 5))
def test_every_operator_runs(kind: EngineKind, seed: int) -> None:
    """In the meaning of the steps; the depths are those that the kind says the program needs."""
    graph, plan = plan_of(kind, seed)
    assert all(kind.supports(operator, graph) is None for operator in graph.operators)
    given = random_inputs(graph, 2, seed)
    found, expected = execute(plan, given), run(graph, given)
    for edge in graph.outputs:
        np.testing.assert_array_equal(found[edge.tensor], expected[edge.tensor])


@ALL_KINDS
def test_plans_survive_the_file(kind: EngineKind) -> None:
    _, plan = plan_of(kind, 1)
    data = json.loads(json.dumps(plan.to_json()))
    assert data["engines"][0]["_type"] == kind.spec.kind
    assert read_plan(data) == plan


def test_kinds_differ_in_name_and_class() -> None:
    assert max(Counter(kind.spec.kind for kind in KINDS).values()) == 1
    assert max(Counter(kind.spec for kind in KINDS).values()) == 1


@pytest.mark.parametrize("name", ["quantum", "Engine", None])
def test_an_unknown_kind_is_one_error(name: str | None) -> None:
    _, plan = plan_of(KINDS[0], 1)
    data = json.loads(json.dumps(plan.to_json()))
    data["engines"][0] |= {"_type": name}
    known = ", ".join(kind.spec.kind for kind in KINDS)
    message = f"engines[0] must be an object whose '_type' is one of {known}, not "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read_plan(data)


@ALL_KINDS
def test_every_memory_is_written_and_every_bit_and_cycle_is_right(
    kind: EngineKind, tmp_path: Path
) -> None:
    """In Verilator, with memories that nothing but the image writes fills."""
    graphs = [network(seed) for seed in range(0, len(NETWORKS), 2)]
    target, engine = engines(kind, Pins(lanes=2, columns=2), graphs[0])[-1]
    plans = [build(graph, target, engine, 0) for graph in graphs]
    shared = shared_engine(plans)
    plans = [plan.replace(engines=(shared,)) for plan in plans]
    numbers = set(np.concatenate([image_writes(plan)[:, 0] >> WORD_BITS for plan in plans]))
    written = {memory_map(shared).names[number] for number in numbers}
    if shared.has_store:
        loaded = {Content(transfer.target) for plan in plans for transfer in plan.transfers}
        assert loaded >= {Content.WEIGHTS, Content.VECTOR, Content.ARRAY_PARAMS}
        assert written == {REGISTERS, PROGRAM, STORE}
    else:
        assert written == set(memory_map(shared).names)
    assert wrong_on_hardware(graphs, plans, tmp_path) == []
