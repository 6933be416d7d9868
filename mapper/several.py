"""A network on several engines: each runs the operators that it is given, with memories of its own.

Every engine gets a plan of its part of the network. What another engine makes is among that part's
inputs, what another one needs among its outputs, so that both keep it as long as any step may want
it. The plans' steps are then merged in an order that all of them can keep, with a transfer right
after the last step that makes what it copies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weft.engines.common.widths import widths_of
from weft.errors import ConfigError
from weft.machine.engine import Engine, Unit
from weft.machine.layout import port_words
from weft.machine.memory_map import ACTIVATIONS
from weft.machine.plan import Buffer, Dependency, End, Moved, Plan, Region, Step, Transfer
from weft.machine.target import Target
from weft.mapper.build import Stored, complete, draft, outline, store
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator


@dataclass(frozen=True)
class _Part:
    """One engine's part: its plan, and the graph whose operators its steps are."""

    plan: Plan
    stored: Stored


def plan_on(
    graph: Graph, target: Target, engines: Sequence[Engine], assignment: Mapping[str, int]
) -> Plan:
    """The plan of a network whose operators run on the engines that ``assignment`` names.

    assignment: a number of an engine by the operator's name. The network's inputs and outputs are
    the first engine's. Whether all engines fit the target is not asked. Raises ConfigError where
    the assignment is not one or the engines' words differ, ModelError as ``build`` does.
    """
    _check(graph, engines, assignment)
    parts = []
    for index, engine in enumerate(engines):
        stored = store(_part(graph, assignment, index), engine.lanes, 0)
        made = draft(outline(stored, engine, widths_of(graph)))
        parts.append(_Part(complete(made, target), made.stored))
    return _merged(graph, parts, assignment)


def _check(graph: Graph, engines: Sequence[Engine], assignment: Mapping[str, int]) -> None:
    names = [operator.name for operator in graph.operators]
    wrong = [name for name in names if assignment.get(name, -1) not in range(len(engines))]
    if wrong:
        raise ConfigError(
            f"operator {wrong[0]!r} is on no engine; what works: one of 0..{len(engines) - 1}"
        )
    if idle := sorted(set(range(len(engines))) - {assignment[name] for name in names}):
        raise ConfigError(f"engine {idle[0]} has no operator; what works: leave it out")
    lanes = [engine.lanes for engine in engines]
    if len(set(lanes)) > 1:
        raise ConfigError(
            f"words cannot move between engines of {' and '.join(map(str, lanes))} lanes; what "
            "works: as many in all"
        )


def _makers(graph: Graph, assignment: Mapping[str, int]) -> dict[str, int]:
    """The engine that has each tensor first; the network's inputs come to the first engine."""
    given = dict.fromkeys((edge.tensor for edge in graph.inputs), 0)
    return given | {op.output: assignment[op.name] for op in graph.operators}


def _part(graph: Graph, assignment: Mapping[str, int], index: int) -> Graph:
    """The part of an engine, its inputs and outputs: first the network's, then other engines'."""
    makers = _makers(graph, assignment)
    operators = tuple(op for op in graph.operators if assignment[op.name] == index)
    reads: list[tuple[int, str]] = [(assignment[op.name], x) for op in graph.operators
                                    for x in op.inputs]  # fmt: skip
    reads += [(0, edge.tensor) for edge in graph.outputs]
    crossing = [(at, name) for at, name in dict.fromkeys(reads) if makers[name] != at]
    taken = [name for at, name in crossing if at == index]
    given = dict.fromkeys(name for _, name in crossing if makers[name] == index)
    network = {edge.tensor for edge in graph.inputs}
    sent = [name for name in given if name not in network]
    first = index == 0
    edges = [tuple(_edge(graph, name) for name in names) for names in (taken, sent)]
    used = {name for op in operators for name in (*op.inputs, op.output)}
    used |= {*taken, *sent, *(network if first else ())}
    return graph.replace(
        tensors=tuple(tensor for tensor in graph.tensors if tensor.name in used),
        operators=operators,
        inputs=(*(graph.inputs if first else ()), *edges[0]),
        outputs=(*(graph.outputs if first else ()), *edges[1]),
    )


def _edge(graph: Graph, name: str) -> HostEdge:
    shape = graph.tensor(name).shape
    return HostEdge(name=name, tensor=name, shape=shape, dtype="int8", steps=())


def _merged(graph: Graph, parts: list[_Part], assignment: Mapping[str, int]) -> Plan:
    order = _order(graph, parts)
    place = {key: index for index, key in enumerate(order)}
    steps = [_moved(parts[e].plan.steps[i], e, place) for e, i in order]
    transfers: list[Transfer] = []
    for transfer in _transfers(graph, parts, steps, assignment):
        _wait(steps, transfer, len(transfers))
        transfers.append(transfer)
    loads = [
        load.replace(before=place[e, load.before], from_engine=e, to_engine=e)
        for e, part in enumerate(parts)
        for load in part.plan.transfers
    ]
    steps, merged = _numbered(steps, transfers, loads)
    first = parts[0].plan
    return first.replace(
        network=graph.name,
        engines=tuple(part.plan.engine for part in parts),
        steps=tuple(steps),
        transfers=tuple(merged),
        buffers=tuple(b for e, part in enumerate(parts) for b in _buffers(part.plan, e, place)),
        inputs=_host(first.inputs, len({edge.tensor for edge in graph.inputs}), first),
        outputs=_host(first.outputs, len(graph.outputs), first),
        images=tuple(part.plan.images[0] for part in parts),
        macs=graph.macs,
        notes=graph.notes,
    )


