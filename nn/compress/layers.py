"""The layers of a quantised ONNX model whose weights can be compressed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from weft.nn.compress.runner import pruned
from weft.nn.onnx.model import node_of, to_array
from weft.nn.quantise.runtime import run

WEIGHTED = ("Conv", "Gemm", "MatMul")
LEFT = (
    "ConvInteger",
    "ConvTranspose",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "QGemm",
)
"""Have weights, too, but are not compressed in this form."""

MAX_INPUTS = 8192  # of one output: the matrix that is inverted has its square


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A node y = x * w + b with constant weights, in real values.

    weight: float64 [C_out, C_in / groups, kh, kw], of a fully connected layer [C_out, C_in, 1, 1];
    bias: float64 [C_out]; source: the tensor x; adder: the Add behind a MatMul that holds its bias.
    """

    name: str
    op: str
    source: str
    weight: np.ndarray
    bias: np.ndarray
    groups: int
    one_dimensional: bool  # a Conv over [N, C, W]
    transposed: bool  # the file holds a fully connected layer's weights as [C_out, C_in]
    adder: str = ""

    @property
    def outputs(self) -> int:
        """C_out."""
        return len(self.weight)

    @property
    def taps(self) -> int:
        """kh * kw."""
        return self.weight.shape[2] * self.weight.shape[3]

    @property
    def channels(self) -> int:
        """Input channels that one output reads."""
        return self.weight.shape[1]

    @property
    def inputs(self) -> int:
        """Weights of one output."""
        return self.channels * self.taps

    @property
    def matrix(self) -> np.ndarray:
        """The weights float64 [C_out, inputs], each row in the order [kh, kw, C_in / groups]."""
        return self.weight.transpose(0, 2, 3, 1).reshape(self.outputs, -1)

    def from_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """[C_out, C_in / groups, kh, kw] of a matrix in that order."""
        kh, kw = self.weight.shape[2:]
        return matrix.reshape(self.outputs, kh, kw, -1).transpose(0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """The layers in running order, and why others with weights are left, by node name."""

    layers: tuple[Layer, ...]
    left: Mapping[str, str]


def find(model: onnx.ModelProto) -> Found:
    """All layers of a model. model: in QDQ form, nodes in running order with names of their own."""
    known = constants(model)
    nodes = [node for node in model.graph.node if node.op_type in (*WEIGHTED, *LEFT)]
    used = {name for node in nodes for name in node.input} & known
    adders = {node.name: _adder(model, node, known) for node in nodes if node.op_type == "MatMul"}
    wanted = used | {
        name for node in adders.values() if node for name in node.input if name in known
    }
    values = _values(model, wanted)
    layers, left = [], {}
    for node in nodes:
        why = _why_left(node, known, values)
        if why:
            left[node.name] = why
        else:
            layers.append(_layer(node, adders.get(node.name), values))
    return Found(layers=tuple(layers), left=left)


def _values(model: onnx.ModelProto, wanted: set[str]) -> dict[str, np.ndarray]:
    """Constants by name: stored, or computed from stored ones."""
    stored = initialisers(model)
    names = sorted(wanted - set(stored))
    computed = run(pruned(model, names), names, {})
    return {name: stored[name] for name in wanted & set(stored)} | dict(
        zip(names, computed, strict=True)
    )


def constants(model: onnx.ModelProto) -> set[str]:
    """Tensors that no input of the model has a part in."""
    known = {item.name for item in model.graph.initializer} | {""}
    for node in model.graph.node:
        if all(name in known for name in node.input):
            known.update(node.output)
    return known - {""}


def initialisers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The constants that a model stores, by name."""
    return {item.name: to_array(item.name, item) for item in model.graph.initializer}


def _why_left(node: onnx.NodeProto, known: set[str], values: Mapping[str, np.ndarray]) -> str:
    """Why a node with weights is not compressed; '' where it is."""
    if node.op_type in LEFT:
        return f"{node.op_type} is not compressed"
    if node.input[0] in known:
        return "it multiplies a constant"
    weight = values.get(node.input[1]) if len(node.input) > 1 else None
    if weight is None:
        return "its weights are no constants"
    groups = node_of(node).integer("group", 1)
    if node.op_type == "Conv" and groups > 1 and weight.shape[1] == 1:
        return "depthwise: the vector unit multiplies by 8 bits"
    if weight.ndim not in ((3, 4) if node.op_type == "Conv" else (2,)):
        return f"weights of {weight.ndim} dimensions"
    inputs = weight[0].size if node.op_type == "Conv" else weight.shape[0]
    if inputs > MAX_INPUTS:
        return f"{inputs} weights per output; up to {MAX_INPUTS} are compressed"
    return ""


def _layer(
    node: onnx.NodeProto, adder: onnx.NodeProto | None, values: Mapping[str, np.ndarray]
) -> Layer:
    given = node_of(node)
    weight = values[node.input[1]].astype(np.float64)
    transposed = given.integer("transB", 0) != 0
    if node.op_type == "Conv":
        weight = weight[:, :, None, :] if weight.ndim == 3 else weight
    else:
        weight = (weight if transposed else weight.T)[:, :, None, None]
        weight = weight * given.number("alpha", 1.0)
    bias = np.zeros(len(weight))
    if node.op_type != "MatMul" and len(node.input) > 2 and node.input[2]:
        bias = bias + values[node.input[2]].reshape(-1) * given.number("beta", 1.0)
    elif adder is not None:
        bias = bias + next(values[name] for name in adder.input if name in values).reshape(-1)
    return Layer(
        name=node.name,
        op=node.op_type,
        source=node.input[0],
        weight=weight,
        bias=bias,
        groups=given.integer("group", 1),
        one_dimensional=node.op_type == "Conv" and values[node.input[1]].ndim == 3,
        transposed=transposed,
        adder=adder.name if adder is not None else "",
    )


def _adder(model: onnx.ModelProto, node: onnx.NodeProto, known: set[str]) -> onnx.NodeProto | None:
    """The Add of a constant bias that alone reads a MatMul's result."""
    readers = [item for item in model.graph.node if node.output[0] in item.input]
    outputs = {item.name for item in model.graph.output}
    if len(readers) != 1 or readers[0].op_type != "Add" or node.output[0] in outputs:
        return None
    fixed = [name for name in readers[0].input if name in known]
    shapes = {item.name: list(item.dims) for item in model.graph.initializer}
    for item in model.graph.node:  # codes have the shape of their values
        if item.op_type == "DequantizeLinear" and item.input[0] in shapes:
            shapes[item.output[0]] = shapes[item.input[0]]
    shape = shapes.get(fixed[0]) if fixed else None
    if shape is None or any(size != 1 for size in shape[:-1]):
        return None
    return readers[0]


def array_proto(name: str, array: np.ndarray) -> onnx.TensorProto:
    """A constant to store."""
    return numpy_helper.from_array(np.ascontiguousarray(array), name)
