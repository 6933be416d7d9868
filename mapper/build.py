"""From a graph to a plan, on a given engine: folding, lowering, allocation, memory depths."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from weft.engines.common.loads import transfers_of
from weft.engines.common.program import Place, Program
from weft.engines.common.widths import Widths, widths_of
from weft.engines.kinds import kind_of
from weft.machine.engine import Engine, Memories
from weft.machine.fields import step_chunks
from weft.machine.layout import port_words
from weft.machine.plan import Buffer, Drain, Plan, Port, Region, Rows, Step, Transfer
from weft.machine.target import Target
from weft.mapper import fold as folding
from weft.mapper.allocate import Lifetime, allocate
from weft.mapper.banks import Parity, demands, follows
from weft.mapper.chain import gaps
from weft.mapper.copies import with_copies
from weft.mapper.pieces import Pieces, busy_cycles
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.names import Names
from weft.nn.ir.numerics import Scaling
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.rescale import Rescale

INPUTS, OUTPUTS = "(inputs)", "(outputs)"
"""Names of the two I/O regions among the buffers, unless a tensor has one of them."""

FOLD_LEVELS = (0, 1, 2)
"""How far to fold first layers: not, kernel columns, kernel rows and columns."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A graph whose foldable inputs are stored folded, with its I/O ports.

    regions: names of the buffers of all inputs and all outputs.
    """

    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    regions: tuple[str, str]

    @functools.cached_property
    def region_of(self) -> dict[str, str]:
        """Names of the I/O regions in which tensors lie."""
        inputs, outputs = self.regions
        found = {port.edge.tensor: inputs for port in self.inputs}
        return found | {port.edge.tensor: outputs for port in self.outputs}

    @functools.cached_property
    def copied(self) -> "Stored":
        """The same with the copies that memories with a single port need."""
        return replace(self, graph=with_copies(self.graph, self.region_of))

    @functools.cached_property
    def pieces(self) -> Pieces:
        """Its operators, lowered for one engine after the other."""
        return Pieces(self.graph)


def store(graph: Graph, lanes: int, level: int) -> Stored:
    """Fold each input as far as ``level`` says and it helps; lay the ports out one by one."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    operators = list(graph.operators)
    names = Names(tensors)
    regions = names.new(INPUTS), names.new(OUTPUTS)
    operator_names = Names(operator.name for operator in operators)
    given = {edge.tensor for edge in graph.inputs}
    copies: dict[str, str] = {}
    for name in dict.fromkeys(edge.tensor for edge in graph.outputs if edge.tensor in given):
        copies[name] = copy = names.new(f"{name}/copy")
        tensors[copy] = tensors[name].replace(name=copy)
        operators.append(
            Rescale(name=operator_names.new(copy), output=copy, input=name, scaling=_one())
        )
    edges = tuple(
        edge.replace(tensor=copies.get(edge.tensor, edge.tensor)) for edge in graph.outputs
    )
    folds = {}
    for edge in _unique(graph.inputs):
        ways = folding.options(graph, edge.tensor, lanes)
        way = ways[min(level, len(ways) - 1)]
        if way is not None:
            folds[edge.tensor] = way.fold
            tensors[edge.tensor] = way.tensor
            places = [operator.output for operator in operators]
            operators[places.index(way.conv.output)] = way.conv
    changed = graph.replace(
        tensors=tuple(tensors.values()), operators=tuple(operators), outputs=edges
    )
    return Stored(
        graph=changed,
        inputs=_ports(changed, _unique(graph.inputs), lanes, folds),
        outputs=_ports(changed, edges, lanes, {}),
        regions=regions,
    )


def _unique(edges: tuple[HostEdge, ...]) -> list[HostEdge]:
    return list({edge.tensor: edge for edge in edges}.values())


