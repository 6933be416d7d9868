"""Private names while a float network is quantised, and its own names afterwards.

ONNX Runtime and the steps here invent names for what they add. In between, every tensor and node
has a name that nothing else can have; at the end those of the model come back, and all others get
names that the model does not use.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx

QUANTISING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, kw_only=True)
class Names:
    """The model's own names by the private ones.

    makers: the node that writes a tensor, by the tensor; "" for a node without a name. called:
    what to call a node or a tensor; a node without a name after its result.
    """

    tensors: Mapping[str, str]
    nodes: Mapping[str, str]
    makers: Mapping[str, str]
    called: Mapping[str, str]


@dataclass(kw_only=True)
class Made:
    """Tensors that were added: what each belongs to, and the suffix of its name."""

    of: dict[str, tuple[str, str]] = field(default_factory=dict)

    def name(self, base: str, suffix: str) -> str:
        """A new private name."""
        private = f"q{len(self.of)}"
        self.of[private] = (base, suffix)
        return private


class Fresh:
    """Names that are not in use, each given once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    @classmethod
    def beside(cls, graph: onnx.GraphProto) -> "Fresh":
        """For new tensors of a graph: all that it has are in use."""
        fresh = cls(name for node in graph.node for name in (*node.input, *node.output))
        for items in (graph.input, graph.output, graph.initializer):
            fresh._taken.update(item.name for item in items)
        return fresh

    def name(self, wanted: str) -> str:
        """``wanted``, with a number behind it where it is in use."""
        found, number = wanted, 1
        while found in self._taken:
            number += 1
            found = f"{wanted}_{number}"
        self._taken.add(found)
        return found


def hidden(proto: onnx.ModelProto) -> Names:
    """Rename all tensors and nodes of a model. Changes the model that it is given."""
    tensors: dict[str, str] = {}
    _rename(proto.graph, tensors)
    nodes, makers = {}, {}
    for index, node in enumerate(proto.graph.node):
        nodes[f"n{index}"] = node.name
        makers |= dict.fromkeys(node.output, node.name)
        node.name = f"n{index}"
    own = {private: name for name, private in tensors.items()}
    results = {node.name: own.get(next(iter(node.output), ""), "") for node in proto.graph.node}
    called = own | {private: name or results[private] for private, name in nodes.items()}
    return Names(tensors=own, nodes=nodes, makers=makers, called=called)


def _rename(graph: onnx.GraphProto, known: dict[str, str]) -> None:
    """Tensors become t0, t1, ...; those of inner graphs, too, which may read the outer ones."""
    del graph.quantization_annotation[:]
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = _private(item.name, known)
    for node in graph.node:
        node.input[:] = [_private(name, known) for name in node.input]
        node.output[:] = [_private(name, known) for name in node.output]
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for part in (*inner, *attribute.graphs):
                _rename(part, known)


def _private(name: str, known: dict[str, str]) -> str:
    return known.setdefault(name, f"t{len(known)}") if name else ""


def restore(proto: onnx.ModelProto, names: Names, made: Made) -> None:
    """Give a model its own names back. Changes the model that it is given.

    A node that the model did not have is called after the tensor that it quantises, after the node
    whose result it writes, or after the one that it is a part of.
    """
    graph = proto.graph
    owners = _owners(graph, names, made)
    _name_nodes(graph, names, made, owners)
    fresh, final = Fresh(names.tensors.values()), {"": "", **names.tensors}

    def own(private: str) -> str:
        if private not in final:
            base, suffix = made.of.get(private, (private, "_inner"))
            base = base if base in names.tensors else owners.get(private, "")
            final[private] = fresh.name(names.tensors.get(base, "constant") + suffix)
        return final[private]

    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = own(item.name)
    for node in graph.node:
        node.input[:] = [own(name) for name in node.input]
        node.output[:] = [own(name) for name in node.output]


def _owners(graph: onnx.GraphProto, names: Names, made: Made) -> dict[str, str]:
    """For each tensor the nearest one behind it that the model has."""
    owners: dict[str, str] = {}
    for node in reversed(graph.node):
        for name in node.output:
            base = made.of.get(name, (name, ""))[0]
            if base in names.tensors:
                owners[name] = base
        behind = next((owners[name] for name in node.output if name in owners), "")
        for name in node.input:
            if name not in names.tensors:
                owners.setdefault(name, behind)
    return owners


def _name_nodes(graph: onnx.GraphProto, names: Names, made: Made, owners: dict[str, str]) -> None:
    fresh, used = Fresh(names.nodes.values()), set[str]()
    kept = {names.nodes[node.name] for node in graph.node if node.name in names.nodes}
    for node in graph.node:
        if node.op_type in QUANTISING:
            node.name = fresh.name(f"{_base(node, names, made)}_{node.op_type}")
        elif node.name in names.nodes:
            own = names.nodes[node.name]
            node.name = own if not own or own not in used else fresh.name(own)
            used.add(own)
        else:
            tensor = owners.get(node.output[0], "")
            own = names.makers.get(tensor, "")
            if own and (node.output[0] != tensor or own in kept):
                own = fresh.name(f"part of {own}")
            node.name = own
            kept.add(own)


def _base(node: onnx.NodeProto, names: Names, made: Made) -> str:
    """What the user calls that which a node quantises or dequantises."""
    for name in (*node.output, *node.input):
        base = made.of.get(name, (name, ""))[0]
        if base in names.tensors:
            return names.tensors[base]
    return ""
