"""Float networks, quantised with samples of their inputs, stay close to what they were."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from tests.nn.quantise.float_networks import (
    NETWORKS,
    Build,
    clamped_input,
    conv,
    conv_bn_relu,
    gated,
    head,
    made,
    pools,
    residual,
    softmax,
    upwards,
    vector,
    weights,
)
from weft.errors import ConfigError, ModelError
from weft.nn.ir.host import reference_model
from weft.nn.ir.host_steps import QuantizeStep
from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.importer import import_model
from weft.nn.quantise.calibration import METHODS
from weft.nn.quantise.losses import losses
from weft.nn.quantise.names import hidden
from weft.nn.quantise.runtime import batch_of, reason
from weft.nn.quantise.static import float_inputs, quantise


def noise_db(model: Path, quantised: Path, inputs: dict[str, np.ndarray]) -> float:
    """How far the error of the quantised outputs lies below the outputs, in decibels."""
    (wanted,) = run_onnx(model, inputs)
    (found,) = reference_model(import_model(quantised), inputs).values()
    assert found.shape == wanted.shape
    error = np.sum((found - wanted) ** 2)
    return float(10 * np.log10(np.sum((wanted - wanted.mean()) ** 2) / error))


@pytest.mark.parametrize("build", NETWORKS)
def test_outputs_stay_close(build: Build, tmp_path: Path) -> None:
    opset = 14 if build is gated else 17  # the first with HardSwish
    model, inputs = made(build, tmp_path, opset)
    target = tmp_path / "int8.onnx"
    half = {"x": inputs["x"][:24]}
    quantise(model, half, target, "minmax")
    graph = import_model(target)
    rescales = any(op.type == "Rescale" for op in graph.operators)
    assert rescales == (build in (pools, clamped_input, gated, upwards))  # slopes, too
    assert noise_db(model, target, {"x": inputs["x"][24:]}) > 25


@pytest.mark.parametrize("method", METHODS)
def test_ranges(method: str, tmp_path: Path) -> None:
    model, inputs = made(residual, tmp_path)
    quantise(model, inputs, tmp_path / "int8.onnx", method)
    assert noise_db(model, tmp_path / "int8.onnx", inputs) > 30


def test_outliers(tmp_path: Path) -> None:
    """Percentiles leave out one wild value in 43,200; no other method may."""
    model, inputs = made(conv_bn_relu, tmp_path)
    wild = np.concatenate([inputs["x"]] * 3)
    wild[5, 1, 4, 4] = 400
    scales = {}
    for method in METHODS:
        quantise(model, {"x": wild}, tmp_path / "int8.onnx", method)
        (edge,) = import_model(tmp_path / "int8.onnx").inputs
        step = edge.steps[-1]
        assert isinstance(step, QuantizeStep)
        scales[method] = step.scale
    low = float(inputs["x"].min())
    assert scales["minmax"] == pytest.approx((400 - low) / 255)
    assert scales["minmax"] >= scales["mse"] > 300 / 255
    assert 6 / 255 < scales["percentile"] < 10 / 255


def test_what_is_in_the_file(tmp_path: Path) -> None:
    """int8 everywhere, one scale per output channel, int32 biases, no BatchNormalization left."""
    model, inputs = made(conv_bn_relu, tmp_path)
    quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    proto = onnx.load(tmp_path / "int8.onnx")
    kinds = {node.op_type for node in proto.graph.node}
    assert kinds == {
        "QuantizeLinear", "DequantizeLinear", "Conv", "Relu", "GlobalAveragePool", "Flatten",
        "Gemm",
    }  # fmt: skip
    assert [item.domain for item in proto.opset_import] == [""]
    shapes = {item.name: list(item.dims) for item in proto.graph.initializer}
    types = {item.name: item.data_type for item in proto.graph.initializer}
    assert [8] in [size for name, size in shapes.items() if name.endswith("_scale")]
    names = [name for name in types if name.endswith(("_zero_point", "_quantized"))]
    assert {types[name] for name in names} == {onnx.TensorProto.INT8, onnx.TensorProto.INT32}
    graph = import_model(tmp_path / "int8.onnx")
    assert graph.notes == ()
    assert graph.name == "int8"


def test_same_bytes(tmp_path: Path) -> None:
    model, inputs = made(residual, tmp_path)
    for name in ("a", "b"):
        quantise(model, inputs, tmp_path / name, "mse")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_upsample_of_opset_9(tmp_path: Path) -> None:
    """It becomes a Resize."""
    net, rng = Net(opset=9), np.random.default_rng(0)
    y = net.node("Relu", conv(net, rng, net.input("x", (1, 3, 6, 5), "float32"), 4, 3, 3, 3))
    y = net.node("Upsample", y, net.constant([1, 1, 2, 3], "float32"), mode="nearest")
    net.output(conv(net, rng, y, 2, 4, 1, 1), 4, "float32")
    target, samples = tmp_path / "int8.onnx", rng.normal(0, 1, (9, 3, 6, 5)).astype(np.float32)
    quantise(net.save(tmp_path), {"x": samples}, target, "minmax")
    graph = import_model(target)
    assert [op.type for op in graph.operators] == ["Conv", "Move", "Conv"]
    (found,) = reference_model(graph, {"x": samples}).values()
    np.testing.assert_array_equal(found, run_onnx(target, {"x": samples})[0])


@pytest.mark.parametrize("opset", [9, 10, 11, 13, 18, 21, 23])
def test_opsets(opset: int, tmp_path: Path) -> None:
    model, inputs = made(residual, tmp_path, opset)
    quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    assert noise_db(model, tmp_path / "int8.onnx", inputs) > 30


def test_sum_is_addition(tmp_path: Path) -> None:
    def build(net: Net, rng: np.random.Generator, x: str) -> str:
        parts = [net.node("Relu", conv(net, rng, x, 8, 3, 1, 1)) for _ in range(3)]
        return head(net, rng, net.node("Sum", net.node("Sum", *parts)), 8)

    model, inputs = made(build, tmp_path)
    quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    adds = [op for op in import_model(tmp_path / "int8.onnx").operators if op.type == "Add"]
    assert len(adds) == 2
    assert noise_db(model, tmp_path / "int8.onnx", inputs) > 30


def test_constants_that_are_inputs_too(tmp_path: Path) -> None:
    """Old exports list them there; a weight that is computed from one is still folded."""
    net, rng = Net(opset=9), np.random.default_rng(0)
    x = net.input("x", ("n", 3, 10, 10), "float32")
    weight = net.node("ConstantOfShape", net.constant([8, 3, 1, 1], "int64"))
    y = net.node("Add", net.node("Conv", x, weight), vector(net, rng, 1, 1, 2))
    net.output(head(net, rng, y, 8), 2, "float32")
    proto = net.model()
    for item in proto.graph.initializer:
        value = onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims)
        proto.graph.input.append(value)
    proto.ir_version = 3
    onnx.save(proto, tmp_path / "old.onnx")
    samples = {"x": rng.normal(size=(4, 3, 10, 10)).astype(np.float32)}
    quantise(tmp_path / "old.onnx", samples, tmp_path / "int8.onnx", "minmax")
    (edge,) = import_model(tmp_path / "int8.onnx").inputs
    assert edge.name == "x"


@pytest.mark.parametrize("batch", [1, 5])
def test_fixed_batch(batch: int, tmp_path: Path) -> None:
    """Samples that do not fill the last batch are used, too."""
    model, inputs = made(residual, tmp_path, batch=batch)
    free, _ = made(residual, tmp_path / ".." / tmp_path.name)
    quantise(free, inputs, tmp_path / "free.onnx", "minmax")
    model, _ = made(residual, tmp_path, batch=batch)
    quantise(model, inputs, tmp_path / "fixed.onnx", "minmax")
    wanted, found = (
        reference_model(import_model(tmp_path / name), {"x": inputs["x"]})
        for name in ("free.onnx", "fixed.onnx")
    )
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])


@pytest.mark.parametrize("batch", [0, 1 << 40])
def test_absurd_batches_are_refused(batch: int, tmp_path: Path) -> None:
    model, inputs = made(residual, tmp_path, batch=batch)
    with pytest.raises(ModelError) as error:
        quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    assert str(error.value) == f"{model}: a batch of {batch}; 1 to 4096 is supported"


def test_names_may_be_missing(tmp_path: Path) -> None:
    model, inputs = made(gated, tmp_path)
    proto = onnx.load(model)
    for node in proto.graph.node:
        node.name = ""
    onnx.save(proto, model)
    quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    assert noise_db(model, tmp_path / "int8.onnx", inputs) > 25


def test_a_tensor_of_zeros(tmp_path: Path) -> None:
    model, inputs = made(conv_bn_relu, tmp_path)
    for method in METHODS:
        quantise(model, {"x": inputs["x"] * 0}, tmp_path / "int8.onnx", method)
        import_model(tmp_path / "int8.onnx")


def test_refused(tmp_path: Path) -> None:
    model, inputs = made(softmax, tmp_path)
    quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    with pytest.raises(ConfigError) as config:
        float_inputs(tmp_path / "int8.onnx")
    assert str(config.value) == (
        f"{tmp_path / 'int8.onnx'} is quantised already (node 'x_QuantizeLinear' "
        "(QuantizeLinear)); only float models are calibrated"
    )
    with pytest.raises(ConfigError) as config:
        float_inputs(tmp_path / "a.tflite")
    assert str(config.value) == (
        f"{tmp_path / 'a.tflite'} is a TFLite file; only float ONNX models can be calibrated. An "
        "int8 .tflite is compiled directly, without --calibrate"
    )
    net = Net()
    net.output(net.node("Relu", net.input("x", ("n", 4), "uint8")), 2, "uint8")
    with pytest.raises(ModelError) as error:
        float_inputs(net.save(tmp_path))
    assert str(error.value) == "input 'x' has type uint8; float is supported"


def test_runtime_refuses(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", ("n", 4), "float32")
    net.output(net.node("Odd", x, domain="my.own"), 2, "float32")
    path = net.save(tmp_path)
    with pytest.raises(ModelError) as error:
        quantise(path, {"x": np.zeros((1, 4), np.float32)}, tmp_path / "q.onnx", "minmax")
    start = f"{path}: ONNX Runtime cannot run it: "
    assert str(error.value).startswith(start)
    assert "my.own:Odd" in str(error.value)


def test_a_split_that_would_end_the_process(tmp_path: Path) -> None:
    net = Net(opset=18)
    net.input("x", ("n", 4), "float32")
    net.output(net.node("Split", "x", axis=1, num_outputs=2), 2, "float32")
    net.nodes[0].output.append("")
    with pytest.raises(ModelError) as error:
        float_inputs(net.save(tmp_path))
    assert str(error.value) == (
        "node 'split0' (Split): an output without a name, which ends ONNX Runtime; name all outputs"
    )


def view(net: Net, rng: np.random.Generator, x: str, shape: list[int]) -> str:
    y = net.node("Reshape", conv(net, rng, x, 4, 3, 3, 3, strides=[3, 3]), net.constant(shape))
    return net.node("Gemm", y, weights(net, rng, 10, 36), transB=1)


@pytest.mark.parametrize("shape", [[1, 36], [1, -1]])
def test_a_free_batch_with_a_shape_of_one_sample(shape: list[int], tmp_path: Path) -> None:
    """As view(1, -1) is exported."""
    model, inputs = made(lambda net, rng, x: view(net, rng, x, shape), tmp_path)
    target = tmp_path / "int8.onnx"
    quantise(model, inputs, target, "minmax")
    (loss,) = losses(model, target, import_model(target), inputs)
    assert loss.snr_db is not None
    assert loss.snr_db > 25


def test_batches() -> None:
    def batch(size: int | str, shape: list[int]) -> int | None:
        net = Net()
        x = net.input("x", (size, 2, 3), "float32")
        net.output(net.node("Reshape", x, net.constant(shape)), 2, "float32")
        return batch_of(net.model(), {"x": np.zeros((3, 2, 3), np.float32)})

    assert batch("n", [-1, 6]) is None
    assert batch("n", [1, 6]) == 1
    assert batch("n", [1, -1]) == 1  # it runs, but the samples are mixed
    assert batch(4, [4, 6]) == 4


def test_the_runtime_names_the_model_s_own_nodes(tmp_path: Path) -> None:
    model, inputs = made(lambda net, rng, x: view(net, rng, x, [1, 35]), tmp_path)
    with pytest.raises(ModelError) as error:
        quantise(model, inputs, tmp_path / "q.onnx", "minmax")
    assert str(error.value).startswith(f"{model}: ONNX Runtime cannot run it: Node (gemm2) Op")
    proto = onnx.load(model)
    for name in ("my\nnode", ""):
        proto.graph.node[1].name = name
        text = f"[ONNXRuntimeError] : 1 : FAIL : {RUNNING} node. Name:'n1' {STATUS}, 't3'\n"
        copy = onnx.ModelProto.FromString(proto.SerializeToString())
        called = hidden(copy).called
        shown = name.replace("\n", "\\n") or "reshape1"
        assert reason(RuntimeError(text + "at this line"), called) == (
            f"node '{shown}' (Reshape): It cannot be reshaped. Input shape:{{2,16}}, "
            f"'{called['t3']}'"
        )
    assert len(reason(RuntimeError("long " * 1000), {})) == 300


RUNNING = "Non-zero status code returned while running Reshape"
STATUS = (
    "Status Message: /src/core/tensor/reshape_helper.h:91 "
    "runtime::ReshapeHelper(const Shape&, bool) size == wanted was false. "
    "It cannot be reshaped. Input shape:{2,16}"
)


def test_every_convolution_is_within_127(tmp_path: Path) -> None:
    """Symmetric weights: two of them fit one multiplier."""
    model, inputs = made(residual, tmp_path)
    quantise(model, inputs, tmp_path / "int8.onnx", "minmax")
    convs = [op for op in import_model(tmp_path / "int8.onnx").operators if isinstance(op, Conv)]
    assert max(abs(int(op.weight.min())) for op in convs) == 127


@pytest.mark.parametrize("method", METHODS)
def test_numbers_that_are_not_finite(method: str, tmp_path: Path) -> None:
    model, inputs = made(residual, tmp_path)
    large = {"x": inputs["x"] * np.float32(1e18)}
    for value, texts in (
        (1e30, [f"{model}: '", "' reaches numbers that are not finite with these samples"]),
        (np.nan, [f"{model}: constant 'c1' holds numbers that are not finite"]),
    ):
        proto = onnx.load(model)
        weight = onnx.numpy_helper.to_array(proto.graph.initializer[1]).copy()
        weight.flat[3] = value
        proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(weight, "c1"))
        onnx.save(proto, model)
        with pytest.raises(ModelError) as error:
            quantise(model, large, tmp_path / "q.onnx", method)
        assert all(text in str(error.value) for text in texts)
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1e-18, 1e30])
def test_numbers_that_no_scale_holds(size: float, method: str, tmp_path: Path) -> None:
    model, inputs = made(residual, tmp_path)
    scaled = {"x": inputs["x"] * np.float32(size)}
    low, high = scaled["x"].min(), scaled["x"].max()
    with pytest.raises(ModelError) as error:
        quantise(model, scaled, tmp_path / "q.onnx", method)
    assert str(error.value) == (
        f"{model}: 'x' reaches {low:.3g} to {high:.3g} with these samples; supported are sizes "
        "from 2e-15 to 1e+20"
    )


def test_no_number_once_rounded(tmp_path: Path) -> None:
    """What no range tells: one of many numbers, or a quotient of codes that are 0."""
    net = Net()
    net.input("x", ("n", 4), "float32")
    y = net.node("Div", "x", net.node("Relu", "x"))
    net.output(y, 2, "float32")
    model = net.save(tmp_path)
    x = np.array([[1e-4, 3, 1, 2]], np.float32)
    with pytest.raises(ModelError) as error:
        quantise(model, {"x": x}, tmp_path / "q.onnx", "minmax")
    assert str(error.value) == (
        f"{model}: tensor {y!r} of node {net.nodes[-1].name!r} reaches numbers that are not finite "
        "once what it is computed from has 8 bits: quantise it with another tool and give weft the "
        "quantised file"
    )


def test_what_a_gemm_adds_may_be_an_input(tmp_path: Path) -> None:
    """Scaled by beta it is another tensor, with another name."""
    rng, net = np.random.default_rng(0), Net()
    net.input("x", ("n", 4), "float32")
    net.input("c", ("n", 4), "float32")
    matrix = net.constant(rng.normal(0, 1, (4, 4)), "float32")
    net.output(net.node("Gemm", "x", matrix, "c", beta=-0.5), 2, "float32")
    model, target = net.save(tmp_path), tmp_path / "q.onnx"
    inputs = {name: rng.normal(0, 1, (9, 4)).astype(np.float32) for name in "xc"}
    quantise(model, inputs, target, "minmax")
    (real,) = run_onnx(model, inputs)
    (found,) = reference_model(import_model(target), inputs).values()
    assert np.abs(found - real).max() < 3 * np.ptp(real) / 255


def test_names_of_what_nodes_become(tmp_path: Path) -> None:
    """One node instead of two has the name of the second; of several, the last has the name."""
    rng, net = np.random.default_rng(0), Net()
    net.input("x", ("n", 4), "float32")
    matrix = net.constant(rng.normal(0, 1, (4, 4)), "float32")
    y = net.node("MatMul", "x", matrix)
    y = net.node("Add", y, net.constant(rng.normal(0, 1, 4), "float32"))
    net.output(net.node("Sum", y, "x", "x"), 2, "float32")
    for node, name in zip(net.nodes, ("product", "bias", "sum"), strict=True):
        node.name = name
    inputs = {"x": rng.normal(0, 1, (9, 4)).astype(np.float32)}
    quantise(net.save(tmp_path), inputs, tmp_path / "q.onnx", "minmax")
    nodes = onnx.load(tmp_path / "q.onnx").graph.node
    names = [(node.op_type, node.name) for node in nodes if node.op_type in ("Gemm", "Add")]
    assert names == [("Gemm", "bias"), ("Add", "part of sum"), ("Add", "sum")]


def test_no_other_exception_for_damaged_files(tmp_path: Path) -> None:
    """Bytes changed where the structure is; names are not text any more, among others."""
    model, inputs = made(softmax, tmp_path)
    good, rng = model.read_bytes(), np.random.default_rng(5)
    refused = 0
    for _ in range(60):
        data = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            data[place] = rng.integers(0, 256)
        model.write_bytes(data)
        try:
            float_inputs(model)
            quantise(model, inputs, tmp_path / "q.onnx", "minmax")
        except (ModelError, ConfigError):
            refused += 1
    assert 20 < refused < 60
