"""Any quantised model that is imported, as an ONNX model whose layers with weights are QDQ."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from weft.errors import ModelError
from weft.nn.compress.layers import array_proto, initialisers
from weft.nn.compress.qonnx_form import without_quants
from weft.nn.forms import tflite
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.onnx.model import OnnxModel, Port, from_proto, load
from weft.nn.quantise.names import Fresh

MIN_OPSET = 13  # the first whose DequantizeLinear has one scale per channel
MICROSOFT = "com.microsoft"


def standard(path: Path) -> onnx.ModelProto:
    """The model of an ONNX or TFLite file that imports: nodes in running order, each with a name.

    QLinearConv, QLinearMatMul and QGemm become Conv, MatMul and Gemm between DequantizeLinear and
    QuantizeLinear, and QONNX's Quant becomes those two. Raises ModelError.
    """
    if is_tflite(path):
        model = _from_values(tflite.load(path))
    else:
        load(path)  # refuses what is no usable file
        model = onnx.load(path)
    from_proto(model)
    model = at_opset(model, MIN_OPSET)
    _name_nodes(model)
    _constants_stored(model)
    fresh = fresh_names(model)
    replace_nodes(model, without_quants(model, fresh))
    _Rewriter(model=model, fresh=fresh).run()
    _own_domains(model)
    return model


def _own_domains(model: onnx.ModelProto) -> None:
    """Without the domains whose operators are gone."""
    used = {node.domain for node in model.graph.node} | {"", "ai.onnx"}
    kept = [item for item in model.opset_import if item.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def fresh_names(model: onnx.ModelProto) -> Fresh:
    """For new tensors and nodes of a model: none has a name that either kind has."""
    graph = model.graph
    taken = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
    for items in (graph.input, graph.output, graph.initializer):
        taken |= {item.name for item in items}
    return Fresh(taken)


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators."""
    return max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))


def at_opset(model: onnx.ModelProto, least: int) -> onnx.ModelProto:
    """The model at a newer opset, itself where it is new enough. Raises ModelError."""
    if opset(model) >= least:
        return model
    try:
        return onnx.version_converter.convert_version(model, least)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        line = (str(error).strip().splitlines() or ["unknown reason"])[0]
        raise ModelError(f"the model cannot be converted to opset {least}: {line}") from error


def _from_values(values: OnnxModel) -> onnx.ModelProto:
    """An ONNX model of what an importer made of another file."""
    nodes = []
    for node in values.nodes:
        domain, _, op = node.op.rpartition(".")
        made = helper.make_node(op, node.inputs, node.outputs, name=node.name, domain=domain)
        made.attribute.extend(helper.make_attribute(k, v) for k, v in node.attributes.items())
        nodes.append(made)
    graph = helper.make_graph(
        nodes,
        values.name,
        [_port(port) for port in values.inputs],
        [_port(port) for port in values.outputs],
        [array_proto(name, array) for name, array in values.initialisers.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", values.opset)], ir_version=10
    )


def _port(port: Port) -> onnx.ValueInfoProto:
    kind = TensorProto.DataType.Value(port.dtype.upper())
    shape = None if port.shape is None else [s if s else f"d{i}" for i, s in enumerate(port.shape)]
    return helper.make_tensor_value_info(port.name, kind, shape)


def _name_nodes(model: onnx.ModelProto) -> None:
    """A name of its own for each node: that of its result where it has none."""
    fresh = Fresh()
    for node in model.graph.node:
        node.name = fresh.name(node.name or node.output[0])


def _constants_stored(model: onnx.ModelProto) -> None:
    """Constant nodes of tensors as stored constants."""
    kept = []
    for node in model.graph.node:
        value = next((item.t for item in node.attribute if item.name == "value"), None)
        if node.op_type != "Constant" or value is None:
            kept.append(node)
            continue
        stored = model.graph.initializer.add()
        stored.CopyFrom(value)
        stored.name = node.output[0]
    replace_nodes(model, kept)


def replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give a model other nodes."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


@dataclass(kw_only=True)
class _Rewriter:
    """Takes the QOperator layers of a model apart."""

    model: onnx.ModelProto
    fresh: Fresh
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def run(self) -> None:
        """Change the model."""
        self.arrays = initialisers(self.model)
        forms: dict[tuple[str, str], Callable[[onnx.NodeProto], None]] = {
            ("", "QLinearConv"): self._conv,
            ("", "QLinearMatMul"): self._matmul,
            (MICROSOFT, "QGemm"): self._gemm,
        }
        for node in self.model.graph.node:
            form = forms.get((node.domain.replace("ai.onnx", ""), node.op_type))
            if form is not None and all(node.input[i] in self.arrays for i in (1, 4)):
                form(node)
            else:
                self.nodes.append(node)
        replace_nodes(self.model, self.nodes)

    def _conv(self, node: onnx.NodeProto) -> None:
        self._apart(node, "Conv", 0, _input(node, 8), (6, 7))

    def _matmul(self, node: onnx.NodeProto) -> None:
        self._apart(node, "MatMul", 1, "", (6, 7))

    def _gemm(self, node: onnx.NodeProto) -> None:
        turned = any(item.name == "transB" and item.i for item in node.attribute)
        self._apart(node, "Gemm", 0 if turned else 1, _input(node, 6), (7, 8))

    def _apart(
        self, node: onnx.NodeProto, op: str, axis: int, bias: str, result: tuple[int, int]
    ) -> None:
        """The node between its dequantised inputs and its quantised result."""
        inputs = [self._dequantised(node, 0, 1), self._dequantised(node, 3, axis)]
        if bias:
            alpha = next((item.f for item in node.attribute if item.name == "alpha"), 1.0)
            x, w = (self.arrays[node.input[i]].reshape(-1) for i in (1, 4))
            scale = self._stored(node, np.float32(alpha) * x * w)
            inputs.append(self._made(node, "DequantizeLinear", [bias, scale], axis=0))
        scale, zero_point = (_input(node, i) for i in result)
        output = self.fresh.name(f"{node.output[0]}_real") if scale else node.output[0]
        layer = helper.make_node(op, inputs, [output], name=node.name)
        layer.attribute.extend(node.attribute)
        self.nodes.append(layer)
        if scale:
            numbers = [name for name in (scale, zero_point) if name]
            self.nodes.append(
                helper.make_node(
                    "QuantizeLinear",
                    [output, *numbers],
                    list(node.output),
                    name=self.fresh.name(f"{node.name}_QuantizeLinear"),
                )
            )

    def _dequantised(self, node: onnx.NodeProto, first: int, axis: int) -> str:
        """Three inputs, codes, scale and zero point, as real values."""
        names = [node.input[first]]
        for name in filter(None, node.input[first + 1 : first + 3]):
            array = self.arrays[name]
            names.append(self._stored(node, array.reshape(())) if array.size == 1 else name)
        return self._made(node, "DequantizeLinear", names, axis=axis)

    def _made(self, node: onnx.NodeProto, op: str, inputs: list[str], axis: int) -> str:
        output = self.fresh.name(f"{inputs[0]}_{op}")
        made = helper.make_node(op, inputs, [output], name=output, axis=axis)
        self.nodes.append(made)
        return output

    def _stored(self, node: onnx.NodeProto, array: np.ndarray) -> str:
        name = self.fresh.name(f"{node.name}_number")
        flat = array.reshape(()) if array.size == 1 else array
        self.model.graph.initializer.append(array_proto(name, flat))
        return name


def _input(node: onnx.NodeProto, index: int) -> str:
    return node.input[index] if index < len(node.input) else ""
