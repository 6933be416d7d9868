"""Networks on two engines: equal to the reference, in the cycles that an event simulation takes."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.e2e.random_networks import KINDS, random_network
from tests.mapper.edits import edited, mutants
from tests.mapper.support import ENDLESS, compact, engine
from tests.mapper.test_lower import agree
from weft.engines.kinds import read_plan
from weft.errors import ConfigError
from weft.gen.hardware import verilog_text
from weft.machine import timing
from weft.machine.check import rules
from weft.machine.check.fault import PlanFault
from weft.machine.check.samples import check_samples
from weft.machine.engine import Engine
from weft.machine.plan import End, Moved, Plan
from weft.mapper.edited import check_edited
from weft.mapper.several import plan_on
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window

PAIRS: dict[str, tuple[Engine, Engine]] = {
    "overlapped": (engine(4, 4, 2, 2, 3), engine(4, 8, 4, 1)),
    "compact": (engine(4, 8, 2, 2, 3), compact(4, 3)),
    "first": (compact(4, 5), engine(4, 4, 2, 2, 3)),
    "streamed": (engine(4, 4), compact(4, 4, single_port=True, streamed=True)),
}


def on_two(graph: Graph, engines: tuple[Engine, ...], seed: int) -> Plan:
    """Operators on either engine, at random, with at least one on each."""
    rng = np.random.default_rng(seed)
    names = [operator.name for operator in graph.operators]
    chosen = [0, 1, *rng.integers(0, 2, len(names) - 2)]
    return plan_on(
        graph, ENDLESS, engines, dict(zip(names, rng.permutation(chosen).tolist(), strict=True))
    )


@pytest.mark.parametrize("pair", PAIRS)
def test_random_networks(pair: str) -> None:
    waited = 0
    for seed in range(0, len(KINDS), 2):
        graph = random_network(seed)
        if len(graph.operators) < 2:
            continue
        plan = on_two(graph, PAIRS[pair], seed)
        rules.check(plan)
        agree(graph, plan, 1)
        assert events(plan) == timing.cycles(plan)
        assert read_plan(plan.to_json()) == plan
        waited += any(transfer.crosses for transfer in plan.transfers)
    assert waited >= 4


@pytest.mark.parametrize("pair", PAIRS)
def test_mutants(pair: str) -> None:
    """A number changed in the plan's file: no exception but a refusal."""
    graph = random_network(12)
    plan = on_two(graph, PAIRS[pair], 12)
    refusals = 0
    for path, value in mutants(plan, 20, 12):
        try:
            changed = edited(plan, path, value)
            rules.check(changed)
            check_samples(graph, changed)
        except ValueError:
            refusals += 1
    assert refusals > 5


def events(plan: Plan) -> int:
    """Cycles of a plan, found cycle by cycle: whatever may begin does.

    Steps and transfers only know what they name. How long a step takes from the cycle in which
    nothing outside of its engine holds it up is taken from its engine's own clock.
    """
    clocks = [x.clock() for x in plan.engines]
    waiting = [[i for i, s in enumerate(plan.steps) if s.engine == e] for e in range(len(clocks))]
    crossing = [i for i, x in enumerate(plan.transfers) if x.crosses]
    loads = [timing.by_step(x, plan.transfers, e) for e, x in enumerate(plan.engines)]
    step_ends: dict[int, int] = {}
    moved: dict[int, int] = {}
    busy = cycle = timing.GO_LATENCY
    while any(waiting):
        done = {i for i, end in step_ends.items() if end <= cycle}
        copied = {i for i, end in moved.items() if end <= cycle}
        if crossing and busy <= cycle:
            transfer = plan.transfers[crossing[0]]
            if all(end.step in done for end in transfer.after):
                busy = cycle + transfer.words + timing.TRANSFER_LATENCY
                moved[crossing.pop(0)] = busy
        for e, queue in enumerate(waiting):
            while queue:
                step = plan.steps[queue[0]]
                ends = all(x.step in done for x in step.after if isinstance(x, End))
                moves = [x.transfer for x in step.after if isinstance(x, Moved)]
                if not ends or not copied.issuperset(moves):
                    break
                outside = [x for x in step.after if isinstance(x, End | Moved)]
                ready = cycle if outside else 0
                index = queue.pop(0)
                step_ends[index] = clocks[e].next(step, loads[e].get(index, ()), ready).end
        cycle += 1
    return max(step_ends.values())


