"""Names that weft invents never meet those of the model, whatever those are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.nn.hostile_names import hostile, renaming
from tests.nn.qdq_builder import Net
from tests.nn.random_graphs import build, random_layers
from weft.nn.forms import tflite
from weft.nn.forms.tflite_file import read
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.names import Names
from weft.nn.onnx.importer import import_graph, import_model
from weft.nn.onnx.model import from_proto
from weft.nn.passes.equivalence import model_inputs
from weft.nn.passes.simplify import simplify

ModelFile = Callable[[str], Path]

DIGITS = (
    "qdq_s8_cnn", "qdq_u8_cnn", "qoperator_u8_cnn", "qonnx_w4a4_cnn", "qonnx_w1a1_mlp",
    "qcdq_w4a4_cnn", "pt2e_cnn", "tf2onnx_cnn", "qdq_unfused_batchnorm_cnn",
)  # fmt: skip


def test_new_names() -> None:
    names = Names(["x", "x_2", "y"])
    assert [names.new("x"), names.new("x"), names.new("z"), names.new("z")] == [
        "x_3", "x_4", "z", "z_2",
    ]  # fmt: skip
    assert [names.new(""), names.new("")] == ["_2", "_3"]


def test_held_names() -> None:
    names = Names(["x", "y", "y_2"])
    mine = names.new("x")
    assert [names.hold(name) for name in (mine, "x", "x", "y", "y", "y_2", "", "w")] == [
        "x_2", "x", "x_3", "y", "y_3", "y_2", "_2", "w",
    ]  # fmt: skip


def imported(model: onnx.ModelProto) -> Graph:
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    return import_graph(from_proto(copy))


def assert_same_but_for_names(plain: Graph, other: Graph) -> None:
    """The same operators, which compute the same; simplified, too."""
    assert [op.type for op in other.operators] == [op.type for op in plain.operators]
    for names in ([op.name for op in other.operators], [t.name for t in other.tensors]):
        assert len(names) == len(set(names))
    arrays = model_inputs(plain, 3, np.random.default_rng(0))
    pairs = zip(plain.inputs, other.inputs, strict=True)
    given = {new.name: arrays[old.name] for old, new in pairs}
    wanted = reference_model(plain, arrays).values()
    for graph in (other, simplify(other)):
        found = reference_model(graph, {edge.name: given[edge.name] for edge in graph.inputs})
        assert list(found) == [edge.name for edge in other.outputs]
        for a, b in zip(wanted, found.values(), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("first", range(0, 60, 30))
def test_random_graphs_with_hostile_names(first: int) -> None:
    for seed in range(first, first + 30):
        model, _ = build(*random_layers(seed))
        assert_same_but_for_names(imported(model), imported(hostile(model, seed)))


@pytest.mark.parametrize("name", DIGITS)
def test_each_form_with_hostile_names(model_file: ModelFile, name: str) -> None:
    model = onnx.load(model_file(f"digits/{name}.onnx"))
    plain = imported(model)
    for seed in range(2):
        assert_same_but_for_names(plain, imported(hostile(model, seed)))


@pytest.mark.parametrize("name", ["ad", "kws"])
def test_tflite_with_hostile_names(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = model_file(f"mlperf_tiny/{name}.tflite")
    model, plain = read(path), import_model(path, simplify=False)
    own = {tensor.name for tensor in model.tensors}
    others = {item.name for item in (*plain.tensors, *plain.operators)} | {
        value for node in tflite.load(path).nodes for value in node.outputs
    }
    for seed in range(3):
        rng = np.random.default_rng(seed)
        new, _ = renaming(own, sorted(others - own), rng)
        tensors = [replace(tensor, name=new[tensor.name]) for tensor in model.tensors]
        for place in rng.integers(0, len(tensors), 4):  # a file may have names twice, or none
            tensors[place] = replace(tensors[place], name=str(rng.choice(["", "twice"])))
        operators = [replace(op, name=tensors[op.outputs[0]].name) for op in model.operators]
        changed = replace(model, tensors=tuple(tensors), operators=tuple(operators))
        monkeypatch.setattr(tflite, "read", lambda _, changed=changed: changed)
        assert_same_but_for_names(plain, import_model(path, simplify=False))


def test_case_g_codes() -> None:
    """A Gather's output ``g`` makes a tensor ``g_codes``; the model has one, too."""
    net = Net()
    x = net.dq(net.input("x", ("n", 4, 3, 3)), 0.1, 0)
    net.nodes.append(onnx.helper.make_node("QuantizeLinear", [x, *steps(net)], ["g_codes"]))
    net.nodes.append(onnx.helper.make_node("Relu", ["g_codes_real"], ["r"]))
    net.nodes.append(
        onnx.helper.make_node("DequantizeLinear", ["g_codes", *steps(net)], ["g_codes_real"])
    )
    index = net.constant([0, 2], "int64")
    net.nodes.append(onnx.helper.make_node("Gather", [x, index], ["g"], axis=1))
    net.output(net.q("r", 0.2, 0), 4)
    net.output(net.q("g", 0.1, 0), 4)
    graph = imported(net.model())
    codes = np.random.default_rng(0).integers(-128, 128, (2, 4, 3, 3)).astype(np.int8)
    relu, gathered = reference_model(graph, {"x": codes}).values()
    assert np.array_equal(gathered, codes[:, [0, 2]])
    assert relu.shape == codes.shape


def steps(net: Net) -> tuple[str, str]:
    return net.constant(0.2, "float32"), net.constant(0, "int8")


def test_codes_read_at_two_scales() -> None:
    """One int8 input behind two DequantizeLinear: two tensors, and neither takes x_codes."""
    net = Net()
    x = net.input("x", ("n", 2, 3, 3))
    a, b = net.node("Relu", net.dq(x, 0.1, 0)), net.node("Relu", net.dq(x, 0.2, 5))
    net.nodes.append(onnx.helper.make_node("QuantizeLinear", [a, *steps(net)], ["x_codes"]))
    net.output("x_codes", 4)
    net.output(net.q(b, 0.2, 5), 4)
    graph = imported(net.model())
    assert [edge.tensor for edge in graph.inputs] == ["x_codes_2", "x_codes_3"]
    codes = np.arange(-9, 9, dtype=np.int8).reshape(1, 2, 3, 3)
    first, second = reference_model(graph, {"x": codes}).values()
    assert np.array_equal(first, np.rint(np.maximum(codes, 0) / 2).astype(np.int8))
    assert np.array_equal(second, np.maximum(codes, 5))


def test_a_real_result_that_is_read_twice_is_computed_once() -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 4)), 0.1, 0)
    weight = net.dq(net.constant(np.ones((4, 3)), "int8"), 0.5, 0)
    y = net.node("MatMul", x, weight)
    net.outputs.append(onnx.helper.make_tensor_value_info(y, 1, ["n", 3]))
    best = net.node("ArgMax", y, axis=1)
    net.outputs.append(onnx.helper.make_tensor_value_info(best, 7, ["n", 1]))
    assert [op.type for op in imported(net.model()).operators] == ["Conv"]
