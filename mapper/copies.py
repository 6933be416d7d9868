"""Copies of tensors in the wrong bank, where memories with a single port leave no choice."""

from weft.mapper.banks import Parity
from weft.nn.ir.graph import Graph
from weft.nn.ir.names import Names
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.tensor import Tensor
from weft.nn.passes.rewriting import reading


def with_copies(graph: Graph, region_of: dict[str, str]) -> Graph:
    """The graph in which every operator can read one bank and write the other.

    An operand that would have to lie in the bank that is written is copied to the other one. All
    operands of an operator then lie in one bank. region_of: tensors that lie in a buffer of another
    name.
    """
    parity = Parity()
    names = Names([*region_of.values(), *(tensor.name for tensor in graph.tensors)])
    operator_names = Names(operator.name for operator in graph.operators)
    copies: dict[str, str] = {}
    operators: list[Operator] = []
    tensors: list[Tensor] = list(graph.tensors)

    def apart(a: str, b: str) -> bool:
        return parity.link(region_of.get(a, a), region_of.get(b, b), differ=True)

    for operator in graph.operators:
        for name in dict.fromkeys(operator.inputs):
            if apart(name, operator.output):
                continue
            if name not in copies:
                copy = graph.tensor(name).replace(name=names.new(f"{name}/moved"))
                copies[name] = copy.name
                tensors.append(copy)
                operators.append(
                    Rescale(
                        name=operator_names.new(copy.name),
                        output=copy.name,
                        input=name,
                        scaling=scaling_of(1.0),
                    )
                )
                apart(name, copy.name)
            operator = reading(operator, name, copies[name])
            assert apart(copies[name], operator.output)
        operators.append(operator)
    return graph.replace(operators=tuple(operators), tensors=tuple(tensors))
