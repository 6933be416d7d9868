"""``weft check``: what would become of a model, before anything is built."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from weft.cli.calibrate import calibrated
from weft.cli.fit import judged
from weft.cli.saturation import saturation_notes
from weft.errors import FitError, ModelError, WeftError, counted
from weft.gen.output import scratch_folder
from weft.gen.report import step_cycles
from weft.machine.engine import Engine, Memories
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.machine.timing import cycles as cycles_of
from weft.machine.timing import program_cycles
from weft.mapper.build import Draft
from weft.mapper.external import external_memory_of
from weft.mapper.resources import predict_for
from weft.mapper.search import budgets, plan, search
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.ir.graph import Graph
from weft.nn.ir.note import NoteKind
from weft.nn.ir.ops.conv import Conv
from weft.nn.onnx.model import load
from weft.nn.onnx.nodes import quantising
from weft.nn.onnx.survey import Survey, by_name, survey
from weft.nn.quantise.losses import Loss, losses
from weft.nn.quantise.static import float_inputs, quantise

MADE_UP = "a float model, checked as if quantised; --calibrate data.npz is needed to compile it"
PUT_IN = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The figures to print, and the error that decides the exit code; None: all is well."""

    figures: dict[str, Any]
    error: WeftError | None


def check(
    model: Path,
    target: Target | None,
    *,
    calibrate: Path | None = None,
    ranges: str = "minmax",
    external_memory: bool = False,
    **sizes: Any,
) -> Answer:
    """Everything that can be said about a model without building it.

    external_memory: the board is taken to have memory outside the chip, see ``mapper.external``.
    sizes: pinned sizes of the engine, as ``mapper.search.plan`` takes them. Raises ModelError for a
    file that is no usable model at all, ConfigError for calibration data or sizes.
    """
    looked, notes, lost = _look(model, calibrate, ranges)
    figures: dict[str, Any] = {
        "model": str(model),
        "supported": looked.refusals == 0,
        "operators": [vars(finding) for finding in looked.findings],
        "problems": list(looked.problems),
        "notes": notes,
    }
    if looked.graph is None or looked.simplified is None:
        count = looked.refusals
        error = ModelError(f"{model} is not supported as it is: {counted(count, 'reason')}")
        return Answer(figures=figures, error=error)
    figures["notes"] = notes + [str(note) for note in looked.graph.notes]
    if calibrate is not None:
        figures["outputs"] = [vars(loss) for loss in lost]
    figures["macs"] = looked.graph.macs
    figures["accumulators"] = accumulators(looked.graph)
    if target is None:
        return Answer(figures=figures, error=None)
    fit = _fit_outside if external_memory else _fit
    figures["board"], error = fit(looked, looked.simplified, target, sizes)
    return Answer(figures=figures, error=error)


def _look(
    model: Path, data: Path | None, ranges: str
) -> tuple[Survey, list[str], tuple[Loss, ...]]:
    """The survey of a model, quantised first where it is a float one, and what that costs."""
    is_float = not is_tflite(model) and quantising(load(model).nodes) is None
    if not is_float and data is None:
        looked = survey(model)
        return looked, [] if is_tflite(model) else saturation_notes(model, looked), ()
    with scratch_folder() as folder:
        target = Path(folder, model.name)
        try:
            if data is None:
                quantise(model, _noise(model), target, ranges)
                return _own(survey(target), model), [MADE_UP], ()
            used = calibrated(model, data, target, ranges)
        except ModelError as error:
            named = by_name(model)
            if named.refusals == 0:
                raise
            return named, [str(error)], ()
        looked = _own(survey(target), model)
        if looked.graph is None:
            return looked, [], ()
        return looked, [], losses(model, target, looked.graph, used.inputs)


def _own(looked: Survey, model: Path) -> Survey:
    """Without the nodes that quantising put into the model, of which its author knows nothing."""
    names = {node.name for node in load(model).nodes}
    kept = [f for f in looked.findings if f.operator not in PUT_IN or f.node in names]
    return replace(looked, findings=tuple(kept))


