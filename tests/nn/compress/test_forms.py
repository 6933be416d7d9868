"""TFLite and QONNX files in standard form: the same integers, or a clear refusal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.nn.forms.qonnx_runtime import DOMAIN
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.compress.layers import find
from weft.nn.compress.standard import standard
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

ModelFile = Callable[[str], Path]


def same_integers(path: Path, folder: Path, layers: int) -> None:
    """The standard form is QDQ, has so many layers, and imports as the same network."""
    model = standard(path)
    assert not any(node.domain for node in model.graph.node)
    assert len(find(model).layers) == layers
    onnx.save(model, folder / "qdq.onnx")
    before, after = import_model(path), import_model(folder / "qdq.onnx")
    rng = np.random.default_rng(0)
    inputs = {
        edge.name: rng.uniform(-2, 2, (4, *edge.shape)).astype(edge.dtype)
        if edge.dtype == "float32"
        else rng.integers(-128, 128, (4, *edge.shape)).astype(edge.dtype)
        for edge in before.inputs
    }
    found = [list(reference_model(graph, inputs).values()) for graph in (before, after)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "layers"), [("ad", 10), ("kws", 6)])
def test_tflite_becomes_qdq(model_file: ModelFile, tmp_path: Path, name: str, layers: int) -> None:
    same_integers(model_file(f"mlperf_tiny/{name}.tflite"), tmp_path, layers)


@pytest.mark.parametrize("bits", [8, 4])
def test_quant_becomes_qdq(bits: int, tmp_path: Path) -> None:
    """Weights with a scale per channel and with one scale, activations of 4 and 8 bits."""
    rng = np.random.default_rng(1)
    net = Net()
    scale = rng.uniform(0.05, 0.2, (6, 1, 1, 1))
    first = net.constant(rng.normal(size=(6, 3, 3, 3)) * 0.5, "float32")
    second = net.constant(rng.normal(size=(5, 24)) * 0.5, "float32")
    x = quantised(net, net.input("x", ["n", 3, 4, 4], "float32"), bits)
    y = net.node("Conv", x, quantised(net, first, 4, scale, narrow=1))
    y = quantised(net, net.node("Relu", y), 4, 0.5, signed=0)
    z = net.node("Gemm", net.node("Flatten", y), quantised(net, second, 3, 0.2, narrow=1), transB=1)
    net.output(quantised(net, z, 8), 2, "float32")
    same_integers(net.save(tmp_path), tmp_path, 2)


def quantised(net: Net, x: str, bits: float, scale: Any = 0.1, **attributes: Any) -> str:
    numbers = [net.constant(value, "float32") for value in (scale, 0.0, bits)]
    fields = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} | attributes
    return net.node("Quant", x, *numbers, domain=DOMAIN, **fields)


def bipolar(net: Net, x: str) -> str:
    return net.node("BipolarQuant", x, net.constant(1.0, "float32"), domain=DOMAIN)


@pytest.mark.parametrize(
    ("build", "what"),
    [
        (lambda net, x: quantised(net, x, 4, rounding_mode="FLOOR"), "rounding mode FLOOR"),
        (lambda net, x: quantised(net, x, 1), "a Quant of 1 bits"),
        (lambda net, x: quantised(net, x, 16), "a Quant of 16 bits"),
        (bipolar, "it"),
    ],
)
def test_quants_without_such_a_form(
    build: Callable[[Net, str], str], what: str, tmp_path: Path
) -> None:
    net = Net()
    net.output(build(net, net.input("x", ["n", 4], "float32")), 2, "float32")
    with pytest.raises(ModelError) as caught:
        standard(net.save(tmp_path))
    assert str(caught.value).endswith(
        f": {what} has no form in QuantizeLinear and DequantizeLinear; Quant of 2 to 8 bits with "
        "rounding mode ROUND can be compressed"
    )
