"""Rules that every graph keeps; run after every pass. A broken rule is a bug of weft's own."""

from weft.nn.ir.graph import Graph
from weft.nn.ir.rules import need
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN


def check(graph: Graph) -> None:
    """Raise ValueError where the graph breaks a rule; operators check their own."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    _unique("tensor", [tensor.name for tensor in graph.tensors])
    _unique("operator", [operator.name for operator in graph.operators])
    need(bool(graph.inputs) and bool(graph.outputs), "a graph has inputs and outputs")
    written = {edge.tensor for edge in graph.inputs}
    need(len(written) == len(graph.inputs), "each input edge has a tensor of its own")
    for operator in graph.operators:
        for name in operator.inputs:
            need(name in written, f"{operator.name!r} reads {name!r} before it is written")
        need(operator.output in tensors, f"{operator.name!r} writes an unknown tensor")
        need(operator.output not in written, f"{operator.output!r} is written twice")
        written.add(operator.output)
        low, high = operator.low, operator.high
        need(CODE_MIN <= low <= high <= CODE_MAX, f"{operator.name!r}: clamp {low}..{high}")
        operator.check(tensors)
    need(written == set(tensors), f"tensors nobody writes: {sorted(set(tensors) - written)}")
    for edge in graph.outputs:
        need(edge.tensor in written, f"output {edge.name!r} reads unknown {edge.tensor!r}")


def _unique(kind: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        need(name not in seen, f"{kind} name {name!r} is not unique")
        seen.add(name)