def _noise(model: Path) -> dict[str, np.ndarray]:
    """Inputs for a network whose ranges do not matter, only its operators and sizes."""
    rng = np.random.default_rng(0)
    return {
        edge.name: rng.normal(size=(2, *edge.shape)).astype(np.float32)
        for edge in float_inputs(model)
    }


def accumulators(graph: Graph) -> dict[str, Any]:
    """The largest accumulator that any input could give, and whether float kernels agree with it.

    exact: the result is the same in float32, on which ONNX Runtime's kernels rely.
    """
    worst, name = 0, ""
    for operator in graph.operators:
        if isinstance(operator, Conv):
            zero_point = graph.tensor(operator.input).zero_point
            reach = max(127 - zero_point, 128 + zero_point)
            weight = np.abs(operator.weight.astype(np.int64)).sum(axis=(1, 2, 3))
            top = int((weight * reach + np.abs(operator.bias)).max())
            if top > worst:
                worst, name = top, operator.name
    return {
        "worst_case": worst,
        "bits": worst.bit_length() + 1,
        "node": name,
        "exact": all(note.kind is not NoteKind.ACCUMULATOR for note in graph.notes),
    }


def _fit(
    looked: Survey, graph: Graph, target: Target, sizes: dict[str, Any]
) -> tuple[dict[str, Any], WeftError | None]:
    """How the network does on a board: the engine, cycles and resources, or what is short."""
    try:
        with judged(graph, target, sizes):
            chosen = plan(graph, target, **sizes)
    except (FitError, ModelError) as error:
        return {"name": target.name, "fits": False, "short": str(error)}, error
    figures = _fitting(target, chosen.engine, chosen.engine, cycles_of(chosen))
    return figures | {"nodes": by_node(looked, chosen)}, None


def _fit_outside(
    looked: Survey, graph: Graph, target: Target, sizes: dict[str, Any]
) -> tuple[dict[str, Any], WeftError | None]:
    """The same for a board with memory outside the chip, and what that has to hold and to give."""
    try:
        with judged(graph, target, sizes | {"external_memory": True}):
            chosen = search(graph, target, external_memory=True, **sizes)
    except (FitError, ModelError) as error:
        return {"name": target.name, "fits": False, "short": str(error)}, error
    cycles = program_cycles(chosen.engine, chosen.steps, chosen.transfers)
    figures = _fitting(target, chosen.engine, chosen.engine.replace(memories=Memories()), cycles)
    outside = external_memory_of(chosen)
    seconds = cycles / target.clock_hz
    return {
        **figures,
        "nodes": by_node(looked, chosen),
        "external_memory": {
            "bytes": outside.weights + outside.activations,
            "bytes_per_inference": outside.traffic,
            "megabytes_per_second": round(outside.traffic / seconds / 1e6, 1),
        },
    }, None


def by_node(looked: Survey, chosen: Plan | Draft) -> list[dict[str, Any]]:
    """The cycles of each of the model's nodes, the most expensive one first; all of them in sum.

    What came from no node of its own has the name ''.
    """
    nodes = {(finding.node, finding.operator) for finding in looked.findings}
    cycles: Counter[tuple[str, str]] = Counter()
    owns = step_cycles(chosen.engine, chosen.steps, chosen.transfers)
    for step, own in zip(chosen.steps, owns, strict=True):
        known = [(origin.name, origin.op) for origin in step.origins[:1]]
        cycles[next((node for node in known if node in nodes), ("", step.operator))] += own
    return [
        {"node": node, "operator": operator, "cycles": own}
        for (node, operator), own in cycles.most_common()
    ]


def _fitting(target: Target, engine: Engine, built: Engine, cycles: int) -> dict[str, Any]:
    """The figures of an engine, and the resources of what of it is ``built``."""
    return {
        "name": target.name,
        "fits": True,
        "lanes": engine.lanes,
        "columns": engine.columns,
        "multipliers": engine.multipliers,
        "cycles": cycles,
        "microseconds": round(cycles / target.clock_hz * 1e6, 2),
        "resources": {
            f"{noun}s": {"needed": needed, "available": available}
            for noun, needed, available in budgets(target, engine, predict_for(target, built))
        },
    }
