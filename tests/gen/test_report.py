"""The report's figures: of one plan, and of steps that run side by side."""

import json

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, engine
from weft.gen.report import prediction
from weft.machine import timing
from weft.machine.plan import Plan
from weft.mapper.build import build
from weft.mapper.resources import predict_for
from weft.nn.ir.note import Note, NoteKind
from weft.nn.ir.window import Window


@pytest.fixture(scope="module")
def made() -> Plan:
    """A convolution, a depthwise one beside it, and another convolution."""
    net = Layers(rng=np.random.default_rng(0), wide_weights=False)
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    first = net.conv(net.input((4, 6, 6)), 4, 1, same)
    graph = net.graph("pair", [net.conv(net.conv(first, 4, 4, same), 4, 1, same)])
    return build(
        graph.replace(macs=36 * 36 * 9, notes=(Note(kind=NoteKind.APPROXIMATION, text="rounded"),)),
        ENDLESS,
        engine(4, 4, 4, 4),
        0,
    )


def test_steps_of_the_report(made: Plan) -> None:
    found = prediction(made)
    rows = found["steps"]
    columns = "name operator unit begin end cycles loads floor utilisation bound"
    assert [list(row) for row in rows] == [columns.split()] * 3
    assert [(row["name"], row["unit"]) for row in rows] == [
        ("conv0", "array"),
        ("conv1", "vector"),
        ("conv2", "array"),
    ]
    assert [row["floor"] for row in rows] == [324, 324, 324]
    for row, times in zip(rows, timing.plan_timings(made), strict=True):
        assert (row["begin"], row["end"]) == (times.begin, times.end)
        assert row["utilisation"] == round(324 / (times.end - times.begin), 4)
        assert row["loads"] == 0
    assert rows[1]["begin"] < rows[0]["end"]
    # What a step adds: the later end counts, so that the sum is the whole.
    assert rows[0]["cycles"] == rows[0]["end"]
    assert rows[1]["cycles"] == rows[1]["end"] - rows[0]["end"] < rows[1]["floor"]
    assert sum(row["cycles"] for row in rows) == found["cycles"] == timing.cycles(made)


def test_figures_of_the_report(made: Plan) -> None:
    found = prediction(made)
    needs = predict_for(made.target, made.engine)
    assert {name: found[name] for name in ("lut", "ff", "dsp", "bram")} == {
        "lut": needs.lut,
        "ff": needs.ff,
        "dsp": needs.dsp,
        "bram": needs.bram,
    }
    assert (found["macs"], found["multipliers"]) == (36 * 36 * 9, 16)
    assert found["mac_utilisation"] == round(36 * 36 * 9 / (16 * found["cycles"]), 4)
    # Four tensors of 36 words in alternating banks; the last step reads beside what it writes.
    assert found["act_words"] == found["act_words_live"] == [72, 72]
    assert found["notes"] == ["rounded"]
    assert json.loads(json.dumps(found)) == found


def test_a_step_that_ends_before_the_one_beside_it_adds_nothing(made: Plan) -> None:
    """Not a negative number: the last step here is done at once."""
    first, second, third = made.steps
    short = second.replace(after=(), loops=second.loops.replace(rows=1))
    long = first.replace(loops=first.loops.replace(kernel_rows=50))
    alone = made.replace(steps=(long, short.replace(after=second.after), third))
    rows = prediction(alone)["steps"]
    assert rows[1]["end"] < rows[0]["end"]
    assert rows[1]["cycles"] == 0
    assert sum(row["cycles"] for row in rows) == timing.cycles(alone)
