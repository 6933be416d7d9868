"""A plan that somebody has edited: whether it may take the place of the mapper's own.

It must keep every rule of ``machine.check``, and compute what the mapper's own plan for the same
engine computes. That is shown for all inputs at once, by formulas
(``machine.check.arithmetic``), operator by operator, so that the step that is wrong can be named.
"""

import dataclasses
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.engines.common.widths import widths_of
from weft.engines.kinds import kind_of
from weft.errors import FitError
from weft.machine.check import rules
from weft.machine.check.arithmetic import Formulas
from weft.machine.check.execute import Banks, execute
from weft.machine.check.fault import PlanFault, step_name
from weft.machine.check.places import Places, Tensors
from weft.machine.check.samples import check_samples
from weft.machine.engine import Memories
from weft.machine.layout import from_words
from weft.machine.plan import Plan, Region
from weft.machine.target import Target
from weft.mapper.build import FOLD_LEVELS, Draft, complete, draft, outline, store
from weft.mapper.resources import predict_for
from weft.mapper.search import shortfall
from weft.nn.ir.graph import Graph
from weft.value import Value

MOST_WORK = 4
"""How much more an edited plan may read than the mapper's: checking it takes as much longer."""

PLACES = ("read.bank", "read.base", "write.bank", "write.base", "after")
"""Fields that differ between plans which do the same in other places or at other times."""


@dataclass(frozen=True)
class _Side:
    """One of the two plans, with the graph whose operators its steps are."""

    plan: Plan
    graph: Graph
    region_of: dict[str, str]

    def formulas(
        self,
        given: dict[str, np.ndarray],
        places: Places | None,
        done: Callable[[str, np.ndarray], None],
    ) -> None:
        """Run it; ``done`` takes each operator's results [1, C, H, W] after its last step."""
        last = {step.name: i for i, step in enumerate(self.plan.steps)}
        outputs = {operator.name: operator.output for operator in self.graph.operators}

        def after(index: int, banks: Banks) -> None:
            name = self.plan.steps[index].name
            if last[name] == index:
                done(name, self._tensor(outputs[name], banks))

        execute(self.plan, given, arithmetic=Formulas(), places=places, after=after)

    def _tensor(self, name: str, banks: Banks) -> np.ndarray:
        shape = self.graph.tensor(name).shape
        by_name = {buffer.tensor: buffer for buffer in self.plan.buffers}
        buffer = by_name[self.region_of.get(name, name)]
        ports = (*self.plan.inputs.ports, *self.plan.outputs.ports)
        offset = next((port.offset for port in ports if port.edge.tensor == name), 0)
        base = buffer.offset + offset
        channels, height, width = shape
        words = height * width * self.plan.engine.words(channels)
        # Not a view: later steps use the same words.
        return from_words(banks[buffer.bank][:, base : base + words].copy(), shape)


def check_edited(graph: Graph, target: Target, plan: Plan) -> None:
    """Raise PlanFault unless the plan is one for this network and target, and gives its results.

    Raises FitError where its engine is larger than the target.
    """
    for field in dataclasses.fields(Target):
        value, board = getattr(plan.target, field.name), getattr(target, field.name)
        why = f"the board has {board}"
        _need(value == board, "target", field.name, value, why, f"{board}")
    for name, value, wanted in (
        ("network", plan.network, graph.name),
        ("macs", plan.macs, graph.macs),
    ):
        _need(value == wanted, "the plan", name, value, "the model has another", f"{wanted}")
    n_engines, why = len(plan.engines), "designs are built with one engine"
    _need(n_engines == 1, "the plan", "engines", f"{n_engines} engines", why, "one")
    rules.check(plan)
    kind_of(plan.engine).check(plan.engine, plan.target)
    excess, why = shortfall(target, plan.engine, predict_for(target, plan.engine))
    if excess > 1:
        raise FitError(why, at=f"the plan does not fit {target.name}")
    made = _own_draft(graph, plan)
    stored = made.stored
    own = _Side(complete(made, target), stored.graph, stored.region_of)
    edited = _Side(plan, stored.graph, stored.region_of)
    _check_engine(own.plan, plan)
    _check_buffers(own.plan, plan)
    tensors = _check_steps(own.plan, edited, stored.regions)
    _compare(graph, own, edited, Places(plan, tensors))
    check_samples(graph, plan)


def _need(
    condition: object, where: str, field: str, value: object, why: str, works: str = ""
) -> None:
    if not condition:
        raise PlanFault(where, field, value, why, works)


def _own_draft(graph: Graph, plan: Plan) -> Draft:
    """The mapper's plan for the same engine, with the inputs stored alike."""
    ways = [store(graph, plan.engine.lanes, level) for level in FOLD_LEVELS]
    for name, ports, choices in (
        ("inputs", plan.inputs.ports, [way.inputs for way in ways]),
        ("outputs", plan.outputs.ports, [way.outputs for way in ways]),
    ):
        names = ", ".join(repr(port.edge.name) for port in ports)
        why = "not as the model has them, or not a way to store them"
        _need(ports in choices, name, "ports", names, why, "those that weft compile writes")
    way = next(way for way in ways if way.inputs == plan.inputs.ports)
    bare = plan.engine.replace(
        memories=Memories(), accumulator_bits=25, weight_bits=8, count_bits=12, products=False
    )
    return draft(outline(way, bare, widths_of(graph)))


def _check_engine(own: Plan, plan: Plan) -> None:
    """No width is less than the network's sums and weights need."""
    for name in ("accumulator_bits", "weight_bits", "products"):
        value, least = getattr(plan.engine, name), getattr(own.engine, name)
        why = "too few for some inputs" if name != "products" else "the network multiplies"
        _need(value >= least, rules.ENGINE, name, value, why, f"{least}")