def _order(graph: Graph, parts: list[_Part]) -> list[tuple[int, int]]:
    """(engine, its step) of all steps: the engines' orders merged in that of the operators.

    A copy that a part has of its own has the rank of the next operator of the network there.
    """
    ranks = {operator.name: rank for rank, operator in enumerate(graph.operators)}
    keyed = []
    for e, part in enumerate(parts):
        rank = len(ranks)
        for i in range(len(part.plan.steps) - 1, -1, -1):
            rank = ranks.get(part.plan.steps[i].name, rank)
            keyed.append((rank, e, i))
    return [(e, i) for _, e, i in sorted(keyed)]


def _moved(step: Step, engine: int, place: dict[tuple[int, int], int]) -> Step:
    """A part's step in the merged plan."""
    after: list[Dependency] = []
    for dependency in step.after:
        assert not isinstance(dependency, Moved)
        after.append(dependency.replace(step=place[engine, dependency.step]))
    return step.replace(engine=engine, after=tuple(after))


def _buffers(plan: Plan, engine: int, place: dict[tuple[int, int], int]) -> list[Buffer]:
    def at(step: int) -> int:
        if step < 0:
            return step
        return place[engine, step] if step < len(plan.steps) else len(place)

    return [
        buffer.replace(
            engine=engine, first_step=at(buffer.first_step), last_step=at(buffer.last_step)
        )
        for buffer in plan.buffers
    ]


def _host(region: Region, n_ports: int, plan: Plan) -> Region:
    """The start of a region: what of it is the network's."""
    ports = region.ports[:n_ports]
    words = max(port.offset + port_words(port, plan.engine.lanes) for port in ports)
    return region.replace(ports=ports, words=words)


def _transfers(
    graph: Graph, parts: list[_Part], steps: list[Step], assignment: Mapping[str, int]
) -> list[Transfer]:
    """What every engine needs of others, once it is there."""
    makers = _makers(graph, assignment)
    makes: dict[str, Operator] = {operator.output: operator for operator in graph.operators}
    network = {edge.tensor for edge in graph.inputs}
    found = []
    for e, part in enumerate(parts):
        for port in part.plan.inputs.ports:
            name = port.edge.tensor
            if makers[name] == e:
                continue
            source = parts[makers[name]].plan
            region = source.inputs if name in network else source.outputs
            given = next(p for p in region.ports if p.edge.tensor == name)
            last = -1
            if name in makes:
                last = max(i for i, s in enumerate(steps) if s.name == makes[name].name)
            found.append(
                Transfer(
                    source=ACTIVATIONS[region.bank],
                    first=region.base + given.offset,
                    words=port_words(port, part.plan.engine.lanes),
                    target=ACTIVATIONS[part.plan.inputs.bank],
                    at=part.plan.inputs.base + port.offset,
                    before=last + 1,
                    from_engine=makers[name],
                    to_engine=e,
                    after=_ends(steps[: last + 1], (makers[name], e)),
                )
            )
    return sorted(found, key=lambda transfer: transfer.before)


def _ends(steps: list[Step], engines: tuple[int, int]) -> tuple[End, ...]:
    """The last step of each unit of two engines."""
    last = {(s.engine, s.unit): i for i, s in enumerate(steps) if s.engine in engines}
    keys = [(engine, unit) for engine in engines for unit in Unit]
    return tuple(End(step=last[key]) for key in keys if key in last)


def _wait(steps: list[Step], transfer: Transfer, number: int) -> None:
    """The next step of both engines waits for the transfer; those after it begin later."""
    for engine in (transfer.from_engine, transfer.to_engine):
        later = (i for i in range(transfer.before, len(steps)) if steps[i].engine == engine)
        if (index := next(later, None)) is not None:
            after = (*steps[index].after, Moved(transfer=number))
            steps[index] = steps[index].replace(after=after)


def _numbered(
    steps: list[Step], transfers: list[Transfer], loads: list[Transfer]
) -> tuple[list[Step], list[Transfer]]:
    """All transfers in the order of the program, and the steps with their numbers there."""
    both = [(x.before, 0, i, x) for i, x in enumerate(transfers)]
    both += [(x.before, 1, i, x) for i, x in enumerate(loads)]
    both.sort(key=lambda item: item[:3])
    numbers = {i: n for n, (_, kind, i, _) in enumerate(both) if kind == 0}

    def renumbered(dependency: Dependency) -> Dependency:
        if isinstance(dependency, Moved):
            return dependency.replace(transfer=numbers[dependency.transfer])
        return dependency

    changed = [step.replace(after=tuple(map(renumbered, step.after))) for step in steps]
    return changed, [x for *_, x in both]
