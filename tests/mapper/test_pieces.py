"""Operators lowered once for several engines: the same steps and depths as lowered one by one."""

import itertools

import pytest

from tests.e2e.random_networks import KINDS, random_network
from tests.mapper.support import ENDLESS, compact, engine
from weft.engines.common.lower import lower
from weft.engines.common.program import Place, Program
from weft.engines.common.widths import widths_of
from weft.machine import timing
from weft.machine.engine import Engine
from weft.machine.plan import Step
from weft.mapper.build import build, draft, outline, store
from weft.nn.ir.graph import Graph

ENGINES = (
    *(engine(8, n, array, vector) for n in (4, 8) for array in (1, 4) for vector in (1, 2, 8)),
    *(engine(4, 4, 2, 2, taps) for taps in (1, 3)),
    *(compact(4, n) for n in (1, 4)),
    compact(4, 4, streamed=True),
)


def one_by_one(graph: Graph, made: Engine) -> Program:
    program = Program(graph=graph, engine=made, place=lambda name: Place())
    for operator in graph.operators:
        if made.has_store:
            program.open_segment()
        lower(program, operator)
    return program


def without_addresses(steps: list[Step]) -> list[Step]:
    return [step.replace(weight_base=0, param_base=0) for step in steps]


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_equal_to_lowering_one_by_one(seed: int) -> None:
    """One after the other on the same pieces, so that what an engine left there would show."""
    graph = random_network(seed)
    stored = {lanes: store(graph, lanes, 0) for lanes in (4, 8)}
    for made in itertools.chain(ENGINES, reversed(ENGINES)):
        found = outline(stored[made.lanes], made, widths_of(graph)).program
        expected = one_by_one(stored[made.lanes].graph, made)
        assert without_addresses(found.steps) == without_addresses(expected.steps)
        assert found.segments == expected.segments


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_an_outline_promises_no_more_than_the_draft_takes(seed: int) -> None:
    graph = random_network(seed)
    for made in ENGINES:
        begun = outline(store(graph, made.lanes, 0), made, widths_of(graph))
        drafted = draft(begun)
        assert begun.busy <= timing.program_cycles(drafted.engine, drafted.steps, drafted.transfers)
        least, needed = begun.least.memories, drafted.engine.memories
        assert least.replace(act=(1, 1), program=1) == needed.replace(act=(1, 1), program=1)
        assert least.program <= needed.program
        plan = build(graph, ENDLESS, made, 0)
        assert plan.engine == drafted.engine
