"""Few-bit weights and their biases put into a QDQ model in the place of a layer's own."""

import numpy as np
import onnx
from onnx import helper

from weft.nn.compress.layers import Layer, array_proto, initialisers
from weft.nn.compress.rounding import Rounded
from weft.nn.compress.runner import pruned
from weft.nn.compress.standard import fresh_names, replace_nodes

VIEWS = (
    "Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose",
    "Unsqueeze",
)  # fmt: skip
"""Their results have the scale of what they read."""


def source_scale(model: onnx.ModelProto, layer: Layer) -> np.float32 | None:
    """The scale of a layer's input; None where it is not plainly that of a DequantizeLinear."""
    makers = {name: node for node in model.graph.node for name in node.output}
    arrays = initialisers(model)
    node = makers.get(layer.source)
    while node is not None and node.op_type in VIEWS:
        node = makers.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear":
        return None
    scale = arrays.get(node.input[1])
    return None if scale is None or scale.size != 1 else np.float32(scale.reshape(()))


def bias_codes(bias: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """int32 codes of a bias at the scale float32 [C_out] of its products."""
    return np.rint(bias / scale.astype(np.float64)).astype(np.int32)


def rewritten(
    model: onnx.ModelProto, layer: Layer, weight: Rounded, bias: np.ndarray
) -> tuple[onnx.ModelProto, str]:
    """A copy of the model with a layer's new weights, and the name of their codes.

    weight: codes of ``layer.matrix``; bias: float64 [C_out]. The codes are int8, one scale per
    output channel, without zero points; the bias is int32 at scale s_x * s_w where s_x is known.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    edit = _Edit(changed, layer)
    axis, codes = _in_file(layer, layer.from_matrix(weight.codes).astype(np.int8))
    stored = edit.stored("weight", codes)
    value = edit.dequantised(stored, edit.stored("weight_scale", weight.scale), axis)
    source = source_scale(model, layer)
    if source is None:
        constant = edit.stored("bias", bias.astype(np.float32))
    else:
        scale = weight.scale * source
        own = edit.stored("bias_scale", scale)
        constant = edit.dequantised(edit.stored("bias", bias_codes(bias, scale)), own, 0)
    edit.put(value, constant)
    return tidied(changed), stored


def tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without nodes and constants that no output depends on."""
    needed = pruned(model, [item.name for item in model.graph.output]).graph
    replace_nodes(model, needed.node)
    constants = list(needed.initializer)
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    return model


def _in_file(layer: Layer, codes: np.ndarray) -> tuple[int, np.ndarray]:
    """The axis of the output channels, and the codes as the node reads them."""
    if layer.op == "Conv":
        return 0, codes[:, :, 0] if layer.one_dimensional else codes
    flat = codes[:, :, 0, 0]
    return (0, flat) if layer.transposed else (1, flat.T)


class _Edit:
    """One layer of a model while it is changed."""

    def __init__(self, model: onnx.ModelProto, layer: Layer) -> None:
        self._graph, self._model, self._layer = model.graph, model, layer
        self._fresh = fresh_names(model)
        self._nodes: list[onnx.NodeProto] = []
        self._result = ""  # what the layer's node wrote

    def stored(self, suffix: str, array: np.ndarray) -> str:
        """The name of a new constant."""
        name = self._fresh.name(f"{self._layer.name}_{suffix}")
        self._graph.initializer.append(array_proto(name, array))
        return name

    def dequantised(self, codes: str, scale: str, axis: int) -> str:
        """The name of a constant's real values."""
        name = self._fresh.name(f"{codes}_DequantizeLinear")
        self._nodes.append(
            helper.make_node("DequantizeLinear", [codes, scale], [name], name=name, axis=axis)
        )
        return name

    def put(self, weight: str, bias: str) -> None:
        """Let the layer read its new weights and bias."""
        nodes = []
        for node in self._graph.node:
            if node.name == self._layer.name:
                nodes += self._nodes
                nodes += self._layer_nodes(node, weight, bias)
            elif node.name == self._layer.adder:
                fixed = 1 if node.input[0] == self._result else 0
                node.input[fixed] = bias
                nodes.append(node)
            else:
                nodes.append(node)
        replace_nodes(self._model, nodes)

    def _layer_nodes(self, node: onnx.NodeProto, weight: str, bias: str) -> list[onnx.NodeProto]:
        self._result = node.output[0]
        kept = [item for item in node.attribute if item.name not in ("alpha", "beta")]
        del node.attribute[:]
        node.attribute.extend(kept)
        node.input[1] = weight
        if node.op_type != "MatMul":
            del node.input[2:]
            node.input.append(bias)
            return [node]
        if self._layer.adder:
            return [node]
        node.output[0] = self._fresh.name(f"{self._result}_product")
        name = self._fresh.name(f"{node.name}_bias_Add")
        return [node, helper.make_node("Add", [node.output[0], bias], [self._result], name=name)]
