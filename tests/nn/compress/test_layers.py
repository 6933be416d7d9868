"""Which layers are found, and models of other forms in standard form."""

from pathlib import Path

import numpy as np

from tests.nn.compress.networks import SHAPES, conv_net, line_net, made, matmul_net
from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.nn.compress.layers import find
from weft.nn.compress.patches import Sampler
from weft.nn.compress.runner import tensors
from weft.nn.compress.standard import standard
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model


def test_layers_of_each_kind(tmp_path: Path) -> None:
    found = {build: find(standard(made(build, tmp_path)[0])) for build in SHAPES}
    assert [
        (item.op, item.weight.shape, item.groups, item.transposed)
        for item in found[conv_net].layers
    ] == [
        ("Conv", (8, 4, 3, 3), 1, False),
        ("Conv", (6, 4, 3, 3), 2, False),
        ("Gemm", (8, 24, 1, 1), 1, False),
        ("Gemm", (5, 8, 1, 1), 1, True),
    ]
    first, second = found[matmul_net].layers
    assert (first.adder != "", second.adder) == (True, "")
    assert first.bias.any()
    assert not second.bias.any()
    (line,) = found[line_net].layers
    assert (line.weight.shape, line.one_dimensional) == ((8, 4, 1, 5), True)
    assert list(found[line_net].left.values()) == [
        "depthwise: the vector unit multiplies by 8 bits"
    ]


def test_rows_times_weights_are_the_layer(tmp_path: Path) -> None:
    for build in SHAPES:
        path, samples = made(build, tmp_path)
        model = standard(path)
        sampler = Sampler(model=model, inputs={"x": samples})
        for layer in find(model).layers:
            (rows,) = sampler.rows(model, [layer])
            parts = np.split(rows, layer.groups, axis=1)
            weights = np.split(layer.matrix, layer.groups)
            products = [part @ weight.T for part, weight in zip(parts, weights, strict=True)]
            own = np.concatenate(products, axis=1) + layer.bias
            name = next(
                node.output[0]
                for node in model.graph.node
                if node.name == (layer.adder or layer.name)
            )
            (found,) = tensors(model, {"x": samples}, [name])
            flat = np.moveaxis(found, 1, -1).reshape(-1, layer.outputs)
            assert rows.shape[0] == flat.shape[0]  # few enough that all places are taken
            assert np.allclose(own, flat, atol=1e-3)


def qoperator(folder: Path) -> tuple[Path, np.ndarray]:
    """A QLinearConv and a QGemm."""
    rng = np.random.default_rng(7)
    net = Net()
    numbers = {
        name: net.constant(value, kind)
        for name, value, kind in (
            ("s", 0.05, "float32"),
            ("z", 128, "uint8"),
            ("ws", rng.uniform(0.01, 0.02, 6), "float32"),
            ("wz", np.zeros(6), "int8"),
            ("one", 0.01, "float32"),
            ("none", 0, "int8"),
        )
    }
    x = net.input("x", ["n", 3, 4, 4], "float32")
    codes = net.node("QuantizeLinear", x, numbers["s"], numbers["z"])
    weight = net.constant(rng.integers(-127, 128, (6, 3, 3, 3)), "int8")
    bias = net.constant(rng.integers(-500, 500, 6), "int32")
    pair = (numbers["s"], numbers["z"])
    y = net.node("QLinearConv", codes, *pair, weight, numbers["ws"], numbers["wz"], *pair, bias)
    flat = net.node("Flatten", y)
    dense = net.constant(rng.integers(-127, 128, (5, 24)), "int8")
    bias = net.constant(rng.integers(-500, 500, 5), "int32")
    ends = (numbers["one"], numbers["none"])
    z = net.node("QGemm", flat, *pair, dense, *ends, bias, *pair, domain="com.microsoft", transB=1)
    net.output(net.node("DequantizeLinear", z, *pair), 2, "float32")
    return net.save(folder), rng.normal(size=(64, 3, 4, 4)).astype(np.float32)


def test_qoperator_becomes_qdq(tmp_path: Path) -> None:
    path, samples = qoperator(tmp_path)
    model = standard(path)
    ops = {node.op_type for node in model.graph.node}
    assert ops == {"QuantizeLinear", "DequantizeLinear", "Conv", "Flatten", "Gemm"}
    assert [layer.weight.shape for layer in find(model).layers] == [(6, 3, 3, 3), (5, 24, 1, 1)]
    rewritten = tmp_path / "qdq.onnx"
    rewritten.write_bytes(model.SerializeToString())
    before, after = (
        next(iter(reference_model(import_model(p), {"x": samples}).values()))
        for p in (path, rewritten)
    )
    assert np.array_equal(before, after)
    assert np.array_equal(run_onnx(rewritten, {"x": samples})[0], after)
