"""Real and random networks on several engines, executed with time, against the reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.e2e.random_networks import KINDS, random_network
from tests.mapper.support import ENDLESS, chains, engine
from tests.mapper.test_lower import agree
from weft.machine import timing
from weft.machine.check.fault import PlanFault
from weft.machine.engine import Unit
from weft.machine.plan import Plan, Rows
from weft.mapper.build import build
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window
from weft.nn.onnx.importer import import_model

ENGINES = [(16, 16, 8, 8, 3), (16, 8, 4, 4, 3), (8, 4, 2, 2, 3)]
"""Lanes, columns, results of the array and of the vector unit per cycle, taps."""

SMALL = ENGINES[1:]


def overlap(plan: Plan) -> int:
    """Cycles that a plan saves by running steps side by side."""
    alone = tuple(step.replace(after=()) for step in plan.steps)
    return max(x.end for x in timing.timings(plan.engine, alone, plan.transfers)) - timing.cycles(
        plan
    )


def check(graph: Graph, sizes: tuple[int, ...], level: int = 2, samples: int = 1) -> Plan:
    plan = build(graph, ENDLESS, engine(*sizes), level)
    agree(graph, plan, samples)
    return plan


@pytest.mark.parametrize("sizes", ENGINES, ids=str)
def test_digits(root: Path, sizes: tuple[int, ...]) -> None:
    plan = check(import_model(root / "examples/digits/digits.onnx"), sizes, samples=3)
    assert overlap(plan) > 0


@pytest.mark.parametrize("sizes", ENGINES, ids=str)
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_mlperf_tiny(model_file: Callable[[str], Path], name: str, sizes: tuple[int, ...]) -> None:
    plan = check(import_model(model_file(f"mlperf_tiny/{name}.onnx")), sizes)
    if name == "ad":  # fully connected layers only
        assert {step.unit for step in plan.steps} == {Unit.ARRAY}
    else:
        assert overlap(plan) > 0


@pytest.mark.parametrize("sizes", SMALL, ids=str)
@pytest.mark.parametrize("kind", ["separable", "residual"])
def test_random_networks_that_overlap(kind: str, sizes: tuple[int, ...]) -> None:
    first = KINDS.index(kind)
    plans = [check(random_network(seed), sizes) for seed in range(first, 840, len(KINDS))]
    steps = [step for plan in plans for step in plan.steps]
    followed = sum(step.follow is not None for step in steps)
    rolled = sum(step.output.rolling for step in steps)
    assert followed >= len(plans) // 2
    if kind == "separable":
        assert sum(overlap(plan) > 0 for plan in plans) >= len(plans) // 2
        assert rolled >= len(plans) // 4


@pytest.mark.parametrize("sizes", [*SMALL, (4, 16, 1, 1, 3), (32, 8, 2, 2, 3)], ids=str)
@pytest.mark.parametrize("kind", ["perceptron", "stack", "branches", "mixture"])
def test_random_networks_that_chain(kind: str, sizes: tuple[int, ...]) -> None:
    first = KINDS.index(kind)
    plans = [check(random_network(seed), sizes) for seed in range(first, 800, len(KINDS))]
    expected = {"image" if kind == "stack" else "fully connected", "after a chained step"}
    if kind == "mixture":
        expected |= {"after a step that follows", "before a step that follows"}
    if sizes[0] == 32 and kind == "branches":
        expected.add("once the step before the last has drained")
    assert set().union(*map(chains, plans)) >= expected


def a_chain() -> tuple[Graph, Plan]:
    """A convolution, a depthwise and a pointwise one: each follows the one before it."""
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    first = net.conv(net.input((4, 6, 6)), 4, 1, same)
    second = net.conv(first, 4, 4, same)
    graph = net.graph("chain", [net.conv(second, 4, 1, Window(kernel=(1, 1)))])
    plan = build(graph, ENDLESS, engine(4, 4, 4, 4, 3), 0)
    assert [step.follow and step.follow.need for step in plan.steps] == [None, 2, 1]
    return graph, plan


def refused(graph: Graph, plan: Plan, text: str) -> None:
    with pytest.raises(PlanFault, match=text):
        agree(graph, plan, 1)


def test_a_row_that_comes_too_early_is_seen() -> None:
    graph, plan = a_chain()
    agree(graph, plan)
    first, second, third = plan.steps
    early = second.replace(after=(Rows(step=0, need=1),))
    refused(graph, plan.replace(steps=(first, early, third)), "row 0 reads too early")


def test_banks_that_meet_are_seen() -> None:
    """All buffers moved into one bank, one behind the other: the values would be right."""
    graph, plan = a_chain()
    depths = plan.engine.memories.act
    steps = tuple(
        step.replace(
            read=step.read.replace(bank=0, base=step.read.base + step.read.bank * depths[0]),
            write=step.write.replace(bank=0, base=step.write.base + step.write.bank * depths[0]),
        )
        for step in plan.steps
    )
    regions = {
        name: region.replace(bank=0, base=region.base + region.bank * depths[0])
        for name, region in (("inputs", plan.inputs), ("outputs", plan.outputs))
    }
    memories = plan.engine.memories.replace(act=(sum(depths), 1))
    joined = plan.replace(steps=steps, engines=(plan.engine.replace(memories=memories),), **regions)
    alone = tuple(step.replace(after=()) for step in steps)
    agree(graph, joined.replace(steps=alone))
    refused(graph, joined, "reads of step 0 .* are in the same bank")


def test_a_buffer_that_is_overwritten_too_early_is_seen() -> None:
    """The step that follows writes its first row over what the step beside it reads last."""
    graph, plan = a_chain()
    first, second, third = plan.steps
    assert first.read.bank == second.write.bank
    end = plan.inputs.base + plan.inputs.words
    moved = second.replace(write=second.write.replace(base=end - second.write.row))
    refused(graph, plan.replace(steps=(first, moved, third)), "overwrites too early")
