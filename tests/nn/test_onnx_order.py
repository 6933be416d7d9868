"""The nodes of a file in running order."""

import numpy as np
import onnx
import pytest
from onnx import helper

from weft.errors import ModelError
from weft.nn.onnx.model import _order


def in_turns(nodes: list[onnx.NodeProto], ready: set[str]) -> list[onnx.NodeProto]:
    """One turn over the file after the other, each taking what can run by then."""
    waiting, ordered = nodes, []
    while waiting:
        later = []
        for node in waiting:
            if ready.issuperset(node.input):
                ordered.append(node)
                ready = ready | set(node.output)
            else:
                later.append(node)
        waiting = later
    return ordered


def random_nodes(seed: int) -> list[onnx.NodeProto]:
    """Nodes that read the model's input, an optional one left out, or results of others."""
    rng = np.random.default_rng(seed)
    nodes = []
    for i in range(int(rng.integers(1, 40))):
        names = ["x", "", *(f"t{j}" for j in range(i))]
        inputs = [str(name) for name in rng.choice(names, int(rng.integers(0, 4)))]
        nodes.append(helper.make_node("Add", inputs, [f"t{i}", ""], f"n{i}"))
    return [nodes[i] for i in rng.permutation(len(nodes))]


@pytest.mark.parametrize("seed", range(50))
def test_order_is_that_of_turns_over_the_file(seed: int) -> None:
    nodes = random_nodes(seed)
    found = [node.name for node in _order(nodes, {"x", ""})]
    assert found == [node.name for node in in_turns(nodes, {"x", ""})]


def test_what_waits_for_a_cycle_is_not_blamed_for_it() -> None:
    edges = [("b", "c"), ("a", "b"), ("b", "a")]
    nodes = [helper.make_node("Relu", [x], [y], f"n{y}") for x, y in edges]
    with pytest.raises(ModelError) as caught:
        _order(nodes, {"x", ""})
    assert str(caught.value) == "node 'nb' (Relu) is part of a cycle: it needs its own result"
