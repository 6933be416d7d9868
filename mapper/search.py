"""Choosing the engine: the fastest one that fits the board."""

import functools
import math
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from weft import limits
from weft.engines.kind import Pins
from weft.engines.kinds import kind_of
from weft.errors import FitError, ModelError, counted
from weft.machine import timing
from weft.machine.engine import Engine
from weft.machine.parts import Resources
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.mapper.build import FOLD_LEVELS, Draft, Outline, Stored, complete, draft, outline, store
from weft.mapper.candidates import candidates, demand_of, kinds_for
from weft.mapper.resources import predict_for
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv

SLACK = 1.01
"""Cycles that may be given up for fewer LUTs."""


class Options(TypedDict, total=False):
    """What a user may ask for: sizes that the engine must have, and cycles that it must reach.

    requant_lanes: of the array's and the vector unit's output path, or one number for both.
    """

    lanes: int | None
    columns: int | None
    requant_lanes: int | tuple[int, int] | None
    cycles: int | None


def plan(graph: Graph, target: Target, **options: Unpack[Options]) -> Plan:
    """The smallest plan that fits the target and takes at most ``cycles``; pins are kept.

    Without ``cycles``: within 1 % of the fewest.

    Raises FitError when none fits or is fast enough, ConfigError when pinned sizes do not go
    together, ModelError when an operator is beyond every engine's counters.
    """
    return complete(search(graph, target, **options), target)


def search(
    graph: Graph, target: Target, *, external_memory: bool = False, **options: Unpack[Options]
) -> Draft:
    """The draft of the plan that ``plan`` chooses, under the same conditions.

    With ``external_memory`` the engine has to fit without its memories, and the cycles are those
    that it takes where they are never late.
    """
    _check(options)
    pins, cycles = _pins(options), options.get("cycles")
    tried = _tried(graph, target, external_memory, pins, cycles)
    if tried.fitting:
        chosen = _smallest(tried.fitting, cycles)
        if chosen is None:
            best = min(took for took, _, _ in tried.fitting)
            raise FitError(
                f"the fastest engine that fits takes {best} cycles, not {cycles}",
                at=f"{graph.name} on {target.name}",
                remedy=pins.advice,
            )
        return chosen
    if tried.refused is not None and (tried.closest is None or tried.closest[0]):
        raise tried.refused
    assert tried.closest is not None
    at = f"{graph.name} does not fit {target.name}"
    raise FitError(tried.closest[2], at=at, remedy=pins.advice)


def _check(options: Options) -> None:
    """Raise ConfigError for sizes that no engine has."""
    limits.LANES.check(options.get("lanes"))
    limits.COLUMNS.check(options.get("columns"))
    limits.CYCLES.check(options.get("cycles"))
    requant_lanes = options.get("requant_lanes")
    for lanes in requant_lanes if isinstance(requant_lanes, tuple) else (requant_lanes,):
        limits.REQUANT_LANES.check(lanes)


def _pins(options: Options) -> Pins:
    """The pinned sizes."""
    requant_lanes = options.get("requant_lanes")
    if isinstance(requant_lanes, int):
        requant_lanes = (requant_lanes, requant_lanes)
    return Pins(
        lanes=options.get("lanes"), columns=options.get("columns"), requant_lanes=requant_lanes
    )


@dataclass
class _Tried:
    """What became of the engines: cycles, LUTs and draft of those that fit; of the others the one
    that came closest (bare: even without its memories too large; excess; why), and an operator
    beyond an engine's counters."""

    fitting: list[tuple[int, int, Draft]] = field(default_factory=list)
    closest: tuple[bool, float, str] | None = None
    refused: ModelError | None = None

    def fails(self, bare: bool, excess: float, reason: str) -> bool:
        """Whether an engine is too large; notes how closely."""
        if excess > 1:
            failure = (bare, excess, reason)
            self.closest = min(self.closest or failure, failure)
        return excess > 1

    def take(self, target: Target, begun: Outline, external_memory: bool) -> None:
        """Draft a plan and put it where it belongs."""
        made = draft(begun)
        short, needs = _judged(target, begun.engine, made.engine, external_memory)
        if not self.fails(False, *short):
            took = timing.program_cycles(made.engine, made.steps, made.transfers)
            self.fitting.append((took, needs.lut, made))


