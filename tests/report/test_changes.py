"""Alternatives: their figures are those of plans that are really made."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.report.support import SIZES, planned
from weft.machine import timing
from weft.mapper.search import plan
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.window import Window
from weft.report.changes import FASTER, SMALLER, changes, with_clock
from weft.report.rewrites import rewrites, without_gates


@pytest.fixture(scope="module")
def found() -> dict:
    return changes(planned(), SIZES)


def test_an_alternative_is_a_plan(found: dict) -> None:
    build = planned()
    free = next(row for row in found["rows"] if "no size is pinned" in row["change"])
    made = plan(build.graph, build.plan.target)
    assert free["cycles"] == timing.cycles(made)
    base = timing.cycles(build.plan)
    assert free["gain"] == round(1 - free["cycles"] / base, 4)
    assert free["command"] == "weft compile MODEL --board ulx3s-25f -o BUILD"
    twice = next(row for row in found["rows"] if row["change"].startswith("columns: 8"))
    words = "--lanes 4 --columns 8 --requant-lanes 2"
    assert twice["command"] == f"weft compile MODEL --board ulx3s-25f -o BUILD {words}"
    again = plan(build.graph, build.plan.target, lanes=4, columns=8, requant_lanes=2)
    assert twice["cycles"] == timing.cycles(again)
    assert twice["fits"]


def test_ranking(found: dict) -> None:
    rows = found["rows"]
    aims = [row["aim"] for row in rows]
    assert aims == sorted(aims, key=[FASTER, SMALLER].index)
    gains = [row["gain"] for row in rows if row["aim"] == FASTER]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0
    for row in rows:
        assert row["fits"] == (row["remark"] == "") == (row["fullest"] <= 1)


def test_boards(found: dict) -> None:
    boards = {row["board"]: row for row in found["boards"]}
    assert "ulx3s-25f" not in boards
    assert boards["ulx3s-85f"]["fits"]
    assert boards["ulx3s-85f"]["cycles"] == 1444
    times = [row["microseconds"] for row in found["boards"]]
    assert times == sorted(times)


def test_no_time_is_said(found: dict) -> None:
    assert found["untried"] == 0
    quick = changes(planned(), SIZES, quick=True)
    assert quick["boards"] == []
    late = changes(planned(), SIZES, seconds=-1)
    assert (late["rows"], late["boards"]) == ([], [])
    assert late["untried"] > 10


def test_a_faster_clock() -> None:
    rows = with_clock([], {"clock_mhz": 50.0, "fmax_mhz": 100.0})
    assert [(row["gain"], row["command"]) for row in rows] == [
        (round(1 - 50 / 95, 4), "weft synth BUILD --clock 95")
    ]
    assert with_clock(rows, {"clock_mhz": 95.0, "fmax_mhz": 100.0}) == []
    assert with_clock(rows, {}) == []


def test_gates_are_left_out() -> None:
    """x times what is computed from x, as HardSwish is; what other tensors gate stays."""
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    point = Window(kernel=(1, 1))
    first = net.conv(net.input((4, 4, 4)), 4, 1, point)
    product = net.mul(first, net.rescale(first))
    graph = net.graph("gated", [net.conv(product, 4, 1, point)])
    plain = without_gates(graph)
    assert [type(op) for op in plain.operators] == [Conv, Conv]
    assert plain.operators[1].inputs == (plain.operators[0].output,)
    assert [item.kind for item in rewrites(graph)] == ["activation"]
    other = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = other.input((4, 4, 4))
    both = other.mul(other.conv(source, 4, 1, point), other.conv(source, 4, 1, point))
    kept = other.graph("product", [other.conv(both, 4, 1, point)])
    assert without_gates(kept) is kept
    assert any(isinstance(op, Mul) for op in kept.operators)


def test_weights_are_narrowed() -> None:
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    graph = net.graph("narrow", [net.conv(net.input((4, 4, 4)), 4, 1, Window(kernel=(1, 1)))])
    (conv,) = graph.operators
    assert isinstance(conv, Conv)
    weight = conv.weight.copy()
    weight[0, 0, 0, 0] = -128
    (item,) = rewrites(graph.replace(operators=(conv.replace(weight=weight),)))
    assert item.change == "weights quantised to -127..127: two products share a multiplier"
    weight[0, 0, 0, 0] = -200
    (item,) = rewrites(graph.replace(operators=(conv.replace(weight=weight),)))
    assert item.change == "weights quantised with zero point 0, to -127..127"
