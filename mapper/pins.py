"""Operators that a user wants on the other unit than the mapper's rule gives them."""

from collections.abc import Mapping

import numpy as np

from weft.engines.common.lower import depthwise
from weft.engines.common.pack import dense
from weft.errors import ConfigError
from weft.machine.engine import Unit
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv


def pinned(graph: Graph, units: Mapping[str, Unit]) -> Graph:
    """The graph to plan, so that these operators run on these units; its results are the same.

    A depthwise convolution runs on the array as a dense one whose other weights are 0; a dense one
    whose other weights are 0 on the vector unit as a depthwise one. Raises ConfigError for any
    other operator that is not on the unit already.
    """
    operators: dict[str, Operator] = {operator.name: operator for operator in graph.operators}
    for name, unit in units.items():
        if name not in operators:
            names = ", ".join(map(repr, operators))
            raise ConfigError(f"--pin {name}: the network has no such operator, but {names:.500}")
        operators[name] = _moved(graph, operators[name], unit)
    return graph.replace(operators=tuple(operators.values()))


def _moved(graph: Graph, operator: Operator, unit: Unit) -> Operator:
    now = Unit.VECTOR
    if isinstance(operator, Conv):
        now = Unit.VECTOR if depthwise(graph, operator) else Unit.ARRAY
        if now is unit:
            return operator
        if unit is Unit.ARRAY:
            return operator.replace(groups=1, weight=dense(operator.weight, operator.groups))
        channels = graph.tensor(operator.input).shape[0]
        weight = dense(operator.weight, operator.groups)
        own = np.eye(len(weight), channels, dtype=bool)
        if len(weight) == channels > 1 and not weight[~own].any():
            return operator.replace(groups=channels, weight=weight[own][:, None])
        why = "it adds the products of several channels, which only the array does"
    elif unit is Unit.ARRAY:
        why = f"the array only multiplies by weights and adds, and it is a {operator.type}"
    else:
        return operator
    raise ConfigError(
        f"--pin {operator.name}={unit.value}: {why}; leave it on the vector unit"
        if now is Unit.VECTOR
        else f"--pin {operator.name}={unit.value}: {why}; leave it on the array"
    )
