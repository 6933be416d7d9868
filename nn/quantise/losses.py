"""What quantisation costs at the outputs: weft's integers against the float network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from weft.errors import ModelError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.host_steps import DequantizeStep, ReshapeStep, TransposeStep
from weft.nn.quantise.check import ADVICE, Samples
from weft.nn.quantise.runtime import batch_of, run

MACS = 5 * 10**9  # for the integer reference, all samples together
MOST = 32  # samples
TIMES, STEPS = 2.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Loss:
    """How far an output is from the float network's, over some of the calibration samples.

    snr_db: the float output's variance over the mean square of the error; None where one is 0.
    largest: the largest error; steps: the same in steps of the output's scale, None where the host
    computes it from several codes (Softmax).
    """

    name: str
    snr_db: float | None
    largest: float
    steps: float | None

    def __str__(self) -> str:
        """For people."""
        of = f"{self.largest:.3g}" if self.steps is None else f"{self.steps:.1f} steps of 8 bits"
        db = "" if self.snr_db is None else f"{self.snr_db:.1f} dB below it, "
        return f"output {self.name!r}: the error of quantisation is {db}at most {of}"


def losses(
    model: Path, quantised: Path, graph: Graph, inputs: Mapping[str, np.ndarray]
) -> tuple[Loss, ...]:
    """The loss of each output; none for networks too large for the reference.

    model: the float network; quantised: what was made of it, and graph: that, imported; inputs:
    the calibration samples. Raises ModelError where the graph does not compute what the quantised
    file says.
    """
    most = min(MOST, MACS // max(graph.macs, 1))
    if most == 0:
        return ()
    original, names = onnx.load(model), [edge.name for edge in graph.outputs]
    read = {edge.name: inputs[edge.name] for edge in graph.inputs}
    feeds = Samples(inputs=inputs, batch=batch_of(original, read), method="").feeds(most)
    real = _together(run(original, names, feed) for feed in feeds)
    simulated = _together(run(onnx.load(quantised), names, feed) for feed in feeds)
    given = {name: np.concatenate([feed[name] for feed in feeds]) for name in read}
    found = reference_model(graph, given)
    results = []
    for edge, wanted, file in zip(graph.outputs, real, simulated, strict=True):
        if wanted.dtype == np.float32:
            error = _errors(found[edge.name], wanted)
            _agreed(model, edge, wanted, file, found[edge.name])
            results.append(_loss(edge, wanted, error))
    return tuple(results)


def _together(runs: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def _errors(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) - wanted


def _step(edge: HostEdge) -> float | None:
    """What one code more is worth; None where other work of the host follows."""
    work = [step for step in edge.steps if not isinstance(step, ReshapeStep | TransposeStep)]
    if len(work) == 1 and isinstance(work[0], DequantizeStep):
        return work[0].scale
    return None


def _loss(edge: HostEdge, wanted: np.ndarray, error: np.ndarray) -> Loss:
    signal, noise = float(np.var(wanted, dtype=np.float64)), float(np.mean(np.square(error)))
    step, largest = _step(edge), float(np.abs(error).max(initial=0))
    return Loss(
        name=edge.name,
        snr_db=round(float(10 * np.log10(signal / noise)), 1) if signal and noise else None,
        largest=float(f"{largest:.3g}"),
        steps=None if step is None else round(largest / step, 1),
    )


def _agreed(
    model: Path, edge: HostEdge, wanted: np.ndarray, file: np.ndarray, found: np.ndarray
) -> None:
    """Refuse a graph whose error is not that of the quantised file.

    Ties fall differently in float32 and in integers, and that spreads; it never comes to more than
    quantisation itself does.
    """
    step = _step(edge)
    if step is None:
        return
    apart, explained = (
        float(np.sqrt(np.mean(np.square(_errors(values, file))))) for values in (found, wanted)
    )
    if apart > TIMES * explained + STEPS * step:
        raise ModelError(
            f"output {edge.name!r} of weft's integers would be off by {apart:.3g} from the "
            f"quantised network, where 8 bits explain {explained:.3g}: {ADVICE}",
            at=model,
        )
