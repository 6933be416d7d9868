"""Edited plans: each is refused with one message, or computes the same in the cycles predicted."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.e2e.random_networks import KINDS, random_network
from tests.mapper.edits import edited, mutants
from tests.mapper.support import ENDLESS, compact, engine
from weft.errors import ConfigError, WeftError
from weft.machine.check.fault import PlanFault
from weft.machine.engine import Engine, Unit
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.mapper.build import build
from weft.mapper.edited import check_edited
from weft.mapper.pins import pinned
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window

SMALL = Target(
    name="small",
    family="gowin",
    lut=10**8,
    ff=10**8,
    dsp=10**6,
    bram=10**6,
    spram=100,
    clock_hz=25e6,
)
ENGINES: list[tuple[Target, Engine]] = [
    (ENDLESS, engine(4, 4, 2, 2, 3)),
    (SMALL, compact(2, 3)),
    (SMALL, compact(2, 4, single_port=True, streamed=True)),
]


def refusal(graph: Graph, target: Target, plan: Plan, path: str, value: object) -> str:
    """What a plan with one field changed is refused with; "" if it is taken."""
    try:
        check_edited(graph, target, edited(plan, path, value))
    except (ValueError, WeftError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", range(0, len(KINDS), 3), ids=lambda i: KINDS[i])
def test_mutants(kind: int) -> None:
    """No exception but a refusal; what is taken was run, with time and by formulas."""
    graph = random_network(kind)
    for target, sizes in ENGINES:
        plan = build(graph, target, sizes, 1)
        check_edited(graph, target, plan)
        for path, value in mutants(plan, 6, kind):
            assert "\n" not in refusal(graph, target, plan, path, value), (path, value)


def a_chain() -> tuple[Graph, Plan]:
    """A convolution, a depthwise and a pointwise one: each follows the one before it."""
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    first = net.conv(net.input((4, 6, 6)), 4, 1, same)
    second = net.conv(first, 4, 4, same)
    graph = net.graph("chain", [net.conv(second, 4, 1, Window(kernel=(1, 1)))])
    return graph, build(graph, ENDLESS, engine(4, 4, 4, 4, 3), 0)


ROWS = {"_type": "Rows", "step": 0, "need": 2}
REFUSALS = [
    ("steps.0.loops.rows", 5000, "loops.rows is 5000: out of range; what works: 1..4095"),
    ("steps.1.loops.rows", 5, "loops.rows is 5: the results are not those of the operator"),
    ("steps.0.loops.hold", 200, "loops.hold is 200: out of range"),
    ("steps.0.unit", "vector", "the step before is the vector's as well, which runs one at a time"),
    ("steps.0.vector_op", "max", "vector_op is max: the array multiplies and adds, no more"),
    ("steps.1.after.0.need", 1, "after[0].need is 1: row 0 reads too early: step 0"),
    ("steps.1.after.0.need", 0, "after[0].need is 0: a row that waits for none could begin before"),
    ("steps.1.after.0.step", 1, "after[0].step is 1: only the step before it can be waited for"),
    ("steps.1.after", [ROWS, ROWS], "after[1] is Rows: it has one already"),
    ("steps.1.after", [], ""),
    ("steps.1.output.low", -127, "output.low is -127: the results are not those of the operator"),
    ("steps.1.output.low", -129, "output.low is -129: out of range; what works: -128..127"),
    ("steps.0.read.base", 3, "read.base is 3: it reads word"),
    ("steps.0.write.base", 2, "write.base is 2: it writes word"),
    ("steps.0.read.bank", 2, "read.bank is 2: out of range; what works: 0..1"),
    ("steps.0.weight_base", 1, "weight_base is 1"),
    ("steps.0.param_base", 1, "param_base is 1"),
    ("steps.0.name", "nothing", "name is 'nothing': no operator has this name"),
    ("engines.0.memories.act.0", 35, "words are not in bank 0, which has 35"),
    ("engines.0.memories.program", 5, "memories.program is 5: too small for the program of 3"),
    ("engines.0.accumulator_bits", 33, "accumulator_bits must be 25..32, not 33"),
    ("engines.0.colour", 7, "has no field 'colour'"),
    ("buffers.0.words", 7, "words is 7"),
    ("inputs.base", 1, "base is 1"),
    ("macs", 7, "macs is 7: the model has another"),
    ("target.lut", 7, "target: lut is 7: the board has 100000000"),
]


@pytest.mark.parametrize(
    ("path", "value", "text"), REFUSALS, ids=[f"{p}={v}" for p, v, _ in REFUSALS]
)
def test_refusals(path: str, value: object, text: str) -> None:
    graph, plan = a_chain()
    assert text in refusal(graph, ENDLESS, plan, path, value)


TRANSFERS = [
    ("transfers.0.source", "flash", "transfer 0: source is 'flash': the engine has no such memory"),
    ("transfers.0.target", "act", "transfer 0: target is 'act': the loader fills no such memory"),
    ("transfers.1.first", 9, "transfer 1: first is 9: images.array_params has 12 words"),
    ("transfers.0.words", 0, "transfer 0: words is 0: its memory has"),
    ("transfers.0.at", 1, "transfer 0: at is 1: the loader begins at the first word"),
    ("transfers.0.before", 1, "transfer 1: before is 0: not a step, or not in the order"),
    ("transfers.1.target", "weights", "transfer 1: target is 'weights': filled twice before"),
    ("transfers.1.first", 1, "transfer 1: first is 1: the results are not those of the operator"),
    ("transfers", [], "weight_base is 0: tile 0 reads the words 0.."),
]


@pytest.mark.parametrize(
    ("path", "value", "text"), TRANSFERS, ids=[f"{p}={v}" for p, v, _ in TRANSFERS]
)
def test_refused_transfers(path: str, value: object, text: str) -> None:
    graph, _ = a_chain()
    plan = build(graph, SMALL, compact(2, 4, streamed=True), 0)
    assert text in refusal(graph, SMALL, plan, path, value)


def test_an_overlap() -> None:
    """A buffer moved onto another that is live at the same time."""
    graph, plan = a_chain()
    a, b = next(
        (i, j)
        for i, a in enumerate(plan.buffers)
        for j, b in enumerate(plan.buffers)
        if i > j and a.bank == b.bank and a.first_step <= b.last_step
    )
    first = plan.buffers[b]
    found = refusal(graph, ENDLESS, plan, f"buffers.{a}.offset", first.offset + 1)
    assert "overlap buffer" in found or "are not in bank" in found


def test_a_pinned_plan_comes_back() -> None:
    """A depthwise convolution on the array: another plan, and it computes the same."""
    graph, plan = a_chain()
    depthwise = next(step.name for step in plan.steps if step.unit is Unit.VECTOR)
    moved = pinned(graph, {depthwise: Unit.ARRAY})
    other = build(moved, ENDLESS, engine(4, 4, 4, 4, 3), 0)
    assert {step.unit for step in other.steps} == {Unit.ARRAY}
    check_edited(graph, ENDLESS, other)
    assert pinned(moved, {depthwise: Unit.VECTOR}) == graph
    with pytest.raises(ConfigError, match="--pin nothing: the network has no such operator, but"):
        pinned(graph, {"nothing": Unit.ARRAY})
    with pytest.raises(ConfigError, match="which only the array does; leave it on the array"):
        pinned(graph, {plan.steps[0].name: Unit.VECTOR})


def test_a_wrong_weight_is_found() -> None:
    """Also one that no sample would show."""
    graph, plan = a_chain()
    weights = plan.images[0].weights.copy()
    weights[0, 0, 0] += 1 if weights[0, 0, 0] < 0 else -1
    images = (plan.images[0].replace(weights=weights),)
    with pytest.raises(PlanFault, match="the weights or parameters that it reads there are not"):
        check_edited(graph, ENDLESS, plan.replace(images=images))
