"""QuantizeLinear and DequantizeLinear into a float graph, weights and biases as codes.

Every reader of a constant gets codes of its own, so that shared and tied weights need no care.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from weft.nn.quantise.names import Made
from weft.nn.quantise.places import Network
from weft.nn.quantise.scales import (
    Scale,
    activation_scale,
    beside,
    bias_codes,
    weight_codes,
    weight_scale,
    with_room,
)

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class OutOfReach(Exception):
    """The bias of the node that writes a tensor, the argument, has no codes at any scale."""


@dataclass(kw_only=True)
class Insertion:
    """A graph while it is quantised. scales: of the activations to quantise, by tensor."""

    network: Network
    scales: Mapping[str, Scale]
    made: Made
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    read_as: dict[str, str] = field(default_factory=dict)  # what readers of a tensor read instead

    def run(self) -> None:
        """Change the network's graph."""
        graph = self.network.graph
        outputs = {item.name for item in graph.output}
        for item in graph.input:
            if item.name in self.scales:
                self._activation(item.name, item.name)
        for node in graph.node:
            self._constants(node)
            node.input[:] = [self.read_as.get(name, name) for name in node.input]
            self.nodes.append(node)
            for index, name in enumerate(node.output):
                if name in outputs and name in self.scales:
                    node.output[index] = self.made.name(name, "_QuantizeLinear_Input")
                    self._activation(name, node.output[index], name)
                elif name in self.scales:
                    self._activation(name, name)
        _replace(graph, self.nodes, self.constants)

    def _activation(self, name: str, raw: str, result: str = "") -> None:
        """Q and DQ behind ``raw``, the values of a tensor; ``result`` is what DQ writes."""
        codes = self.made.name(name, "_QuantizeLinear_Output")
        numbers = self._numbers(name, self.scales[name])
        self.nodes.append(helper.make_node("QuantizeLinear", [raw, *numbers], [codes]))
        self.read_as[name] = self._dequantised(name, codes, numbers, None, result)

    def _constants(self, node: onnx.NodeProto) -> None:
        """Codes instead of the constants of a node that has a use for them."""
        constants = self.network.constants
        if node.op_type == "Concat":
            for index, name in enumerate(node.input):
                if name in constants and constants[name].dtype == np.float32:
                    self._fixed_part(node, index)
        elif node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in constants:
            self._weight_and_bias(node)

    def _fixed_part(self, node: onnx.NodeProto, index: int) -> None:
        """A constant beside activations: codes as theirs."""
        name = node.input[index]
        array = self.network.constants[name].astype(np.float64)
        scale = activation_scale(array.min(initial=0), array.max(initial=0))
        node.input[index] = self._fixed(name, scale.codes(array), scale)

    def _weight_and_bias(self, node: onnx.NodeProto) -> None:
        constants, bias = self.network.constants, node.input[2] if len(node.input) > 2 else ""
        weight, source = constants[node.input[1]], self.scales.get(node.input[0])
        scale = weight_scale(weight, _axis(node, weight))
        if source is not None and bias in constants and constants[bias].ndim == 1:
            array = constants[bias]
            others = (
                None
                if scale.axis is None
                else tuple(i for i in range(weight.ndim) if i != scale.axis)
            )
            scale = with_room(scale, source, array, ~np.any(weight, axis=others))
            if not np.all(np.isfinite(scale.scale)):
                raise OutOfReach(node.output[0])
            codes, own = bias_codes(array, scale, source)
            node.input[2] = self._fixed(bias, codes, own)
        node.input[1] = self._fixed(node.input[1], weight_codes(weight, scale), scale)

    def _fixed(self, name: str, codes: np.ndarray, scale: Scale) -> str:
        """The tensor that holds a constant, dequantised."""
        given = self._constant(name, "_quantized", codes)
        return self._dequantised(name, given, self._numbers(name, scale), scale.axis)

    def _dequantised(
        self, name: str, codes: str, numbers: list[str], axis: int | None, result: str = ""
    ) -> str:
        result = result or self.made.name(name, "_DequantizeLinear_Output")
        node = helper.make_node("DequantizeLinear", [codes, *numbers], [result], axis=axis)
        self.nodes.append(node)
        return result

    def _numbers(self, name: str, scale: Scale) -> list[str]:
        parts = (("_scale", scale.scale), ("_zero_point", scale.zero_point))
        return [self._constant(name, suffix, array) for suffix, array in parts]

    def _constant(self, base: str, suffix: str, array: np.ndarray) -> str:
        name = self.made.name(base, suffix)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name


def free_scales(network: Network, scales: Mapping[str, Scale]) -> dict[str, Scale]:
    """Finer scales for activations that are always 0, where a bias needs them."""
    found: dict[str, Scale] = {}
    for node in network.graph.node:
        if node.op_type in WEIGHTED and len(node.input) > 2 and node.input[0] in scales:
            weight, bias = (network.constants.get(name) for name in node.input[1:3])
            if weight is not None and bias is not None and scales[node.input[0]].is_free:
                scale = beside(bias, weight_scale(weight, _axis(node, weight)))
                before = found.get(node.input[0], scale)
                found[node.input[0]] = min(scale, before, key=lambda item: float(item.scale))
    return found


def _axis(node: onnx.NodeProto, weight: np.ndarray) -> int | None:
    """The axis of a weight's output channels; None where it has no such axis."""
    match node.op_type:
        case "Conv":
            return 0
        case "ConvTranspose":
            return 1
        case "Gemm":
            return 0 if any(item.name == "transB" and item.i for item in node.attribute) else 1
        case _:
            return 1 if weight.ndim == 2 else None


def _replace(
    graph: onnx.GraphProto, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]
) -> None:
    """The nodes of a graph, and of its constants those that they read."""
    read = {name for node in nodes for name in node.input} | {item.name for item in graph.output}
    kept = [item for item in (*graph.initializer, *constants) if item.name in read]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
