"""Changes that the passes make to a graph: other operators, and other tensors to read."""

from collections.abc import Callable

from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator

Pass = Callable[[Graph], Graph]


def bypass(graph: Graph, tensor: str, source: str) -> Graph:
    """Read ``source`` wherever ``tensor`` was read; its operator goes."""
    return bypassed(graph, {tensor: source})


def bypassed(graph: Graph, same: dict[str, str]) -> Graph:
    """Read ``same[name]``, which is no key of it, wherever ``name`` was read; its operator goes."""
    operators = []
    for operator in graph.operators:
        if operator.output not in same:
            for name in operator.inputs:
                if name in same:
                    operator = reading(operator, name, same[name])
            operators.append(operator)
    outputs = tuple(
        edge.replace(tensor=same[edge.tensor]) if edge.tensor in same else edge
        for edge in graph.outputs
    )
    return with_operators(graph.replace(outputs=outputs), operators)


def reading(operator: Operator, old: str, new: str) -> Operator:
    """The operator with another tensor in the place of one that it reads."""
    changes: dict[str, object] = {}
    for name in ("input", "a", "b"):
        if getattr(operator, name, None) == old:
            changes[name] = new
    if old in getattr(operator, "parts", ()):
        parts = operator.inputs
        changes["parts"] = tuple(new if part == old else part for part in parts)
    return operator.replace(**changes) if changes else operator


def with_operators(graph: Graph, operators: object, tensors: object = None) -> Graph:
    """The graph with other operators; tensors that nobody writes any more are dropped."""
    ops = tuple(operators)  # pyright: ignore[reportArgumentType]
    written = {op.output for op in ops} | {edge.tensor for edge in graph.inputs}
    pool = graph.tensors if tensors is None else tensors
    kept = tuple(t for t in pool if t.name in written)  # pyright: ignore
    return graph.replace(operators=ops, tensors=kept)


def drop_dead(graph: Graph) -> Graph:
    """Operators whose results nobody needs, with their tensors and inputs."""
    needed = {edge.tensor for edge in graph.outputs}
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if operator.output in needed:
            kept.append(operator)
            needed |= set(operator.inputs)
    inputs = tuple(edge for edge in graph.inputs if edge.tensor in needed)
    return with_operators(graph.replace(inputs=inputs), kept[::-1])