def _one() -> Scaling:
    return Scaling(mantissa=np.array([1 << 23]), shift=np.array([23]))


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


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A plan without addresses and memory contents: enough to know its cycles and resources.

    The steps' addresses are not yet those of the plan.
    """

    stored: Stored
    engine: Engine
    steps: tuple[Step, ...]
    transfers: tuple[Transfer, ...]
    buffers: tuple[Buffer, ...]


def build(graph: Graph, target: Target, engine: Engine, level: int) -> Plan:
    """The plan of a network on an engine whose memory depths and widths are still open.

    Raises ModelError where an operator exceeds what the engine's counters or sums can hold.
    """
    stored = store(graph, engine.lanes, level)
    return complete(draft(outline(stored, engine, widths_of(graph))), target)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A network on an engine before anything has its time and place: the first step of a draft.

    least: the engine with the depths that its memories have at least; busy: cycles that it takes at
    least. spans: first and last step of each operator by its output.
    """

    stored: Stored
    engine: Engine
    widths: Widths
    program: Program
    spans: dict[str, tuple[int, int]]
    least: Engine
    busy: int


def outline(stored: Stored, engine: Engine, widths: Widths) -> Outline:
    """The operators' steps, one after the other. Raises ModelError as ``build`` does."""
    if engine.alternates:
        stored = stored.copied
    pieces = stored.pieces.on(engine)
    program = Program(graph=stored.graph, engine=engine, place=lambda name: Place())
    spans = {}
    for operator, piece in zip(stored.graph.operators, pieces, strict=True):
        first = len(program.steps)
        program.append(piece.steps, piece.words)
        spans[operator.output] = (first, len(program.steps) - 1)
    return Outline(
        stored=stored,
        engine=engine,
        widths=widths,
        program=program,
        spans=spans,
        least=_fitted(engine, program, (), widths),
        busy=busy_cycles(engine, pieces),
    )


def draft(outline: Outline) -> Draft:
    """Steps, banks, buffers and memory depths."""
    stored, engine = outline.stored, outline.engine
    program, spans, region_of = outline.program, outline.spans, stored.region_of
    parity = demands(stored.graph, region_of, engine.alternates)
    following: dict[int, Rows] = {}
    if engine.overlaps:
        following = follows(stored.graph, program.steps, spans, region_of, parity)
    lifetimes = _lifetimes(stored, spans, engine, following)
    buffers = allocate(_place_banks(lifetimes, parity))
    engine = _fitted(engine, program, buffers, outline.widths)
    steps = tuple(
        step.replace(after=(following[i],)) if i in following else step
        for i, step in enumerate(program.steps)
    )
    if engine.overlaps:
        chained = gaps(engine, list(steps), _reads_before(stored.graph, spans))
        steps = tuple(
            step if gap is None else step.replace(after=(Drain(step=i - 1, gap=gap),))
            for i, (step, gap) in enumerate(zip(steps, chained, strict=True))
        )
    return Draft(
        stored=stored,
        engine=engine,
        steps=steps,
        transfers=transfers_of(program.segments) if engine.has_store else (),
        buffers=buffers,
    )


def _reads_before(graph: Graph, spans: dict[str, tuple[int, int]]) -> list[bool]:
    """For every step, whether its operator reads what the step before it writes."""
    outputs: dict[int, Operator] = {}
    for operator in graph.operators:
        first, last = spans[operator.output]
        outputs |= dict.fromkeys(range(first, last + 1), operator)
    return [i > 0 and outputs[i - 1].output in outputs[i].inputs for i in range(len(outputs))]


def complete(draft: Draft, target: Target) -> Plan:
    """The draft's plan: its buffers' addresses in the steps, and what the memories hold."""
    stored = draft.stored
    by_name = {buffer.tensor: buffer for buffer in draft.buffers}
    inputs, outputs = (
        Region(
            bank=by_name[name].bank,
            base=by_name[name].offset,
            words=by_name[name].words,
            ports=ports,
        )
        for name, ports in zip(stored.regions, (stored.inputs, stored.outputs), strict=True)
    )
    places = {x.tensor: Place(bank=x.bank, base=x.offset) for x in draft.buffers}
    for region in (inputs, outputs):
        places |= {
            port.edge.tensor: Place(bank=region.bank, base=region.base + port.offset)
            for port in region.ports
        }
    program = _lowered(stored.graph, draft.engine, places.__getitem__)
    return Plan(
        network=stored.graph.name,
        target=target,
        engines=(draft.engine,),
        steps=tuple(
            step.replace(after=rough.after)
            for step, rough in zip(program.steps, draft.steps, strict=True)
        ),
        transfers=draft.transfers,
        buffers=draft.buffers,
        inputs=inputs,
        outputs=outputs,
        images=(program.images(),),
        macs=stored.graph.macs,
        notes=stored.graph.notes,
    )


