"""Networks of each form with parts exchanged or damaged: a ModelError, or a graph that runs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.nn.forms.test_qonnx import Quantised
from tests.nn.forms.test_qoperator import random_chain
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

NUMBERS = (-1, 0, 1, 2, 100)


def qonnx_net() -> onnx.ModelProto:
    net = Quantised()
    x = net.quant(net.input("x", (1, 3, 4, 4), "float32"), 2.0**-7, 8)
    y = net.node("Conv", x, net.weight((4, 3, 3, 3), 4), pads=[1, 1, 1, 1])
    y = net.quant(net.node("Relu", net.batch_norm(y, 4, 0)), 0.2, 4, signed=0)
    y = net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.bipolar(net.node("Conv", y, net.weight((4, 4, 1, 1), 3)))
    flat = net.node("Flatten", y)
    net.output(net.node("Gemm", flat, net.weight((3, 16), 4), transB=1), 2, "float32")
    return net.model()


MODELS = {"qonnx": qonnx_net, "qoperator": lambda: random_chain(3).net.model()}


def damage(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """One input exchanged, one attribute or one constant changed, one operator replaced."""
    graph = model.graph
    node = graph.node[rng.integers(len(graph.node))]
    names = [name for item in graph.node for name in (*item.input, *item.output)]
    match rng.integers(5):
        case 0 if node.input:
            node.input[rng.integers(len(node.input))] = str(rng.choice([*names, ""]))
        case 1:
            other = graph.node[rng.integers(len(graph.node))]
            node.op_type, node.domain = other.op_type, other.domain
        case 2 if node.attribute:
            attribute = node.attribute[rng.integers(len(node.attribute))]
            attribute.i, attribute.f = int(rng.choice(NUMBERS)), float(rng.choice(NUMBERS))
            if attribute.ints:
                attribute.ints[0] = int(rng.choice(NUMBERS))
        case 3 if node.input:
            del node.input[-1]
        case _:
            tensor = graph.initializer[rng.integers(len(graph.initializer))]
            array = numpy_helper.to_array(tensor).copy().reshape(-1)
            array[: max(1, array.size // 2)] = rng.choice([0, 1, 100])
            shape = tensor.dims if rng.random() < 0.5 else (-1,)
            tensor.CopyFrom(numpy_helper.from_array(array.reshape(shape), tensor.name))


@pytest.mark.parametrize("form", MODELS)
def test_no_other_exception(tmp_path: Path, form: str) -> None:
    whole, rng, refused = MODELS[form](), np.random.default_rng(0), 0
    path = tmp_path / "net.onnx"
    for _ in range(150):
        model = onnx.ModelProto()
        model.CopyFrom(whole)
        for _ in range(rng.integers(1, 3)):
            damage(model, rng)
        path.write_bytes(model.SerializeToString())
        try:
            graph = import_model(path, simplify=False)
        except ModelError:
            refused += 1
        else:
            zeros = {e.name: np.zeros((1, *e.shape), e.dtype) for e in graph.inputs}
            reference_model(graph, zeros)
    assert 50 < refused < 150
