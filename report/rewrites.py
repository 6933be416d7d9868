"""Networks that cost less: the same shapes with something left out, to see what that is worth.

They are planned, never built: what they compute is another network, which has to be trained.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from weft.nn.ir.graph import AnyOperator, Graph
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.ops.rescale import Rescale


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """A network and what is different about it."""

    kind: str
    change: str
    graph: Graph


def rewrites(graph: Graph) -> Iterator[Rewrite]:
    """The rewritten networks that differ from the given one."""
    plain = without_gates(graph)
    if plain is not graph:
        yield Rewrite(
            kind="activation",
            change="Relu in the place of activation functions that multiply (HardSwish, SiLU)",
            graph=plain,
        )
    narrow = narrowed(graph, 127)
    if narrow is not graph:
        wide = any(
            abs(int(conv.weight.min())) > 128 or conv.weight.max() > 127 for conv in _convs(graph)
        )
        yield Rewrite(
            kind="weights",
            change=(
                "weights quantised with zero point 0, to -127..127"
                if wide
                else "weights quantised to -127..127: two products share a multiplier"
            ),
            graph=narrow,
        )


def _convs(graph: Graph) -> list[Conv]:
    return [operator for operator in graph.operators if isinstance(operator, Conv)]


def narrowed(graph: Graph, most: int) -> Graph:
    """The graph with its weights clipped; the same graph where none changes."""
    if all(np.abs(conv.weight).max() <= most for conv in _convs(graph)):
        return graph
    operators = tuple(
        op.replace(weight=np.clip(op.weight, -most, most)) if isinstance(op, Conv) else op
        for op in graph.operators
    )
    return graph.replace(operators=operators)


def without_gates(graph: Graph) -> Graph:
    """The graph without products of a tensor and what is computed from that alone, element by
    element: what such an activation function reads is read in its place."""
    instead: dict[str, str] = {}
    for operator in graph.operators:
        if isinstance(operator, Mul):
            roots = {_root(graph, name) for name in operator.inputs}
            if len(roots) == 1:
                instead[operator.output] = roots.pop()
    if not instead:
        return graph
    operators = [_renamed(op, instead) for op in graph.operators if op.output not in instead]
    ends = {edge.tensor for edge in graph.outputs}
    if ends & set(instead):
        return graph
    wanted = set(ends)
    kept: list[AnyOperator] = []
    for operator in reversed(operators):
        if operator.output in wanted:
            kept.append(operator)
            wanted |= set(operator.inputs)
    return graph.replace(
        operators=tuple(kept[::-1]),
        tensors=tuple(tensor for tensor in graph.tensors if tensor.name in wanted),
    )


def _root(graph: Graph, name: str) -> str:
    """What a tensor is a rescaled form of."""
    maker = graph.producer(name)
    while isinstance(maker, Rescale):
        name = maker.input
        maker = graph.producer(name)
    return name


def _renamed(operator: AnyOperator, instead: dict[str, str]) -> AnyOperator:
    """The operator with other inputs."""

    def resolved(name: str) -> str:
        while name in instead:
            name = instead[name]
        return name

    changes = {}
    for item in fields(operator):
        value = getattr(operator, item.name)
        if item.name in ("name", "output"):
            continue
        if isinstance(value, str) and value in instead:
            changes[item.name] = resolved(value)
        elif isinstance(value, tuple) and any(x in instead for x in value if isinstance(x, str)):
            changes[item.name] = tuple(resolved(x) if isinstance(x, str) else x for x in value)
    return operator.replace(**changes)
