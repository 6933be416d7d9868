"""What rewrites a network compares before and after, and refuses what is not the same."""

import numpy as np
import pytest

from tests.e2e.layers import Layers
from weft.errors import REPORT, InternalError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host_steps import ReshapeStep, SoftmaxStep
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window
from weft.nn.passes import pipeline, simplify
from weft.nn.passes.equivalence import MAX_SAMPLES, MIN_SAMPLES, probes, require_same, sample_count
from weft.nn.passes.rewriting import with_operators


def mean_of(channels: int, low: int = -128) -> Graph:
    """The mean of all channels, clamped at ``low``: far from the ends but for extreme inputs."""
    conv = Conv(
        name="mean", output="y", input="x", low=low,
        weight=np.ones((1, channels, 1, 1), np.int16), bias=np.zeros(1, np.int64),
        scaling=scaling_of(1 / channels), window=Window(kernel=(1, 1)),
    )  # fmt: skip
    tensors = [Tensor(name=n, shape=(c, 2, 2), scale=1.0, zero_point=0) for n, c in
               (("x", channels), ("y", 1))]  # fmt: skip
    edges = [HostEdge(name=t.name, tensor=t.name, shape=t.shape, dtype="int8", steps=())
             for t in tensors]  # fmt: skip
    return Graph(name="mean", tensors=tuple(tensors), operators=(conv,), inputs=(edges[0],),
                 outputs=(edges[1],))  # fmt: skip


def test_what_only_an_extreme_input_shows() -> None:
    graph = mean_of(512)
    require_same([("import", graph), ("nothing", graph)])
    with pytest.raises(InternalError) as raised:
        require_same([("import", graph), ("first", graph), ("second", mean_of(512, low=-127))])
    assert str(raised.value) == (
        "network 'mean': rewriting step second changes output 'y': -127 instead of -128 at "
        f"[0, 0, 0], 4 of 128 values in all; {REPORT}"
    )


def test_other_shapes_and_steps_of_an_output_are_differences() -> None:
    graph = mean_of(3)
    turned = graph.outputs[0].replace(steps=(ReshapeStep(shape=(4,)),))
    softmax = graph.outputs[0].replace(steps=(SoftmaxStep(axis=1),))
    for edge, found in (
        (turned, "output 'y': int8 [4] instead of int8 [1, 2, 2]"),
        (softmax, "output 'y': int8 [1, 2, 2] instead of int8 [1, 2, 2]"),
        (graph.outputs[0].replace(name="z"), "the names of the outputs"),
    ):
        changed = graph.replace(outputs=(edge,))
        with pytest.raises(InternalError) as raised:
            require_same([("import", graph), ("step", changed)])
        assert str(raised.value).startswith(f"network 'mean': rewriting step step changes {found}")


def test_every_kind_of_probe() -> None:
    codes = probes((2, 3, 3), MIN_SAMPLES + 3, np.random.default_rng(0))
    low, high, odd, corners, inner = codes[:5]
    assert (set(low.ravel()), set(high.ravel())) == ({-128}, {127})
    assert set((odd[:, :, 1:] != odd[:, :, :-1]).ravel()) == {True}
    assert (corners == 127).sum() == 8
    assert set(inner[:, ::2, ::2].ravel()) == {-128}
    assert len(np.unique(inner)) > 5
    assert set(codes[5].ravel()) == {-128, 127}
    assert len(np.unique(codes[6:])) > 20
    assert probes((1,), 2, np.random.default_rng(0)).shape == (2, 1)


def test_a_large_network_is_compared_on_fewer_inputs() -> None:
    assert sample_count(mean_of(3)) == MAX_SAMPLES
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    large = layers.conv(layers.input((64, 64, 64)), 64, 1, Window(kernel=(3, 3)))
    assert sample_count(layers.graph("large", [large])) == MIN_SAMPLES


def wrong_bias(graph: Graph) -> Graph:
    """A rewriting that is wrong."""
    operators = [
        op.replace(bias=np.full(op.bias.shape, 900)) if isinstance(op, Conv) else op
        for op in graph.operators
    ]
    return with_operators(graph, operators)


def test_a_wrong_simplification_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplify, "SIMPLIFICATIONS", (*simplify.SIMPLIFICATIONS, wrong_bias))
    with pytest.raises(InternalError, match="rewriting step wrong_bias changes output 'y'"):
        simplify.simplify(mean_of(3))


def test_a_wrong_pass_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PASSES", (wrong_bias, *pipeline.PASSES))
    with pytest.raises(InternalError, match="rewriting step wrong_bias changes output 'y'"):
        pipeline.run_passes(mean_of(3))
