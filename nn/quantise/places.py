"""Which tensors of a float network are quantised, and which of them share one scale.

weft computes an operator between codes and codes. What stays float in between is what the importer
makes integers of by itself: operations with constants, the inside of x * f(x), and a Relu or Clip
behind the operator that it clamps.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx

OPERATORS = (
    "Add", "AveragePool", "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Elu", "Flatten",
    "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "MatMul", "MaxPool", "Mul", "PRelu", "Pad", "ReduceMean", "Reshape", "Resize",
    "Sigmoid", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
)  # fmt: skip
"""Operators that read and write codes."""

MOVES = (
    "AveragePool", "Flatten", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip
"""Operators whose results lie within the range of what they read, and keep its scale."""

CLAMPS = ("Relu", "Clip")
BY_CONSTANTS = ("Add", "Sub", "Mul", "Div", "BatchNormalization")
GATES = ("Sigmoid", "HardSigmoid", "Tanh")
"""The functions f of a product x * f(x) that is one table."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A product x * f(x) and the nodes of f."""

    x: str
    inside: tuple[onnx.NodeProto, ...]


@dataclass(kw_only=True)
class Network:
    """A float graph, its nodes in running order, and who reads and writes what in it."""

    graph: onnx.GraphProto
    constants: dict[str, np.ndarray]
    floats: set[str]  # activations of float32
    makers: dict[str, onnx.NodeProto] = field(init=False)
    uses: Counter[str] = field(init=False)  # readers, and being an output

    def __post_init__(self) -> None:
        self.makers = {name: node for node in self.graph.node for name in node.output if name}
        self.uses = Counter(name for node in self.graph.node for name in node.input)
        self.uses.update(item.name for item in self.graph.output)

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that are no constants."""
        return [name for name in node.input if name in self.floats]


def places(network: Network) -> dict[str, str]:
    """The tensors to quantise, in running order, each with the one whose range it takes."""
    gates = {id(node): gate for node in network.graph.node if (gate := _gate(node, network))}
    inside = {id(node) for gate in gates.values() for node in gate.inside}
    marked = _outer(network)
    for node in network.graph.node:
        if id(node) in gates:
            marked |= {gates[id(node)].x, node.output[0]}
        elif id(node) not in inside:
            marked |= set(_marked(node, network))
    marked -= _clamped(network)
    ranges_of: dict[str, str] = {}
    for name in _in_order(network):
        if name in marked:
            source = _source(network.makers.get(name), network)
            ranges_of[name] = ranges_of.get(source, name)
    return ranges_of


def _in_order(network: Network) -> Iterator[str]:
    yield from (item.name for item in network.graph.input)
    for node in network.graph.node:
        yield from filter(None, node.output)


def _outer(network: Network) -> set[str]:
    """Inputs that are read, and outputs that no host operator writes."""
    read = {item.name for item in network.graph.input if network.uses[item.name]}
    written = {
        item.name
        for item in network.graph.output
        if item.name in network.makers and not _on_host(network.makers[item.name])
    }
    return (read | written) & network.floats


def _on_host(node: onnx.NodeProto) -> bool:
    """Softmax, ArgMax and whatever weft does not know."""
    return node.op_type not in (*OPERATORS, *CLAMPS, *BY_CONSTANTS)


def _marked(node: onnx.NodeProto, network: Network) -> list[str]:
    """The tensors around a node that are quantised because of it."""
    reads = network.activations(node)
    writes = [name for name in node.output if name in network.floats]
    if _on_host(node):
        return [n for n in reads if n in network.makers and not _on_host(network.makers[n])]
    if _by_constants(node, network):
        return [name for name in writes if network.uses[name] > 1]
    return reads + writes


def _by_constants(node: onnx.NodeProto, network: Network) -> bool:
    """Whether a node is a gain and an offset, which the importer makes exact integers of."""
    return node.op_type in BY_CONSTANTS and len(network.activations(node)) == 1


def _clamped(network: Network) -> set[str]:
    """What a Relu or Clip alone reads: only the clamped result is quantised."""
    return {
        node.input[0]
        for node in network.graph.node
        if node.op_type in CLAMPS
        and network.uses[node.input[0]] == 1
        and node.input[0] in network.makers
        and not _on_host(network.makers[node.input[0]])
    }


def _source(maker: onnx.NodeProto | None, network: Network) -> str:
    """The tensor whose scale the result of a node keeps; "" where it has its own."""
    if maker is None or maker.op_type not in (*MOVES, "Pad"):
        return ""
    if maker.op_type == "Pad" and not _pads_with_known(maker, network):
        return ""
    if maker.op_type == "Resize" and not _stays_within(maker):
        return ""
    return maker.input[0]


def _stays_within(node: onnx.NodeProto) -> bool:
    """Whether a Resize gives no values beyond those that it reads."""
    words = {item.name: item.s for item in node.attribute}
    outside = words.get("coordinate_transformation_mode") == b"tf_crop_and_resize"
    return words.get("mode", b"nearest") != b"cubic" and not outside


def _pads_with_known(node: onnx.NodeProto, network: Network) -> bool:
    """Whether a Pad fills in only zeros or values that are there already."""
    mode = next((item.s for item in node.attribute if item.name == "mode"), b"constant")
    if mode != b"constant" or len(node.input) < 3 or not node.input[2]:
        return True
    value = network.constants.get(node.input[2])
    return value is not None and not np.any(value)


def _gate(node: onnx.NodeProto, network: Network) -> Gate | None:
    """A node as x * f(x); None where it is another one."""
    reads = network.activations(node)
    if node.op_type != "Mul" or len(reads) != 2:
        return None
    for x, fx in (reads, reads[::-1]):
        inside: list[onnx.NodeProto] = []
        while fx != x and network.uses[fx] == 1 and fx in network.makers:
            maker = network.makers[fx]
            if maker.op_type not in (*GATES, *CLAMPS):
                break
            inside.append(maker)
            fx = maker.input[0]
        if fx == x and any(maker.op_type in GATES for maker in inside):
            return Gate(x=x, inside=tuple(inside))
    return None
