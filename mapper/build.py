"""From a graph to a plan, on a given engine: folding, lowering, allocation, memory depths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from weft.mapper import cost
from weft.mapper import fold as folding
from weft.mapper.allocate import Lifetime, allocate
from weft.mapper.lower import Program, lower
from weft.mapper.memory_layout import port_words
from weft.mapper.plan import Buffer, Engine, Memories, Plan, Port, Region
from weft.mapper.target import Target
from weft.nn.errors import ModelError
from weft.nn.graph import Graph, HostEdge, Rescale, Scaling

INPUTS, OUTPUTS = "(inputs)", "(outputs)"
"""Names of the two I/O regions among the buffers."""

FOLD_LEVELS = (0, 1, 2)
"""How far to fold first layers: not, kernel columns, kernel rows and columns."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A graph whose foldable inputs are stored folded, with its I/O ports."""

    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def store(graph: Graph, lanes: int, level: int) -> Stored:
    """Fold each input as far as ``level`` says and it helps; lay the ports out one by one."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    operators = list(_copied_outputs(graph, tensors))
    edges = tuple(_output_edge(graph, edge) for edge in graph.outputs)
    folds = {}
    for edge in _unique(graph.inputs):
        ways = folding.options(graph, edge.tensor, lanes)
        way = ways[min(level, len(ways) - 1)]
        if way is not None:
            folds[edge.tensor] = way.fold
            tensors[edge.tensor] = way.tensor
            names = [operator.name for operator in operators]
            operators[names.index(way.conv.name)] = way.conv
    changed = graph.replace(
        tensors=tuple(tensors.values()), operators=tuple(operators), outputs=edges
    )
    return Stored(
        graph=changed,
        inputs=_ports(changed, _unique(graph.inputs), lanes, folds),
        outputs=_ports(changed, edges, lanes, {}),
    )


def _unique(edges: tuple[HostEdge, ...]) -> list[HostEdge]:
    return list({edge.tensor: edge for edge in edges}.values())


def _copied_outputs(graph: Graph, tensors: dict):
    """All operators, and a copy for each network output that is also a network input."""
    yield from graph.operators
    given = {edge.tensor for edge in graph.inputs}
    one = Scaling(mantissa=np.array([1 << 23]), shift=np.array([23]))
    for name in dict.fromkeys(edge.tensor for edge in graph.outputs):
        if name in given:
            copy = _copy_name(name)
            tensors[copy] = tensors[name].replace(name=copy)
            yield Rescale(name=copy, output=copy, input=name, scaling=one)


def _output_edge(graph: Graph, edge: HostEdge) -> HostEdge:
    if edge.tensor in {given.tensor for given in graph.inputs}:
        return edge.replace(tensor=_copy_name(edge.tensor))
    return edge


def _copy_name(name: str) -> str:
    return f"{name}/copy"


def _ports(graph: Graph, edges, lanes: int, folds: dict) -> tuple[Port, ...]:
    ports: list[Port] = []
    places: dict[str, int] = {}
    end = 0
    for edge in edges:
        shape = graph.tensor(edge.tensor).shape
        offset = places.setdefault(edge.tensor, end)
        port = Port(edge=edge, shape=shape, offset=offset, fold=folds.get(edge.tensor))
        end = max(end, offset + port_words(port, lanes))
        ports.append(port)
    return tuple(ports)


def _region(buffer: Buffer, ports: tuple[Port, ...]) -> Region:
    return Region(base=buffer.offset, words=buffer.words, ports=ports)


def build(graph: Graph, target: Target, engine: Engine, level: int) -> Plan:
    """The plan of a network on an engine whose memory depths and widths are still open.

    Raises ModelError where an operator exceeds what the engine's counters can hold.
    """
    stored = store(graph, engine.lanes, level)
    _, spans = _lower_all(stored.graph, engine, lambda name: 0)
    buffers = allocate(_lifetimes(stored, spans, engine))
    by_name = {buffer.tensor: buffer for buffer in buffers}
    inputs, outputs = (
        _region(by_name[INPUTS], stored.inputs),
        _region(by_name[OUTPUTS], stored.outputs),
    )
    bases = {buffer.tensor: buffer.offset for buffer in buffers}
    for region in (inputs, outputs):
        bases |= {port.edge.tensor: region.base + port.offset for port in region.ports}
    program, _ = _lower_all(stored.graph, engine, bases.__getitem__)
    if program.accumulator_bits > 32:
        raise ModelError(
            f"{graph.name}: sums of {program.accumulator_bits} bits exceed the 32-bit accumulators"
        )
    memories = Memories(
        act=max(buffer.offset + buffer.words for buffer in buffers),
        weight=max(1, program.weight_words),
        vector=max(1, program.vector_words),
        param=max(1, program.param_words),
        program=1,
    )
    engine = engine.replace(
        memories=memories,
        accumulator_bits=program.accumulator_bits,
        weight_bits=max(program.weight_bits, engine.weight_bits),
    )
    chunks = len(program.steps) * cost.step_chunks(engine)
    engine = engine.replace(memories=memories.replace(program=chunks))
    return Plan(
        network=graph.name,
        target=target,
        engines=(engine,),
        steps=tuple(program.steps),
        buffers=buffers,
        inputs=inputs,
        outputs=outputs,
        images=program.images(),
        macs=graph.macs,
        notes=graph.notes,
    )


def _lower_all(
    graph: Graph, engine: Engine, base: Callable[[str], int]
) -> tuple[Program, dict[str, tuple[int, int]]]:
    """The program, and first and last step of each operator by its output tensor."""
    program = Program(graph=graph, engine=engine, base=base)
    spans = {}
    for operator in graph.operators:
        first = len(program.steps)
        lower(program, operator)
        spans[operator.output] = (first, len(program.steps) - 1)
    return program, spans


def _lifetimes(stored: Stored, spans: dict[str, tuple[int, int]], engine: Engine) -> list[Lifetime]:
    graph = stored.graph
    end = max(last for _, last in spans.values()) + 1
    reads: dict[str, int] = {}
    for operator in graph.operators:
        for name in operator.inputs:
            reads[name] = max(reads.get(name, -1), spans[operator.output][1])
    given = {port.edge.tensor for port in stored.inputs}
    wanted = {port.edge.tensor for port in stored.outputs}
    lifetimes = [
        Lifetime(
            tensor=INPUTS,
            words=sum(port_words(port, engine.lanes) for port in stored.inputs),
            first_step=-1,
            last_step=max(reads.get(name, -1) for name in given),
        ),
        Lifetime(
            tensor=OUTPUTS,
            words=max(port.offset + port_words(port, engine.lanes) for port in stored.outputs),
            first_step=min(spans[name][0] for name in wanted),
            last_step=end,
        ),
    ]
    for tensor in graph.tensors:
        if tensor.name in spans and tensor.name not in wanted:
            channels, height, width = tensor.shape
            first, last = spans[tensor.name]
            lifetimes.append(
                Lifetime(
                    tensor=tensor.name,
                    words=height * width * engine.words(channels),
                    first_step=first,
                    last_step=max(last, reads.get(tensor.name, last)),
                )
            )
    return lifetimes


def shared_engine(plans: Sequence[Plan]) -> Engine:
    """One engine large enough for all plans, which must have the same lanes and columns.

    ``plan.replace(engines=(shared_engine(plans),))`` then runs on that engine: one bitstream (or
    simulation) for several networks.
    """
    engines = [plan.engine for plan in plans]
    kinds = {(e.lanes, e.columns, e.requant_lanes) for e in engines}
    if len(kinds) != 1:
        raise ValueError(f"plans for different engines cannot share one: {sorted(kinds)}")
    fields = ("act", "weight", "vector", "param", "program")
    depths = {name: max(getattr(e.memories, name) for e in engines) for name in fields}
    engine = engines[0].replace(
        memories=Memories(**depths),
        accumulator_bits=max(e.accumulator_bits for e in engines),
        weight_bits=max(e.weight_bits for e in engines),
    )
    steps = max(len(plan.steps) for plan in plans) * cost.step_chunks(engine)
    return engine.replace(memories=Memories(**depths | {"program": steps}))
