"""The network as a drawing: operators in layers from top to bottom, and what flows between them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from weft.nn.ir.graph import Graph

INPUT, OUTPUT = "input", "output"


def drawing(graph: Graph, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Nodes with their places (layer, column) and figures, and edges between nodes by index.

    A node's unit, bound and cycles are those of its steps: the unit and bound that most of its
    cycles go to.
    """
    tensors = {edge.tensor: edge.name for edge in graph.inputs}
    nodes = [_end(name, INPUT) for name in tensors.values()]
    maker = {tensor: i for i, tensor in enumerate(tensors)}
    layer = [0] * len(nodes)
    edges: list[dict[str, Any]] = []

    def join(tensor: str, to: int) -> None:
        shape = list(graph.tensor(tensor).shape)
        edges.append({"from": maker[tensor], "to": to, "tensor": tensor, "shape": shape})

    for operator in graph.operators:
        here = len(nodes)
        nodes.append(_node(operator.name, operator.type, steps))
        sources = list(dict.fromkeys(operator.inputs))
        layer.append(1 + max((layer[maker[name]] for name in sources), default=0))
        for name in sources:
            join(name, here)
        maker[operator.output] = here
    for edge in graph.outputs:
        nodes.append(_end(edge.name, OUTPUT))
        layer.append(1 + layer[maker[edge.tensor]])
        join(edge.tensor, len(nodes) - 1)
    seen: Counter[int] = Counter()
    for node, depth in zip(nodes, layer, strict=True):
        node |= {"layer": depth, "column": seen[depth]}
        seen[depth] += 1
    return {"nodes": nodes, "edges": edges}


def _end(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name, "operator": kind, "unit": "host", "bound": "", "cycles": 0, "share": 0.0,
        "macs": 0,
    }  # fmt: skip


def _node(name: str, kind: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [row for row in steps if row["name"] == name]
    cycles: Counter[tuple[str, str]] = Counter()
    for row in own:
        cycles[row["unit"], row["bound"]] += row["cycles"]
    unit, bound = cycles.most_common(1)[0][0] if own else ("none", "")
    return {
        "name": name,
        "operator": kind,
        "unit": unit,
        "bound": bound,
        "cycles": sum(row["cycles"] for row in own),
        "share": round(sum(row["share"] for row in own), 4),
        "macs": sum(row["macs"] for row in own),
    }
