"""A float network in the form that ONNX Runtime's quantiser takes it in."""

import onnx

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
    """The model with each Sum, which the quantiser does not know, as a chain of Adds.

    They add in the order of its inputs; a Sum of one is an Identity. Changes the model that it is
    given.
    """
    nodes: list[onnx.NodeProto] = []
    taken = {name for node in proto.graph.node for name in (*node.input, *node.output)}
    for node in proto.graph.node:
        own = node.op_type == "Sum" and node.domain in ("", "ai.onnx")
        nodes.extend(_chain(node, taken) if own and node.input and node.output else [node])
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def _chain(node: onnx.NodeProto, taken: set[str]) -> list[onnx.NodeProto]:
    name, so_far = node.name or node.output[0], node.input[0]
    if len(node.input) == 1:
        return [onnx.helper.make_node("Identity", [so_far], [node.output[0]], name=name)]
    chain = []
    for index, other in enumerate(node.input[1:]):
        last = index == len(node.input) - 2
        result = node.output[0] if last else _fresh(f"{node.output[0]}_{index}", taken)
        own = name if last else f"{name}_{index}"
        chain.append(onnx.helper.make_node("Add", [so_far, other], [result], name=own))
        so_far = result
    return chain


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