def _tried(
    graph: Graph, target: Target, external_memory: bool, pins: Pins, cycles: int | None
) -> _Tried:
    """All engines that may be fast enough."""
    tried = _Tried()
    hopeless: list[tuple[float, Outline]] = []
    demand, macs = demand_of(graph), _array_macs(graph)
    ways = functools.cache(functools.partial(_stored, graph))
    for engine in candidates(target, pins, demand, kinds_for(graph)):
        best = min((took for took, _, _ in tried.fitting), default=math.inf)
        limit = max(cycles, best) if cycles else best * SLACK
        if timing.mac_floor(engine, macs) > limit:
            continue  # too slow even without a single idle cycle
        if tried.fails(True, *shortfall(target, engine, predict_for(target, engine))):
            continue
        for stored in ways(engine.lanes):
            try:
                begun = outline(stored, engine, demand.widths)
            except ModelError as error:  # more lanes may do: fewer words to count
                tried.refused = error
                continue
            if begun.busy > limit:
                continue
            least, _ = _judged(target, begun.engine, begun.least, external_memory)
            if least[0] > 1:
                hopeless.append((least[0], begun))
            else:
                tried.take(target, begun, external_memory)
    if not tried.fitting:
        _look_for_closest(tried, target, hopeless, external_memory)
    return tried


def _judged(
    target: Target, bare: Engine, engine: Engine, external_memory: bool
) -> tuple[tuple[float, str], Resources]:
    """How far an engine exceeds the target, as ``shortfall`` has it, and what it needs.

    bare: the same without its memories, which does not need them where they are outside.
    """
    needs = predict_for(target, bare if external_memory else engine)
    return shortfall(target, engine, needs), needs


def _look_for_closest(
    tried: _Tried, target: Target, hopeless: list[tuple[float, Outline]], external_memory: bool
) -> None:
    """Of the engines whose memories alone are too large, draft those that may come closest.

    With each is how far it exceeds the target at least.
    """
    for least, begun in sorted(hopeless, key=lambda item: item[0]):
        if tried.closest is not None and (False, least) > tried.closest[:2]:
            break
        tried.take(target, begun, external_memory)


def _smallest(fitting: list[tuple[int, int, Draft]], cycles: int | None) -> Draft | None:
    """The fewest LUTs within ``cycles``, or within 1 % of the fewest cycles; None if none is."""
    limit = cycles or min(took for took, _, _ in fitting) * SLACK
    enough = [item for item in fitting if item[0] <= limit]
    return min(enough, key=lambda item: (item[1], item[0]))[2] if enough else None


def _stored(graph: Graph, lanes: int) -> list[Stored]:
    """The ways to store the inputs for so many lanes that differ."""
    ways: list[Stored] = []
    for level in FOLD_LEVELS:
        stored = store(graph, lanes, level)
        if not ways or stored.inputs != ways[-1].inputs:
            ways.append(stored)
    return ways


def _array_macs(graph: Graph) -> int:
    """Multiply-accumulates that the array must do in any case."""
    total = 0
    for operator in graph.operators:
        if isinstance(operator, Conv) and operator.groups == 1:
            _, height, width = graph.tensor(operator.output).shape
            total += operator.weight.size * height * width
    return total


def shortfall(target: Target, engine: Engine, needs: Resources) -> tuple[float, str]:
    """How far the scarcest resource is exceeded (1.0: just fits), and a sentence about it."""
    sizes = f"{counted(engine.lanes, 'lane')} and {counted(engine.columns, 'column')}"
    shares = budgets(target, engine, needs)
    noun, needed, available = max(shares, key=lambda item: _ratio(item[1], item[2]))
    return _ratio(needed, available), (
        f"it needs {counted(needed, noun)} with {sizes}, the board has {available} for it"
    )


def budgets(target: Target, engine: Engine, needs: Resources) -> tuple[tuple[str, int, int], ...]:
    """(one of a resource, how many an engine needs, how many of the device's the core may take)."""
    facts = target.facts
    cells = kind_of(engine).counts_cells
    lut = facts.logic_cells(needs) if cells else needs.lut
    return (
        ("block RAM", needs.bram, target.bram),
        ("DSP multiplier", needs.dsp, target.dsp),
        ("single-ported RAM", needs.spram, target.spram),
        ("logic cell" if cells else "LUT", lut, int(target.lut * facts.lut_share)),
        ("flip-flop", needs.ff, int(target.ff * facts.ff_share)),
    )


def _ratio(needed: int, available: int) -> float:
    if available:
        return needed / available
    return math.inf if needed else 0.0
