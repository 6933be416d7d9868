"""The form zoo (WEFT_MODELS, digits): every quantised tensor against the form's own runtime.

Makes the figures of docs/forms.md: ``pytest tests/nn/test_digits.py -s`` prints them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.nn.exact_products import cut
from tests.nn.forms.qonnx_runtime import run_qonnx
from tests.nn.golden import run_onnx
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import encode, reference_model
from weft.nn.ir.reference import run
from weft.nn.onnx.importer import import_model

ModelFile = Callable[[str], Path]


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Bounds for one file. codes: share of all codes that differ; accuracy: percent."""

    codes: float
    accuracy: float
    step: int = 1  # by how much a code may differ
    reference: str = "y_all"


# What differs: averages of values with ties (tf2onnx, unfused), values that are never quantised
# (pt2e), offsets that are integers (the rest).
FILES = {
    "qdq_s8_cnn": Expected(codes=0, accuracy=98.15),
    "qdq_u8_cnn": Expected(codes=0, accuracy=98.15),
    "qdq_s8_mlp": Expected(codes=0, accuracy=96.30),
    "qdq_unfused_batchnorm_cnn": Expected(codes=5e-4, accuracy=98.15),
    "qoperator_u8_cnn": Expected(codes=0, accuracy=98.15),
    "tf2onnx_cnn": Expected(codes=5e-4, accuracy=95.74),
    "qcdq_w4a4_cnn": Expected(codes=1e-4, accuracy=92.41, step=2),
    "pt2e_cnn": Expected(codes=1e-3, accuracy=98.15),
    "qonnx_w4a4_cnn": Expected(codes=1e-4, accuracy=92.41, step=2, reference="y_brevitas"),
    "qonnx_w1a1_mlp": Expected(codes=0, accuracy=90.74, reference="y_brevitas"),
}


def real_names(model: onnx.ModelProto) -> dict[str, str]:
    """For each tensor of codes the float tensor that shows it: behind Clips and Transposes."""
    names: dict[str, str] = {}
    for node in reversed(model.graph.node):
        if node.op_type == "DequantizeLinear":
            names[node.input[0]] = node.output[0]
        elif node.op_type in ("Clip", "Transpose") and node.output[0] in names:
            names[node.input[0]] = names[node.output[0]]
    return names


def tensors_of(path: Path, graph: Graph, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each quantised tensor's real values [n, ...] by the form's own runtime."""
    model = onnx.load(path)
    name = graph.inputs[0].name
    made = {output for node in model.graph.node for output in node.output}
    known = {tensor.name for tensor in graph.tensors} & made
    if any(node.op_type == "Quant" for node in model.graph.node):
        shown = [n.output[0] for n in model.graph.node if n.output[0] in known]
        for tensor in shown:
            del model.graph.output[:]
            model.graph.output.append(helper.make_tensor_value_info(tensor, 1, None))
            yield tensor, run_qonnx(model, x)
        return
    operator_form = any(node.op_type.startswith("QLinear") for node in model.graph.node)
    names = real_names(model)
    for tensor in known:
        if tensor in names:
            yield tensor, run_onnx(cut(model, names[tensor]), {name: x})[0]
        elif operator_form:
            yield tensor, codes_by_onnx(model, graph, tensor, x)


def codes_by_onnx(model: onnx.ModelProto, graph: Graph, tensor: str, x: np.ndarray) -> np.ndarray:
    """Real values of a QOperator tensor: its codes become the model's output."""
    own = graph.tensor(tensor)
    (codes,) = run_onnx(cut(model, tensor), {graph.inputs[0].name: x})
    return (codes.astype(np.float64) - 128 - own.zero_point) * own.scale


def compare(path: Path, x: np.ndarray) -> tuple[int, int, int]:
    """Codes that differ, codes in all, the largest difference."""
    graph = import_model(path, simplify=False)
    (edge,) = graph.inputs
    ours = run(graph, {edge.tensor: encode(edge, x)})
    differ, total, step = 0, 0, 0
    for name, real in tensors_of(path, graph, x):
        own = graph.tensor(name)
        image = real if real.shape[1:] == own.shape or real.ndim < 4 else real.transpose(0, 3, 1, 2)
        codes = np.rint(image.reshape(len(x), *own.shape) / np.float32(own.scale)) + own.zero_point
        off = np.abs(codes - ours[name])
        differ += int(np.count_nonzero(off))
        total += off.size
        step = max(step, int(off.max()))
    return differ, total, step


@pytest.mark.parametrize("name", FILES)
def test_file(model_file: ModelFile, name: str) -> None:
    path, data = model_file(f"digits/{name}.onnx"), np.load(model_file(f"digits/{name}.npz"))
    expected, x, labels = FILES[name], data["x"], data["labels"]
    differ, total, step = compare(path, x[:100])
    graph = import_model(path)
    (ours,) = reference_model(graph, {graph.inputs[0].name: x}).values()
    theirs = data[expected.reference]
    same = 100 * np.mean(ours.argmax(1) == theirs.argmax(1))
    accuracy, other = (100 * np.mean(y.argmax(1) == labels) for y in (ours, theirs))
    print(f"\n{name}: {differ} of {total} codes differ by at most {step}; {same:.2f} % of classes")
    print(f"agree; accuracy {accuracy:.2f} %, the runtime's {other:.2f} %")
    assert total > 10_000
    assert differ <= expected.codes * total
    assert step <= (expected.step if expected.codes else 0)
    assert accuracy == pytest.approx(expected.accuracy, abs=0.01)
    assert same > 99.5
