"""Every pass keeps what the network computes."""

import numpy as np
import pytest

from weft.errors import ModelError
from weft.nn.ir.checker import check
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.host_steps import ReshapeStep
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window
from weft.nn.passes.pipeline import PASSES, run_passes


def tensor(name: str, *shape: int, scale: float = 0.5) -> Tensor:
    channels, height, width = shape
    return Tensor(name=name, shape=(channels, height, width), scale=scale, zero_point=3)


def reshape(output: str, source: str) -> Reshape:
    return Reshape(name=f"to_{output}", output=output, input=source)


def rescale(output: str, source: str, factor: float = 0.5, low: int = -128) -> Rescale:
    return Rescale(
        name=f"to_{output}", output=output, input=source, scaling=scaling_of(factor), low=low
    )


def dense(output: str, source: str, size: tuple[int, int]) -> Conv:
    weight = np.random.default_rng(0).integers(-9, 10, (*size, 1, 1)).astype(np.int16)
    return Conv(
        name=f"to_{output}",
        output=output,
        input=source,
        weight=weight,
        bias=np.zeros(size[0], np.int64),
        scaling=scaling_of(0.03),
        window=Window(kernel=(1, 1)),
    )


def graph_of(tensors: list[Tensor], operators: list[Operator]) -> Graph:
    """From the first tensor to the last one; codes in and out."""
    first, last = tensors[0], tensors[-1]
    steps = (ReshapeStep(shape=first.shape),)
    size = int(np.prod(first.shape))
    source = HostEdge(name="in", tensor=first.name, shape=(size,), dtype="int8", steps=steps)
    steps = (ReshapeStep(shape=(int(np.prod(last.shape)),)),)
    size = int(np.prod(last.shape))
    target = HostEdge(name="out", tensor=last.name, shape=(size,), dtype="int8", steps=steps)
    return Graph(
        name="g",
        tensors=tuple(tensors),
        operators=tuple(operators),  # pyright: ignore[reportArgumentType]
        inputs=(source,),
        outputs=(target,),
    )


X, V, W = tensor("x", 2, 3, 4), tensor("v", 24, 1, 1), tensor("w", 4, 3, 2)
HALF = tensor("h", 2, 3, 4, scale=1.0)
HALF_V = tensor("hv", 24, 1, 1, scale=1.0)
Y = tensor("y", 5, 1, 1)

GRAPHS = {
    "identity rescale": (
        [X, tensor("a", 2, 3, 4), HALF],
        [rescale("a", "x", 1.0), rescale("h", "a")],
        ["Rescale"],
    ),
    "a slope stays": (
        [X, tensor("a", 2, 3, 4), HALF],
        [rescale("a", "x", 0.01), rescale("h", "a")],
        ["Rescale", "Rescale"],
    ),
    "a clamp stays": (
        [X, tensor("a", 2, 3, 4), HALF],
        [rescale("a", "x", 1.0, low=3), rescale("h", "a")],
        ["Rescale", "Rescale"],
    ),
    "behind the rescale": (
        [X, HALF, tensor("i", 2, 3, 4), tensor("iv", 24, 1, 1), HALF_V, Y],
        [
            rescale("h", "x"),
            rescale("i", "h"),
            reshape("iv", "i"),
            rescale("hv", "iv"),
            dense("y", "hv", (5, 24)),
        ],
        ["Rescale", "Rescale", "Rescale", "Conv"],
    ),
    "two reshapes": (
        [X, HALF, tensor("hw", 4, 3, 2, scale=1.0), HALF_V, Y],
        [rescale("h", "x"), reshape("hw", "h"), reshape("hv", "hw"), dense("y", "hv", (5, 24))],
        ["Rescale", "Conv"],
    ),
    "to the head": ([X, V, Y], [reshape("v", "x"), dense("y", "v", (5, 24))], ["Conv"]),
    "to the tail": ([X, HALF, HALF_V], [rescale("h", "x"), reshape("hv", "h")], ["Rescale"]),
    "dead": (
        [X, HALF, tensor("i", 2, 3, 4, scale=2.0)],
        [rescale("h", "x"), rescale("i", "x", 0.25)],
        ["Rescale"],
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_passes_keep_the_result(name: str) -> None:
    tensors, operators, kinds = GRAPHS[name]
    graph = graph_of(tensors, operators)
    codes = np.random.default_rng(1).integers(-128, 128, (7, 24)).astype(np.int8)
    wanted = reference_model(graph, {"in": codes})["out"]
    done = run_passes(graph)
    assert [operator.type for operator in done.operators] == kinds
    assert np.array_equal(reference_model(done, {"in": codes})["out"], wanted)


def test_each_pass_alone_keeps_the_result() -> None:
    tensors, operators, _ = GRAPHS["behind the rescale"]
    graph = graph_of(tensors, operators)
    codes = np.random.default_rng(1).integers(-128, 128, (7, 24)).astype(np.int8)
    wanted = reference_model(graph, {"in": codes})["out"]
    for step in PASSES:
        changed = step(graph)
        check(changed)
        assert np.array_equal(reference_model(changed, {"in": codes})["out"], wanted), step


def test_a_reshape_that_is_left_is_refused() -> None:
    graph = graph_of(
        [X, HALF, tensor("hw", 4, 3, 2, scale=1.0), tensor("y", 5, 3, 2)],
        [rescale("h", "x"), reshape("hw", "h"), dense("y", "hw", (5, 4))],
    )
    text = r"Reshape of the result of node 'to_h' from \[2, 3, 4\] to \[4, 3, 2\]"
    with pytest.raises(ModelError, match=text):
        run_passes(graph)


BROKEN = {
    "reads 'q' before it is written": [rescale("h", "q")],
    "shapes differ": [rescale("y", "x"), rescale("h", "x")],
    "clamp": [rescale("h", "x", low=200)],
    "operator name 'to_h' is not unique": [rescale("h", "x"), rescale("h", "x")],
    "keeps scale and zero point": [reshape("hv", "x"), rescale("h", "x")],
    "tensors nobody writes": [rescale("h", "x")],
}


@pytest.mark.parametrize("rule", BROKEN)
def test_checker(rule: str) -> None:
    tensors = [X, HALF]
    if rule in ("shapes differ", "keeps scale and zero point", "tensors nobody writes"):
        tensors = [X, Y, HALF_V, HALF]
    with pytest.raises(ValueError, match=rule):
        check(graph_of(tensors, BROKEN[rule]))


def test_an_output_in_the_reshaped_form_gets_a_host_step() -> None:
    graph = graph_of([X, HALF, HALF_V], [rescale("h", "x"), reshape("hv", "h")])
    edge = graph.outputs[0].replace(shape=(24, 1, 1), steps=())
    graph = graph.replace(outputs=(edge,))
    codes = np.random.default_rng(1).integers(-128, 128, (7, 24)).astype(np.int8)
    wanted = reference_model(graph, {"in": codes})["out"]
    done = run_passes(graph)
    assert [operator.type for operator in done.operators] == ["Rescale"]
    assert np.array_equal(reference_model(done, {"in": codes})["out"], wanted)
