"""What is checked after quantisation: every kind of loss is found, and named after its tensor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.quantise import static
from weft.nn.quantise.insert import Insertion
from weft.nn.quantise.scales import Scale

Spoil = Callable[[Insertion, onnx.GraphProto], None]


def network(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Conv, Relu, Conv, MaxPool, Gemm; the first Conv's result is an output, too."""
    rng, net = np.random.default_rng(3), Net()

    def weights(*shape: int, size: float = 1) -> str:
        return net.constant(rng.normal(0, size, shape), "float32")

    x = net.input("image", ("n", 3, 8, 8), "float32")
    first = net.node("Conv", x, weights(4, 3, 3, 3), weights(4))
    second = net.node("Conv", net.node("Relu", first), weights(4, 4, 3, 3), weights(4))
    pooled = net.node("Flatten", net.node("MaxPool", second, kernel_shape=[2, 2]))
    net.output(
        net.node("Gemm", pooled, weights(36, 5), weights(5, size=200), beta=2.0), 2, "float32"
    )
    net.output(first, 4, "float32")
    return net.save(folder), {"image": rng.normal(0, 1, (9, 3, 8, 8)).astype(np.float32)}


def node(graph: onnx.GraphProto, op: str, index: int = 0) -> onnx.NodeProto:
    return [item for item in graph.node if item.op_type == op][index]


def set_constant(graph: onnx.GraphProto, name: str, change: Callable) -> None:
    item = next(item for item in graph.initializer if item.name == name)
    item.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(item)), name))


def codes_of(graph: onnx.GraphProto, name: str) -> str:
    """The constant behind the DequantizeLinear that writes a tensor."""
    return next(item.input[0] for item in graph.node if name in item.output)


def no_relu(insertion: Insertion, graph: onnx.GraphProto) -> None:
    """Identity would be no fault: the codes hold nothing below 0."""
    node(graph, "Relu").op_type = "Abs"


def clamped_output(insertion: Insertion, graph: onnx.GraphProto) -> None:
    """The scale of the Conv's result holds the Relu's values only."""
    first = next(
        item
        for item in graph.node
        if item.op_type == "QuantizeLinear" and item.input[0] == node(graph, "Conv").output[0]
    )
    set_constant(graph, first.input[2], lambda zero: np.full_like(zero, -128))


def no_bias(insertion: Insertion, graph: onnx.GraphProto) -> None:
    del node(graph, "Gemm").input[2:]


def half_bias(insertion: Insertion, graph: onnx.GraphProto) -> None:
    set_constant(graph, codes_of(graph, node(graph, "Gemm").input[2]), lambda codes: codes // 2)


def other_weights(insertion: Insertion, graph: onnx.GraphProto) -> None:
    name = codes_of(graph, node(graph, "Conv", 1).input[1])
    set_constant(graph, name, lambda codes: np.ascontiguousarray(codes[::-1]))


def other_kernel(insertion: Insertion, graph: onnx.GraphProto) -> None:
    node(graph, "MaxPool").op_type = "AveragePool"


def other_tensor(insertion: Insertion, graph: onnx.GraphProto) -> None:
    """The second Conv reads what the Relu should have clamped."""
    node(graph, "Conv", 1).input[0] = node(graph, "Relu").input[0]


SPOILS: list[tuple[Spoil, str]] = [
    (no_relu, "relu1"),
    (clamped_output, "conv0"),
    (no_bias, "gemm5"),
    (half_bias, "gemm5"),
    (other_weights, "conv2"),
    (other_kernel, "maxpool3"),
    (other_tensor, "conv2"),
]


@pytest.mark.parametrize(("spoil", "tensor"), SPOILS, ids=[s.__name__ for s, _ in SPOILS])
@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_what_is_lost_is_found(
    spoil: Spoil, tensor: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs = network(tmp_path)
    names = {item.op_type: item for item in onnx.load(model).graph.node}
    assert set(names) == {"Conv", "Relu", "MaxPool", "Flatten", "Gemm"}
    whole = Insertion.run

    def run(insertion: Insertion) -> None:
        whole(insertion)
        spoil(insertion, insertion.network.graph)

    monkeypatch.setattr(Insertion, "run", run)
    with pytest.raises(ModelError) as error:
        static.quantise(model, inputs, tmp_path / "int8.onnx", method)
    start, end = (
        f"{model}: tensor {tensor!r} of node {tensor!r} would be off by ",
        (": quantise it with another tool and give weft the quantised file"),
    )
    assert str(error.value).startswith(start)
    assert str(error.value).endswith(end)
    assert " after quantisation, where 8 bits explain " in str(error.value)
    assert not (tmp_path / "int8.onnx").exists()


def test_ranges_too_narrow_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that holds half of what the samples reach."""
    model, inputs = network(tmp_path)
    whole = static.activation_scale

    def narrow(low: float, high: float) -> Scale:
        return whole(low / 2, high / 2)

    monkeypatch.setattr(static, "activation_scale", narrow)
    with pytest.raises(ModelError) as error:
        static.quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    assert "8 bits explain" in str(error.value)


def test_the_constants_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before quantisation, too: a Gemm whose beta is forgotten when it is folded."""
    model, inputs = network(tmp_path)
    monkeypatch.setattr(static, "gemms_folded", _forgets_beta)
    with pytest.raises(ModelError) as error:
        static.quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    assert f"{model}: tensor 'gemm5' of node 'gemm5' would be off by " in str(error.value)


def _forgets_beta(proto: onnx.ModelProto) -> onnx.ModelProto:
    gemm = node(proto.graph, "Gemm")
    gemm.attribute.remove(next(item for item in gemm.attribute if item.name == "beta"))
    return proto
