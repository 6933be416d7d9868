"""MatMul of more than one row: a 1x1 convolution whose channels are the last dimension."""

from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model


def layer(net: Net, x: str, size: tuple[int, int], bias: bool = False) -> str:
    rng = np.random.default_rng(size[1])
    codes = net.constant(rng.integers(-127, 128, size), "int8")
    scales = rng.uniform(0.004, 0.013, size[1])
    y = net.node("MatMul", x, net.dq(codes, scales, np.zeros(size[1]), axis=1))
    if bias:
        y = net.node("Add", y, net.constant(rng.uniform(-2, 2, size[1]), "float32"))
    return net.dq(net.q(y, 0.0713, 3), 0.0713, 3)


def compared(net: Net, folder: Path, shape: tuple[int, ...]) -> Graph:
    path = net.save(folder)
    x = np.random.default_rng(0).integers(-128, 128, (5, *shape)).astype(np.int8)
    graph = import_model(path)
    (got,) = reference_model(graph, {"x": x}).values()
    (wanted,) = run_onnx(path, {"x": x})
    np.testing.assert_array_equal(got, wanted)
    return graph


@pytest.mark.parametrize("end", ["", "flat", "sum", "mean"])
@pytest.mark.parametrize("rows", [(4,), (1,), (3, 4), (1, 4), (4, 1)], ids=str)
def test_rows(tmp_path: Path, rows: tuple[int, ...], end: str) -> None:
    """Two layers in a row, the order of the rows kept; then what reads such a result."""
    net = Net()
    x = net.dq(net.input("x", [1, *rows, 6]), 0.05, 3)
    y = layer(net, layer(net, x, (6, 5), bias=True), (5, 7))
    match end:
        case "flat":
            y = net.node("Reshape", y, net.constant([1, 7 * int(np.prod(rows))], "int64"))
            y = layer(net, y, (7 * int(np.prod(rows)), 3))
        case "sum":
            y = net.node("Add", y, layer(net, y, (7, 7)))
            y = net.dq(net.q(y, 0.0911, 1), 0.0911, 1)
        case "mean":
            y = net.node("ReduceMean", y, axes=list(range(1, len(rows) + 1)), keepdims=0)
            y = net.dq(net.q(y, 0.0437, -1), 0.0437, -1)
    net.output(y, {"flat": 2, "mean": 2}.get(end, len(rows) + 2), "float32")
    graph = compared(net, tmp_path, (*rows, 6))
    n_convs = {"flat": 3, "sum": 3}.get(end, 2)
    assert [op.type for op in graph.operators].count("Conv") == n_convs
    assert graph.macs >= int(np.prod(rows)) * (6 * 5 + 5 * 7)


def test_of_an_image_in_nhwc(tmp_path: Path) -> None:
    """A dense layer over the channels of a convolution's image, and back."""
    net = Net()
    x = net.dq(net.input("x", [1, 6, 4, 3]), 0.05, 3)
    y = layer(net, net.node("Transpose", x, perm=[0, 2, 3, 1]), (6, 5))
    net.output(net.node("Transpose", y, perm=[0, 3, 1, 2]), 4, "float32")
    assert [op.type for op in compared(net, tmp_path, (6, 4, 3)).operators] == ["Conv"]


REFUSED = {
    "sizes": (
        (7, 5),
        "node 'matmul4' (MatMul): input of shape [1, 4, 6] and weights of shape [7, 5] do not fit "
        "together; the input's last dimension times one matrix is supported",
    ),
    "many matrices": (
        (4, 6, 5),
        "node 'matmul4' (MatMul): input of shape [1, 4, 6] and weights of shape [4, 6, 5] do not "
        "fit together; the input's last dimension times one matrix is supported",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    size, text = REFUSED[name]
    net = Net()
    x = net.dq(net.q(net.input("x", [1, 4, 6], "float32"), 0.05, 3), 0.05, 3)
    weight = net.dq(net.constant(np.ones(size), "int8"), 0.01, 0)
    y = net.node("MatMul", x, weight)
    net.nodes[-1].name = "matmul4"
    net.output(net.q(y, 0.1, 0), 3)
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == text


def test_of_another_dimension_than_the_channels(tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", [1, 3, 4, 6]), 0.05, 3)
    weight = net.dq(net.constant(np.ones((5, 3, 1, 1)), "int8"), 0.01, 0)
    y = net.dq(net.q(net.node("Conv", x, weight), 0.1, 0), 0.1, 0)
    net.output(layer(net, y, (6, 5)), 4, "float32")
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value).endswith(
        " (MatMul): multiplies the last dimension of [1, 5, 4, 6], which are not the channels of "
        "the result of node 'conv2'; supported are the model's inputs, results of MatMul and "
        "images in NHWC: use a convolution with channels in front"
    )
