"""A float network in the form in which it is quantised."""

import numpy as np
import onnx
from onnx import numpy_helper

from weft.nn.quantise.names import Fresh

MIN_IR = 4  # the first in which a constant need not be an input, too


def constants_apart(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with no constant among its inputs, where it could be replaced and is not folded.

    Changes the model that it is given.
    """
    constants = {item.name for item in proto.graph.initializer}
    kept = [item for item in proto.graph.input if item.name not in constants]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    proto.ir_version = max(proto.ir_version, MIN_IR)
    return proto


def sums_as_additions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each Sum as a chain of Adds, in the order of its inputs.

    A Sum of one is an Identity. Changes the model that it is given.
    """
    nodes: list[onnx.NodeProto] = []
    fresh = Fresh.beside(proto.graph)
    for node in proto.graph.node:
        own = node.op_type == "Sum" and node.domain in ("", "ai.onnx")
        nodes.extend(_chain(node, fresh) if own and node.input and node.output else [node])
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def _chain(node: onnx.NodeProto, fresh: Fresh) -> list[onnx.NodeProto]:
    so_far, chain = node.input[0], []
    if len(node.input) == 1:
        return [onnx.helper.make_node("Identity", [so_far], [node.output[0]], name=node.name)]
    for index, other in enumerate(node.input[1:]):
        last = index == len(node.input) - 2
        result = node.output[0] if last else fresh.name(f"{node.output[0]}_{index}")
        name = node.name if last else f"{node.name}_{index}"
        chain.append(onnx.helper.make_node("Add", [so_far, other], [result], name=name))
        so_far = result
    return chain


def gemms_folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with alpha and beta of each Gemm in its constants, and biases of [N].

    What a Gemm adds that is no constant, or differs from row to row, becomes an Add of its own.
    ONNX Runtime makes such Gemms of MatMul and Add. Changes the model that it is given.
    """
    graph = proto.graph
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    fresh = Fresh.beside(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gemm" and node.input[1] in arrays:
            nodes += _folded(node, arrays, graph, fresh)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    read = {name for node in kept for name in node.input} | {item.name for item in graph.output}
    constants = [item for item in graph.initializer if item.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(constants)
    return proto


def _folded(
    node: onnx.NodeProto, arrays: dict[str, np.ndarray], graph: onnx.GraphProto, fresh: Fresh
) -> list[onnx.NodeProto]:
    """Fold what can be folded into a Gemm; the nodes that have to stand behind it."""
    numbers = {item.name: item for item in node.attribute}
    alpha = numbers["alpha"].f if "alpha" in numbers else 1.0
    beta = numbers["beta"].f if "beta" in numbers else 1.0
    for name in {"alpha", "beta"} & set(numbers):
        node.attribute.remove(numbers[name])
    weight = arrays[node.input[1]]
    if alpha != 1:
        _set(node, 1, weight * np.float32(alpha), graph, fresh)
    added = node.input[2] if len(node.input) > 2 else ""
    if not added or beta == 0:
        del node.input[2:]
        return []
    bias = arrays.get(added)
    if bias is not None and bias.size in (1, *bias.shape[-1:]):
        turned = "transB" in numbers and numbers["transB"].i
        row = np.broadcast_to(bias.reshape(-1), weight.shape[0 if turned else 1])
        _set(node, 2, row * np.float32(beta), graph, fresh)
        return []
    behind, result = [], node.output[0]
    node.output[0] = fresh.name(result)
    del node.input[2:]
    if beta != 1:
        factor = numpy_helper.from_array(np.array(beta, np.float32), fresh.name("beta"))
        graph.initializer.append(factor)
        scaled = fresh.name(added)
        behind.append(onnx.helper.make_node("Mul", [added, factor.name], [scaled]))
        added = scaled
    behind.append(onnx.helper.make_node("Add", [node.output[0], added], [result]))
    return behind


def _set(
    node: onnx.NodeProto, index: int, array: np.ndarray, graph: onnx.GraphProto, fresh: Fresh
) -> None:
    """Another constant as an input of a node; who else reads the old one goes on doing so."""
    name = fresh.name(node.input[index])
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    node.input[index] = name
