"""What quantisation after training costs: the second table of docs/quantisation.md.

    WEFT_MODELS=... python bench/quantisation.py

Takes ``mlperf_tiny/{kws,ic}.onnx`` and their data from the folder WEFT_MODELS. These are int8
networks; the float ones are made of them by leaving out the quantisation, weights dequantised.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model
from weft.nn.quantise.calibration import METHODS
from weft.nn.quantise.static import quantise

MODELS = Path(os.environ.get("WEFT_MODELS", "../shared/models")) / "mlperf_tiny"
SAMPLES = {"kws": 200, "ic": 50}  # for calibration; the others are the test


def float_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network without QuantizeLinear and DequantizeLinear."""
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    same: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            same[node.output[0]] = node.input[0]
        elif node.op_type == "DequantizeLinear" and node.input[0] in arrays:
            arrays[node.output[0]] = _dequantised(node, arrays)
        elif node.op_type == "DequantizeLinear":
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)

    def source(name: str) -> str:
        return source(same[name]) if name in same else name

    for node in kept:
        names = [source(name) for name in node.input]
        del node.input[:]
        node.input.extend(names)
    for item in model.graph.output:
        if item.name in same:
            kept.append(helper.make_node("Identity", [source(item.name)], [item.name]))
    used = {name for node in kept for name in node.input}
    constants = [numpy_helper.from_array(a, name) for name, a in arrays.items() if name in used]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(constants)
    return model


def _dequantised(node: onnx.NodeProto, arrays: dict[str, np.ndarray]) -> np.ndarray:
    codes, scale, zero = (arrays[name] for name in node.input)
    axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
    if scale.size > 1:
        shape = [-1 if i == axis else 1 for i in range(codes.ndim)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (codes.astype(np.float32) - zero.astype(np.float32)) * scale


def rows(name: str, folder: Path) -> list[str]:
    """The table's rows of one network."""
    with np.load(MODELS / f"{name}_data.npz") as file:
        x, labels = file["x"], file["y"]
    plain, count = folder / f"{name}.onnx", SAMPLES[name]
    onnx.save(float_form(onnx.load(MODELS / f"{name}.onnx")), plain)
    session = onnxruntime.InferenceSession(plain.read_bytes())
    key = session.get_inputs()[0].name
    test, right = x[count:], labels[count:]
    scores = [np.asarray(session.run(None, {key: image[None]})[0]) for image in test]
    wanted = np.concatenate(scores).argmax(axis=1)
    found = []
    for method in METHODS:
        quantise(plain, {key: x[:count]}, folder / "int8.onnx", method)
        (codes,) = reference_model(import_model(folder / "int8.onnx"), {key: test}).values()
        classes = codes.argmax(axis=1)
        shares = (np.mean(wanted == right), np.mean(classes == right), np.mean(classes == wanted))
        cells = " | ".join(f"{100 * share:.2f} %" for share in shares)
        found.append(f"| {name} | {count} / {len(test)} | {method} | {cells} |")
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in SAMPLES:
            print("\n".join(rows(name, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