def a_fork() -> tuple[Graph, Plan]:
    """Two branches, the second one on the second engine, joined on the first."""
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    source = net.conv(net.input((4, 6, 6)), 4, 1, same)
    left, right = net.conv(source, 4, 1, same), net.conv(source, 4, 1, same)
    graph = net.graph("fork", [net.add(left, right)])
    names = [operator.name for operator in graph.operators]
    plan = plan_on(graph, ENDLESS, PAIRS["overlapped"], dict(zip(names, (0, 0, 1, 0), strict=True)))
    return graph, plan


def test_engines_work_at_the_same_time() -> None:
    graph, plan = a_fork()
    agree(graph, plan)
    times = timing.plan_timings(plan)
    left, right = times[1], times[2]
    assert left.begin < right.end
    assert right.begin < left.end
    there, back = timing.schedule(plan).transfers.values()
    assert there.begin == times[0].end + 1
    assert there.end == there.begin + 36 - 1 + timing.TRANSFER_LATENCY
    assert left.begin == right.begin == there.end
    assert back.begin == max(left.end, right.end) + 1
    assert times[3].begin == back.end


def refused(graph: Graph, plan: Plan, text: str) -> None:
    def check() -> None:
        rules.check(plan)
        check_samples(graph, plan)

    with pytest.raises(PlanFault) as raised:
        check()
    assert text in str(raised.value)


def test_what_is_not_waited_for_is_found() -> None:
    graph, plan = a_fork()
    first, left, right, join = plan.steps
    early = right.replace(after=())
    text = f"step 2 ({right.name!r}): after is []: row 0 reads too early: transfer 0 is not done"
    refused(graph, plan.replace(steps=(first, left, early, join)), text)
    early = join.replace(after=())
    text = f"step 3 ({join.name!r}): after is []: it would write activations_0 beside transfer 1"
    refused(graph, plan.replace(steps=(first, left, right, early)), text)
    there, back = plan.transfers
    early = there.replace(after=())
    text = f"transfer 0: after is []: too early: step 0 ({first.name!r}) is not done"
    refused(graph, plan.replace(transfers=(early, back)), text)
    early = left.replace(after=())
    text = f"step 1 ({left.name!r}): after is []: it would read"
    refused(graph, plan.replace(steps=(first, early, right, join)), text)
    late = there.replace(before=3, words=36)
    refused(graph, plan.replace(transfers=(late, back)), "not an earlier transfer between engines")
    refused(graph, plan.replace(transfers=(there.replace(to_engine=2), back)), "no such engine")
    after = (End(step=3),)
    text = "not an earlier step of another engine"
    refused(graph, plan.replace(steps=(first, left.replace(after=after), right, join)), text)


def test_what_cannot_be_planned_or_built() -> None:
    graph, plan = a_fork()
    names = [operator.name for operator in graph.operators]
    pair = PAIRS["overlapped"]
    with pytest.raises(ConfigError, match="is on no engine; what works: one of 0"):
        plan_on(graph, ENDLESS, pair, dict.fromkeys(names, 2))
    with pytest.raises(ConfigError, match="engine 1 has no operator; what works: leave it out"):
        plan_on(graph, ENDLESS, pair, dict.fromkeys(names, 0))
    numbers = dict(zip(names, (0, 0, 1, 0), strict=True))
    with pytest.raises(ConfigError, match="words cannot move between engines of 4 and 8 lanes"):
        plan_on(graph, ENDLESS, (engine(4, 4), engine(8, 4)), numbers)
    with pytest.raises(ConfigError, match="a design has one engine, and this plan has 2"):
        verilog_text(plan)
    with pytest.raises(PlanFault, match="engines is 2 engines: designs are built with one engine"):
        check_edited(graph, ENDLESS, plan)