def _check_buffers(own: Plan, plan: Plan) -> None:
    """The same buffers as the mapper's, wherever; those of inputs and outputs are the regions."""
    names = [buffer.tensor for buffer in plan.buffers]
    wanted = {buffer.tensor: buffer.words for buffer in own.buffers}
    why = "not once for each tensor"
    given, works = (", ".join(map(repr, tensors)) for tensors in (names, wanted))
    _need(sorted(names) == sorted(wanted), "the plan", "buffers", given, why, works)
    for i, buffer in enumerate(plan.buffers):
        words, why = wanted[buffer.tensor], "not as many as the tensor has"
        where = f"buffer {i} ({buffer.tensor!r})"
        _need(buffer.words == words, where, "words", buffer.words, why, f"{words}")


def _check_steps(own: Plan, edited: _Side, regions: tuple[str, str]) -> list[Tensors]:
    """Every step is one of an operator, and every operator has one; what they read and write."""
    plan, graph = edited.plan, edited.graph
    by_name = {operator.name: operator for operator in graph.operators}
    for name, region in zip(regions, (plan.inputs, plan.outputs), strict=True):
        _check_region(plan, name, region, "inputs" if region is plan.inputs else "outputs")
    tensors = []
    for i, step in enumerate(plan.steps):
        where = step_name(i, step)
        _need(step.name in by_name, where, "name", repr(step.name), "no operator has this name")
        operator = by_name[step.name]
        kinds = [other.operator for other in own.steps if other.name == step.name]
        why = "the operator of this name is another"
        _need(step.operator in kinds, where, "operator", step.operator, why, kinds[0])
        reads = tuple(edited.region_of.get(name, name) for name in operator.inputs)
        writes = edited.region_of.get(operator.output, operator.output)
        tensors.append(Tensors(reads=reads, writes=writes))
    names = [step.name for step in plan.steps]
    missing = [name for name in by_name if name not in names]
    _need(not missing, "the plan", "steps", f"{len(names)} steps", f"none is of {missing[:1]}")
    work, most = _work(plan), MOST_WORK * _work(own)
    why = f"they read {work:,} words, more than {MOST_WORK} times those of weft's own plan"
    _need(work <= most, "the plan", "steps", f"{len(names)} steps", why)
    return tensors


def _check_region(plan: Plan, name: str, region: Region, where: str) -> None:
    buffer = next(buffer for buffer in plan.buffers if buffer.tensor == name)
    for field, value, wanted in (
        ("bank", region.bank, buffer.bank),
        ("base", region.base, buffer.offset),
        ("words", region.words, buffer.words),
    ):
        why = f"buffer {name!r} has {wanted}"
        _need(value == wanted, where, field, value, why, "the same in both")


def _work(plan: Plan) -> int:
    return sum(step.loops.n_tiles * step.loops.taps for step in plan.steps)


def _compare(graph: Graph, own: _Side, edited: _Side, places: Places) -> None:
    """Each operator's results have the formulas that they have in the mapper's plan."""
    rng = np.random.default_rng(0)
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    given = {
        edge.tensor: rng.integers(low, high, (1, *graph.tensor(edge.tensor).shape), endpoint=True)
        for edge in graph.inputs
    }
    expected: dict[str, np.ndarray] = {}
    own.formulas(given, None, expected.__setitem__)

    def compare(name: str, formulas: np.ndarray) -> None:
        if not np.array_equal(expected[name], formulas):
            raise _difference(own.plan, edited.plan, name)

    edited.formulas(given, places, compare)


def _difference(own: Plan, edited: Plan, name: str) -> PlanFault:
    """What is wrong with an operator whose results differ: the first field that is not ours."""
    ours = [step for step in own.steps if step.name == name]
    theirs = [(i, step) for i, step in enumerate(edited.steps) if step.name == name]
    found = [
        (field.startswith(PLACES), step_name(index, step), field, value, wanted)
        for (index, step), mine in zip(theirs, ours, strict=False)
        for field, value, wanted in _changes(step, mine)
    ]
    index, step = theirs[0]
    why = "the results are not those of the operator"
    if len(ours) != len(theirs):
        ending = f"weft's own plan has {len(ours)} of them"
        return PlanFault(step_name(index, step), "name", repr(name), f"{why}: {ending}")
    if not found:
        for i, (theirs, mine) in enumerate(zip(edited.transfers, own.transfers, strict=False)):
            for field, value, wanted in _changes(theirs, mine):
                works = f"{wanted}, as in weft's own plan"
                return PlanFault(f"transfer {i}", field, value, f"{why}: {name!r}", works)
        why = "the weights or parameters that it reads there are not the model's"
        return PlanFault(step_name(index, step), "weight_base", step.weight_base, why)
    _, where, field, value, wanted = min(found, key=lambda item: item[0])
    return PlanFault(where, field, value, why, f"{wanted}, as in weft's own plan")


def _changes(edited: Value, own: Value, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(field, value, our value) of every field that differs."""
    for field in dataclasses.fields(edited):
        mine, theirs = getattr(own, field.name), getattr(edited, field.name)
        path = prefix + field.name
        if isinstance(mine, Value) and isinstance(theirs, Value):
            yield from _changes(theirs, mine, f"{path}.")
        elif mine != theirs:
            yield path, _shown(theirs), _shown(mine)


def _shown(value: Any) -> Any:
    """As the plan file has it."""
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    if isinstance(value, Value):
        return value.to_json()
    return value.value if isinstance(value, enum.Enum) else value
