"""Small QDQ networks for the tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
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
