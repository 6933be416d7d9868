"""Graph and plan as JSON and back."""

import json

import numpy as np
import pytest

from tests.mapper.support import ENDLESS, conv_graph
from tests.mapper.test_lower import dag
from weft.engines.kinds import read_plan
from weft.machine.engine import Style, Styles, Unit
from weft.machine.plan import Loops
from weft.mapper.search import plan
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import Scaling
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window


def through_text(data: dict) -> dict:
    return json.loads(json.dumps(data))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return conv_graph((3, 5, 5), 4, Window(kernel=(3, 3)))


@pytest.mark.parametrize("seed", range(8))
def test_graph_round_trip(seed: int) -> None:
    graph = dag(seed)
    assert Graph.from_json(through_text(graph.to_json())) == graph


@pytest.mark.parametrize("seed", range(3))
def test_plan_round_trip(seed: int) -> None:
    made = plan(dag(seed), ENDLESS, lanes=4, columns=4)
    back = read_plan(through_text(made.to_json()))
    assert back == made
    assert back.to_json() == made.to_json()
    assert isinstance(back.steps[0].unit, Unit)
    assert back.images[0].weights.dtype == np.int16


def test_optional_and_nested_values(graph: Graph) -> None:
    """A fold is there for the input and not for the output."""
    made = plan(graph, ENDLESS, lanes=16, columns=4)
    assert made.inputs.ports[0].fold is not None
    assert made.outputs.ports[0].fold is None
    assert read_plan(through_text(made.to_json())) == made


def test_equality_sees_every_change(graph: Graph) -> None:
    made = plan(graph, ENDLESS, lanes=4, columns=4)
    weights = made.images[0].weights.copy()
    weights[0, 0, 0] += 1
    step = made.steps[0]
    for other in (
        made.replace(network="other"),
        made.replace(steps=()),
        made.replace(steps=(step.replace(unit=Unit.VECTOR),)),
        made.replace(images=(made.images[0].replace(weights=weights),)),
        made.replace(
            images=(made.images[0].replace(weights=made.images[0].weights.astype(np.int32)),)
        ),
        made.replace(target=made.target.replace(clock_hz=1.0)),
    ):
        assert other != made
    assert made != graph
    assert made == made.replace()


def test_arrays_cannot_change(graph: Graph) -> None:
    given = np.array([1 << 23])
    scaling = Scaling(mantissa=given, shift=np.array([23]))
    given[0] = 0
    assert scaling.mantissa.tolist() == [1 << 23]
    with pytest.raises(ValueError, match="read-only"):
        scaling.mantissa[0] = 0
    back = Graph.from_json(through_text(graph.to_json()))
    with pytest.raises(ValueError, match="read-only"):
        back.operators[0].weight[0] = 0  # type: ignore[union-attr]


def test_from_json_refuses_other_data() -> None:
    data = Tensor(name="x", shape=(1, 2, 3), scale=0.1, zero_point=0).to_json()
    with pytest.raises(ValueError, match="Tensor has no field 'colour'"):
        Tensor.from_json({**data, "colour": 1})
    with pytest.raises(ValueError, match="scale is missing"):
        Tensor.from_json({k: v for k, v in data.items() if k != "scale"})
    with pytest.raises(ValueError, match=r"shape must be a list of 3, not \[1, 2\]"):
        Tensor.from_json({**data, "shape": [1, 2]})
    with pytest.raises(ValueError, match="zero point 128 is not int8"):
        Tensor.from_json({**data, "zero_point": 128})


def test_enums_are_words() -> None:
    loops = Loops(rows=1, cols=2, tiles=3, kernel_rows=1, kernel_cols=1, words=1, hold=0, lead=2)
    assert Loops.from_json(loops.to_json()) == loops
    with pytest.raises(ValueError, match=r"vector must be one of 'dsp', .*, not 'vacuum'"):
        Styles.from_json({**Styles().to_json(), "vector": "vacuum"})
    assert Style("packed") is Style.PACKED
