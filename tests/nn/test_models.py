"""Whole networks from outside (WEFT_MODELS) against ONNX Runtime, every sample, every tensor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.nn.exact_products import cut
from tests.nn.golden import multiplies_exactly, run_default, run_onnx
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import decode, encode, reference_model
from weft.nn.ir.host_steps import QuantizeStep
from weft.nn.ir.reference import run
from weft.nn.onnx.importer import import_model

ModelFile = Callable[[str], Path]
Session = Callable[[onnx.ModelProto, dict[str, np.ndarray]], list[np.ndarray]]
MACS = {"kws": 2_656_768, "ic": 12_501_632, "vww": 7_489_664, "ad": 264_192}


def reference_codes(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    (edge,) = graph.inputs
    return run(graph, {edge.tensor: encode(edge, x)})


def onnx_codes(
    path: Path, graph: Graph, tensor: str, x: np.ndarray, session: Session = run_onnx
) -> np.ndarray:
    """A tensor's codes by ONNX Runtime, from the model cut behind its DequantizeLinear."""
    model = onnx.load(path)
    real = next(n.output[0] for n in model.graph.node if n.input and n.input[0] == tensor)
    (values,) = session(cut(model, real), {graph.inputs[0].name: x})
    info = graph.tensor(tensor)
    codes = np.rint(values / np.float32(info.scale)).astype(int) + info.zero_point
    return codes.reshape(len(x), *info.shape)


@pytest.mark.parametrize("name", MACS)
def test_macs_and_json(model_file: ModelFile, name: str) -> None:
    graph = import_model(model_file(f"mlperf_tiny/{name}.onnx"))
    assert graph.macs == MACS[name]
    assert Graph.from_json(graph.to_json()) == graph


def test_ic_every_image_before_the_softmax(model_file: ModelFile) -> None:
    path, data = model_file("mlperf_tiny/ic.onnx"), np.load(model_file("mlperf_tiny/ic_data.npz"))
    graph = import_model(path)
    logits = graph.operators[-1].output
    ours = reference_codes(graph, data["x"])[logits]
    assert np.array_equal(ours, onnx_codes(path, graph, logits, data["x"]))
    outputs = decode(graph.outputs[0], ours)
    accuracy = 100 * np.mean(outputs.argmax(1) == data["y"])
    assert accuracy == pytest.approx(87.0, abs=0.5)
    if multiplies_exactly():  # by default it runs six of the convolutions in float
        default = onnx_codes(path, graph, logits, data["x"], run_default)
        assert np.mean(ours == default) > 0.95
        assert np.abs(ours - default.astype(int)).max() <= 3


def test_kws_every_sample(model_file: ModelFile) -> None:
    path, data = model_file("mlperf_tiny/kws.onnx"), np.load(model_file("mlperf_tiny/kws_data.npz"))
    graph = import_model(path)
    logits = graph.operators[-1].output
    ours = reference_codes(graph, data["x"])[logits]
    assert np.array_equal(ours, onnx_codes(path, graph, logits, data["x"]))
    accuracy = 100 * np.mean(ours.reshape(len(ours), -1).argmax(1) == data["y"])
    assert accuracy == pytest.approx(90.2, abs=0.05)
    if multiplies_exactly():
        assert np.array_equal(ours, onnx_codes(path, graph, logits, data["x"], run_default))


def made_inputs(name: str, count: int) -> np.ndarray:
    """Inputs of a network that ships none: smooth images, or noisy spectra in decibels."""
    rng = np.random.default_rng(7)
    if name == "ad":
        slope = np.linspace(-10, -40, 640) + 8 * np.sin(np.arange(640) / rng.uniform(5, 60))
        return (slope + rng.normal(0, 6, (count, 640))).astype(np.float32)
    coarse = rng.uniform(0, 1, (count, 3, 13, 13))
    at = np.linspace(0, 12, 96)
    low, part = np.minimum(at.astype(int), 11), at - np.minimum(at.astype(int), 11)
    rows = coarse[:, :, low] * (1 - part[:, None]) + coarse[:, :, low + 1] * part[:, None]
    images = rows[..., low] * (1 - part) + rows[..., low + 1] * part
    return (images + rng.normal(0, 0.02, images.shape)).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("name", ["vww", "ad"])
def test_a_hundred_made_inputs(model_file: ModelFile, name: str) -> None:
    path, x = model_file(f"mlperf_tiny/{name}.onnx"), made_inputs(name, 100)
    graph = import_model(path)
    last = graph.operators[-1].output
    ours = reference_codes(graph, x)[last]
    assert len(np.unique(ours)) > 10
    assert np.array_equal(ours, onnx_codes(path, graph, last, x))


INPUTS = {"ic": (3, 32, 32), "kws": (1, 49, 10), "ad": (640,), "vww": (3, 96, 96)}


@pytest.mark.parametrize("name", INPUTS)
def test_every_tensor(model_file: ModelFile, name: str) -> None:
    path = model_file(f"mlperf_tiny/{name}.onnx")
    graph = import_model(path, simplify=False)  # tensors as the file has them
    step = graph.inputs[0].steps[-1]
    assert isinstance(step, QuantizeStep)
    rng = np.random.default_rng(3)
    codes = rng.integers(-128, 128, (2, *INPUTS[name]))
    x = ((codes - step.zero_point) * step.scale).astype(np.float32)
    ours = reference_codes(graph, x)
    for operator in graph.operators:
        wanted = onnx_codes(path, graph, operator.output, x)
        assert np.count_nonzero(ours[operator.output] != wanted) == 0, operator.name


@pytest.mark.parametrize("name", ["qdq_s8_cnn", "qdq_u8_cnn", "qdq_s8_mlp"])
def test_digits_every_sample(model_file: ModelFile, name: str) -> None:
    path, data = model_file(f"digits/{name}.onnx"), np.load(model_file(f"digits/{name}.npz"))
    (ours,) = reference_model(import_model(path), {"x": data["x"]}).values()
    assert np.array_equal(ours, data["y_all"])
    assert np.array_equal(ours, run_onnx(path, {"x": data["x"]})[0])
    assert np.mean(ours.argmax(1) == data["labels"]) > 0.95
    if multiplies_exactly():
        assert np.array_equal(ours, run_default(path, {"x": data["x"]})[0])
