"""Small QDQ networks for the tests, and ONNX Runtime to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ELEMENT = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
}


@dataclass
class Net:
    """A network under construction; each method returns the name of its result."""

    opset: int = 17
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def input(self, name: str, shape: Sequence[int | str], dtype: str = "int8") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, ELEMENT[dtype], shape))
        return name

    def output(self, name: str, rank: int, dtype: str = "int8") -> None:
        sizes = [f"d{i}" for i in range(rank)]
        self.outputs.append(helper.make_tensor_value_info(name, ELEMENT[dtype], sizes))

    def constant(self, array: Any, dtype: str | None = None) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def q(self, value: str, scale: Any, zero: Any, dtype: str = "int8", **attributes: Any) -> str:
        scale, zero = self.constant(scale, "float32"), self.constant(zero, dtype)
        return self.node("QuantizeLinear", value, scale, zero, **attributes)

    def dq(self, value: str, scale: Any, zero: Any, dtype: str = "int8", **attributes: Any) -> str:
        scale, zero = self.constant(scale, "float32"), self.constant(zero, dtype)
        return self.node("DequantizeLinear", value, scale, zero, **attributes)

    def model(self) -> onnx.ModelProto:
        constants = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "net", self.inputs, self.outputs, constants)
        opsets = [helper.make_opsetid("", self.opset)]
        others = {node.domain for node in self.nodes if node.domain}
        opsets += [helper.make_opsetid(domain, 1) for domain in sorted(others)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, folder: Path) -> Path:
        path = folder / "net.onnx"
        path.write_bytes(self.model().SerializeToString())
        return path


def run_onnx(
    model: onnx.ModelProto | Path, inputs: dict[str, np.ndarray], int8: bool = False
) -> list[np.ndarray]:
    """Outputs of ONNX Runtime's default session, one sample at a time where the batch is 1.

    int8: let it fuse int8 activations; on x86 it turns them to uint8 first, and where a tensor has
    several readers it fails to and runs the operators in float.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if int8:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    if session.get_inputs()[0].shape[0] != 1:
        return [np.asarray(item) for item in session.run(None, inputs)]
    count = len(next(iter(inputs.values())))
    runs = [session.run(None, {k: v[i : i + 1] for k, v in inputs.items()}) for i in range(count)]
    return [np.concatenate([np.asarray(run[i]) for run in runs]) for i in range(len(runs[0]))]


def cut(path: Path, output: str) -> onnx.ModelProto:
    """The model as far as the float tensor ``output``."""
    model = onnx.load(path)
    wanted, kept = {output}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            wanted |= set(node.input)
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(kept[::-1])
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    return model
