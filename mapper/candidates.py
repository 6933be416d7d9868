"""Engines worth trying on a device, of all kinds."""

from collections.abc import Iterator

from weft.engines.common.lower import depthwise
from weft.engines.common.widths import widths_of
from weft.engines.kind import Demand, EngineKind, Pins
from weft.engines.kinds import KINDS
from weft.errors import ConfigError, FitError, ModelError
from weft.machine.engine import Engine
from weft.machine.target import Target
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv


def demand_of(graph: Graph) -> Demand:
    """What a network asks of any engine. Raises ModelError where a sum is beyond every engine's."""
    convs = [operator for operator in graph.operators if isinstance(operator, Conv)]
    return Demand(
        widths=widths_of(graph),
        depthwise=any(conv.groups > 1 for conv in convs),
        weights=_range(convs),
        array_weights=_range([conv for conv in convs if not depthwise(graph, conv)]),
    )


def _range(convs: list[Conv]) -> tuple[int, int]:
    """The smallest and the largest weight."""
    return (
        min((int(conv.weight.min()) for conv in convs), default=0),
        max((int(conv.weight.max()) for conv in convs), default=0),
    )


def kinds_for(graph: Graph) -> tuple[EngineKind, ...]:
    """The kinds that run all of a network. Raises ModelError if there is none."""
    found, refusals = [], []
    for kind in KINDS:
        reasons = ((x.name, kind.supports(x, graph)) for x in graph.operators)
        refused = next((f"node {name!r}: {why}" for name, why in reasons if why), None)
        if refused is None:
            found.append(kind)
        else:
            refusals.append(refused)
    if not found:
        raise ModelError(refusals[0])
    return tuple(found)


def candidates(
    target: Target, pins: Pins, demand: Demand, kinds: tuple[EngineKind, ...] = KINDS
) -> Iterator[Engine]:
    """Engines to try, kind by kind, the largest first, with open memory depths.

    Raises FitError or ConfigError, of the first kind that has a reason, when there are none.
    """
    refusals: list[FitError | ConfigError] = []
    found = False
    for kind in kinds:
        try:
            for engine in kind.candidates(demand, target, pins):
                found = True
                yield engine
        except (FitError, ConfigError) as error:
            refusals.append(error)
    if not found:
        if refusals:
            raise refusals[0]
        raise FitError(
            f"none is for its family, {target.family}", at=f"no engine fits {target.name}"
        )
