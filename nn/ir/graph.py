"""The integer graph: int8 tensors of shape [C, H, W] and the exact operators between them.

A batch is always one. Tensors of one dimension (fully connected layers) are [C, 1, 1]. All codes
are int8: an importer stores uint8 codes shifted by -128, together with their zero point, and the
host edges shift back. Each operator's file in ``weft.nn.ir.ops`` defines what it computes;
``docs/ops.md`` says the same in words.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from weft.nn.ir.edges import HostEdge
from weft.nn.ir.note import Note
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.tensor import Tensor
from weft.value import Value

AnyOperator = Conv | Add | Mul | MaxPool | AveragePool | Rescale | Concat | Move | Reshape
"""The operators by name, for graphs that are read back from JSON."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph(Value):
    """A whole network. ``operators`` stand in an order in which they can run."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[AnyOperator, ...]
    inputs: tuple[HostEdge, ...]
    outputs: tuple[HostEdge, ...]
    macs: int = 0  # multiply-accumulates of the original network
    notes: tuple[Note, ...] = ()  # every approximation, for the report
    unused_inputs: tuple[str, ...] = ()  # of the model, by name: no output depends on them

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name. Raises KeyError."""
        return self._by_name[name]

    def producer(self, name: str) -> Operator | None:
        """The operator that writes a tensor; None for network inputs and unknown names."""
        return self._producers.get(name)

    def consumers(self, name: str) -> tuple[Operator, ...]:
        """The operators that read a tensor."""
        return self._consumers.get(name, ())

    # Made when first asked for: a value never changes, and every stage asks for each name.

    @functools.cached_property
    def _by_name(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in reversed(self.tensors)}

    @functools.cached_property
    def _producers(self) -> dict[str, Operator]:
        return {operator.output: operator for operator in reversed(self.operators)}

    @functools.cached_property
    def _consumers(self) -> dict[str, tuple[Operator, ...]]:
        found: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in dict.fromkeys(operator.inputs):
                found.setdefault(name, []).append(operator)
        return {name: tuple(operators) for name, operators in found.items()}


def where_from(tensor: str, operators: Iterable[Operator], inputs: Iterable[HostEdge]) -> str:
    """Where a tensor comes from, in words of the model: tensors' names may be invented."""
    for edge in inputs:
        if edge.tensor == tensor:
            return f"the model's input {edge.name!r}"
    maker = next((op.name for op in operators if op.output == tensor), None)
    return f"tensor {tensor!r}" if maker is None else f"the result of node {maker!r}"
