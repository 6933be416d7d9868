"""What a plan says: parts that add up to the whole."""

import json

import numpy as np
import pytest

from tests.report.support import planned
from weft.machine import timing
from weft.nn.ir.ops.conv import Conv
from weft.report.analysis import analysis
from weft.report.cycles import PARTS, shared
from weft.report.traffic import PICOJOULES


@pytest.fixture(scope="module")
def found() -> dict:
    return analysis(planned())


def test_it_is_plain_json(found: dict) -> None:
    assert json.loads(json.dumps(found)) == found


def test_cycles_go_somewhere(found: dict) -> None:
    total = timing.cycles(planned().plan)
    assert sum(row["cycles"] for row in found["steps"]) == total
    for row in found["steps"]:
        assert sum(row["parts"].values()) == row["cycles"]
        assert set(row["parts"]) <= set(PARTS)
        assert row["begin"] <= row["issued"] < row["end"]
        assert 0 <= row["efficiency"] <= 1
    assert sum(row["cycles"] for row in found["bounds"]) == total
    cycles = [row["cycles"] for row in found["bounds"]]
    assert cycles == sorted(cycles, reverse=True)


def test_work_is_the_networks(found: dict) -> None:
    assert sum(row["macs"] for row in found["steps"]) == planned().graph.macs == 256_320
    assert found["traffic"]["macs"] == 256_320
    assert found["traffic"]["multiplier_slots"] >= 256_320
    mix = next(row for row in found["steps"] if row["name"] == "mix")
    assert mix["macs"] == 147_456
    assert mix["macs_per_cycle"] == round(147_456 / (mix["end"] - mix["begin"]), 2)


def test_buffers_never_overlap(found: dict) -> None:
    rows, depth = found["buffers"], planned().plan.engine.memories.act
    for i, a in enumerate(rows):
        assert a["offset"] + a["words"] <= depth[a["bank"]]
        assert a["bytes"] == 4 * a["words"]
        for b in rows[:i]:
            apart = (
                a["offset"] + a["words"] <= b["offset"] or b["offset"] + b["words"] <= a["offset"]
            )
            later = a["begin"] >= b["end"] or b["begin"] >= a["end"]
            assert a["bank"] != b["bank"] or apart or later
    assert rows[0]["begin"] == 0
    assert max(row["end"] for row in rows) == timing.cycles(planned().plan)


def test_weights(found: dict) -> None:
    convs = [op for op in planned().graph.operators if isinstance(op, Conv)]
    assert [row["layer"] for row in found["weights"]] == [op.name for op in convs]
    for row, conv in zip(found["weights"], convs, strict=True):
        low, high = -(1 << (row["bits"] - 1)), (1 << (row["bits"] - 1)) - 1
        assert low <= conv.weight.min()
        assert conv.weight.max() <= high
        assert conv.weight.min() < low // 2 or conv.weight.max() > high // 2
        assert row["zeros"] == int(np.sum(conv.weight == 0))


def test_energy_is_count_times_assumption(found: dict) -> None:
    energy = found["energy"]
    assert {row["access"]: row["picojoules"] for row in energy["rows"]} == PICOJOULES
    for row in energy["rows"]:
        assert row["nanojoules"] == round(row["count"] * row["picojoules"] / 1000, 3)
    assert energy["nanojoules"] == pytest.approx(sum(row["nanojoules"] for row in energy["rows"]))


def test_the_drawing_runs_downwards(found: dict) -> None:
    nodes, edges = found["drawing"]["nodes"], found["drawing"]["edges"]
    assert [node["operator"] for node in (nodes[0], nodes[-1])] == ["input", "output"]
    for edge in edges:
        assert nodes[edge["from"]]["layer"] < nodes[edge["to"]]["layer"]
    places = [(node["layer"], node["column"]) for node in nodes]
    assert len(set(places)) == len(places)
    into = [edge for edge in edges if nodes[edge["to"]]["name"] == "residual"]
    assert {nodes[edge["from"]]["name"] for edge in into} == {"stem", "pointwise"}
    assert sum(node["cycles"] for node in nodes) == timing.cycles(planned().plan)


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [(10, [1, 1, 2], [2, 3, 5]), (7, [0, 0], [0, 7]), (5, [3, 0, 3], [2, 0, 3]), (0, [4], [0])],
)
def test_shared(total: int, weights: list[int], expected: list[int]) -> None:
    assert shared(total, weights) == expected