def _fitted(
    engine: Engine, program: Program, buffers: tuple[Buffer, ...], widths: Widths
) -> Engine:
    """The engine with the widths and memory depths that a program needs."""
    ends = [max((x.offset + x.words for x in buffers if x.bank == b), default=1) for b in (0, 1)]
    return kind_of(engine).fit(engine, program, (ends[0], ends[1]), widths)


def _place_banks(lifetimes: list[Lifetime], parity: Parity) -> list[Lifetime]:
    """A bank for every buffer: as demanded within a group, and groups where they add least."""
    groups: dict[str, list[tuple[Lifetime, int]]] = {}
    for lifetime in lifetimes:
        root, bit = parity.find(lifetime.tensor)
        groups.setdefault(root, []).append((lifetime, bit))
    placed: list[Lifetime] = []
    steps = 2 + max(x.last_step for x in lifetimes)
    live = np.zeros((2, steps), np.int64)  # words in each bank from step -1 on
    for members in sorted(groups.values(), key=lambda g: -sum(x.words for x, _ in g)):
        added = np.zeros_like(live)
        for x, bit in members:
            added[bit, 1 + x.first_step : 2 + x.last_step] += x.words
        peaks = [int((live + way).max(axis=1).sum()) for way in (added, added[::-1])]
        flip = int(peaks[1] < peaks[0])
        live += added[::-1] if flip else added
        placed += [replace(x, bank=bit ^ flip) for x, bit in members]
    return placed


def _lowered(graph: Graph, engine: Engine, place: Callable[[str], Place]) -> Program:
    """The program with its contents, where each tensor has its place."""
    program = Program(graph=graph, engine=engine, place=place)
    for operator in graph.operators:
        if engine.has_store:
            program.open_segment()
        kind_of(engine).lower(program, operator)
    return program


def _lifetimes(
    stored: Stored,
    spans: dict[str, tuple[int, int]],
    engine: Engine,
    following: dict[int, Rows],
) -> list[Lifetime]:
    """Lifetimes, banks still open. What a step reads last stays while the next runs beside it."""
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
            tensor=stored.regions[0],
            bank=0,
            words=sum(port_words(port, engine.lanes) for port in stored.inputs),
            first_step=-1,
            last_step=max(reads.get(name, -1) for name in given),
        ),
        Lifetime(
            tensor=stored.regions[1],
            bank=0,
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
                    bank=0,
                    words=height * width * engine.words(channels),
                    first_step=first,
                    last_step=max(last, reads.get(tensor.name, last)),
                )
            )
    return [
        replace(x, last_step=x.last_step + 1) if x.last_step + 1 in following else x
        for x in lifetimes
    ]


def shared_engine(plans: Sequence[Plan]) -> Engine:
    """One engine large enough for all plans, which must have the same lanes and columns.

    ``plan.replace(engines=(shared_engine(plans),))`` then runs on that engine: one bitstream (or
    simulation) for several networks.
    """
    engines = [plan.engine for plan in plans]
    open_engines = [
        e.replace(
            memories=Memories(), accumulator_bits=25, weight_bits=8, count_bits=12, products=False
        )
        for e in engines
    ]
    if any(e != open_engines[0] for e in open_engines):
        raise ValueError("plans for different engines cannot share one")
    depths = [e.memories for e in engines]
    memories = Memories(
        act=(max(x.act[0] for x in depths), max(x.act[1] for x in depths)),
        weight=max(x.weight for x in depths),
        vector=max(x.vector for x in depths),
        param=(max(x.param[0] for x in depths), max(x.param[1] for x in depths)),
        store=max(x.store for x in depths),
    )
    engine = engines[0].replace(
        memories=memories,
        accumulator_bits=max(e.accumulator_bits for e in engines),
        weight_bits=max(e.weight_bits for e in engines),
        count_bits=max(e.count_bits for e in engines),
        products=any(e.products for e in engines),
    )
    n_steps = max(len(plan.steps) + len(plan.transfers) for plan in plans)
    return engine.replace(memories=memories.replace(program=n_steps * step_chunks(engine)))
