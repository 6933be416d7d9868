"""Accuracy: one set of samples through the float network, ONNX Runtime, weft and the hardware."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import ConfigError, ModelError
from weft.gen.build_dir import Build
from weft.gen.data import load_inputs
from weft.gen.labels import Labels, largest, load_labels
from weft.machine import timing
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import decode, encode_inputs, reference_model
from weft.report.layer_errors import layer_rows, sqnr_db
from weft.report.onnx_runs import run_file
from weft.sim_tb.network import output_codes, run_codes

FLOAT, RUNTIME = "float network", "ONNX Runtime, int8"
REFERENCE, HARDWARE = "weft", "weft's hardware, simulated"
CLASSES = 40  # up to which confusions are shown
CHUNK = 64  # samples of the reference at a time


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated: a network's integer graph, and what else there is of it.

    original: its float form; int8: the quantised ONNX file; build: its build directory.
    """

    graph: Graph
    original: Path | None = None
    int8: Path | None = None
    build: Build | None = None


def evaluate(
    subject: Subject,
    data: Path,
    *,
    samples: int | None = None,
    rtl: int | None = None,
    notes: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """The ``evaluation`` part of report.json.

    rtl: how many samples the hardware simulates. notes: what is known before. Raises ConfigError,
    also for labels that cannot be used, ModelError and ToolError.
    """
    graph = subject.graph
    inputs = load_inputs(data, graph, samples)
    count = len(next(iter(inputs.values())))
    labels = load_labels(data, graph, count)
    if labels.problem:
        raise ConfigError(labels.problem)
    outputs: dict[str, np.ndarray] = {}
    said = list(notes)
    name = graph.outputs[0].name
    if subject.original is not None:
        progress(f"{FLOAT}: {subject.original}")
        outputs[FLOAT] = _first(run_file(subject.original, inputs), name)
    if subject.int8 is not None:
        progress(f"{RUNTIME}: {subject.int8}")
        outputs |= _runtime(subject.int8, inputs, name, said)
    progress(f"{REFERENCE}: {count} samples")
    outputs[REFERENCE] = _reference(graph, inputs, name)
    hardware = None
    if rtl is not None:
        assert subject.build is not None
        hardware, outputs[HARDWARE] = _hardware(subject.build, inputs, rtl, progress)
    base = next(iter(outputs))
    int8 = subject.int8 if RUNTIME in outputs else None
    rows = layer_rows(graph, inputs, subject.original, int8)
    if len(graph.outputs) > 1:
        said.append(f"of {len(graph.outputs)} outputs the first is scored")
    return {
        "data": data.name,
        "samples": count,
        "labels": labels.values is not None,
        "output": name,
        "base": base,
        "runs": [_scored(run, found, outputs[base], labels) for run, found in outputs.items()],
        "layers": rows,
        "worst": _worst(rows),
        "confusion": _confusion(outputs[REFERENCE], labels),
        "rtl": hardware,
        "notes": said,
    }


def _first(outputs: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The output of that name, or the first: float networks may call it otherwise."""
    return outputs.get(name, next(iter(outputs.values())))


def _runtime(
    path: Path, inputs: Mapping[str, np.ndarray], name: str, said: list[str]
) -> dict[str, np.ndarray]:
    if is_tflite(path):
        said.append(f"{path.name}: ONNX Runtime does not run TFLite files")
        return {}
    try:
        return {RUNTIME: _first(run_file(path, inputs), name)}
    except ModelError as error:  # QONNX, QCDQ below 8 bits: weft takes them, it does not
        said.append(str(error))
        return {}


def _reference(graph: Graph, inputs: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    count = len(next(iter(inputs.values())))
    parts = []
    for first in range(0, count, CHUNK):
        some = {key: array[first : first + CHUNK] for key, array in inputs.items()}
        parts.append(reference_model(graph, some)[name])
    return np.concatenate(parts)


def _hardware(
    build: Build, inputs: Mapping[str, np.ndarray], rtl: int, progress: Callable[[str], None]
) -> tuple[dict[str, Any], np.ndarray]:
    """What the simulated hardware showed, and its first output."""
    some = {name: array[:rtl] for name, array in inputs.items()}
    result = run_codes(build, encode_inputs(build.graph, some), progress=progress)
    codes = output_codes(build, result)
    found = {edge.name: decode(edge, codes[edge.tensor]) for edge in build.graph.outputs}
    expected = reference_model(build.graph, some)
    shown = {
        "samples": len(result.outputs),
        "bit_exact": all(np.array_equal(found[name], expected[name]) for name in expected),
        "cycles": int(result.cycles.max()),
        "predicted_cycles": timing.cycles(build.plan),
    }
    return shown, found[build.graph.outputs[0].name]


def _scored(run: str, found: np.ndarray, base: np.ndarray, labels: Labels) -> dict[str, Any]:
    """A run's share of right labels, and how close it is to the base, which is the first run."""
    base = base[: len(found)]
    if found.shape != base.shape and found.size == base.size:
        found = found.reshape(base.shape)
    several = found.size > len(found)
    return {
        "run": run,
        "samples": len(found),
        "top1": labels.top1(found),
        "agreement": round(float(np.mean(largest(found) == largest(base))), 4) if several else None,
        "sqnr_db": sqnr_db(base, found) if found.shape == base.shape else None,
        "equal": round(float(np.mean(found == base)), 6) if found.shape == base.shape else None,
    }


def _worst(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The layer that loses most against what it reads."""
    losing = [row for row in rows if (row["lost_db"] or 0) > 0]
    return max(losing, key=lambda row: row["lost_db"], default=None)


def _confusion(found: np.ndarray, labels: Labels) -> list[list[int]] | None:
    """How many samples of each class (rows) weft takes for each class (columns), if few enough."""
    classes = found.size // len(found)
    if labels.values is None or classes > CLASSES:
        return None
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels.values, largest(found)), 1)
    return counts.tolist()
