"""What compression costs, on samples that it has not seen."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weft.errors import ConfigError
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import decode, encode_inputs
from weft.nn.ir.host_steps import ArgMaxStep, SoftmaxStep
from weft.nn.ir.reference import run

LEAST = 16  # samples for calibration, and as many to score with
RULE = "samples at even places calibrate, those at odd places are scored"


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Places of the samples that calibrate, and of those that only score."""

    calibrate: np.ndarray
    score: np.ndarray


def split(count: int, most: int, *, swapped: bool = False) -> Split:
    """Every second of ``count`` samples for each, evenly thinned to ``most`` for calibration.

    swapped: the odd places calibrate. Raises ConfigError for too few.
    """
    if count < 2 * LEAST:
        raise ConfigError(
            f"{count} samples are too few: at least {2 * LEAST} are needed, one half to calibrate "
            "with and the other to score with"
        )
    halves = np.arange(0, count, 2), np.arange(1, count, 2)
    calibrate, score = reversed(halves) if swapped else halves
    picked = np.linspace(0, len(calibrate) - 1, min(most, len(calibrate))).round().astype(int)
    return Split(calibrate=calibrate[picked], score=score)


@dataclass(frozen=True, kw_only=True)
class Score:
    """accuracy: share of right classes, None without labels; agreement: share of samples with the
    original's class, None where outputs are no classes; snr_db: power of the original's output over
    that of the error, each sample's mean left out, None where there is no error."""

    accuracy: float | None
    agreement: float | None
    snr_db: float | None


def outputs(graph: Graph, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The first output float64 [n, ...] as it is before a Softmax or ArgMax of the host."""
    edge = graph.outputs[0]
    codes = run(graph, encode_inputs(graph, inputs))[edge.tensor]
    steps = itertools.takewhile(
        lambda step: not isinstance(step, SoftmaxStep | ArgMaxStep), edge.steps
    )
    return decode(edge.replace(steps=tuple(steps)), codes).astype(np.float64)


def classes(found: np.ndarray) -> np.ndarray | None:
    """The largest of each sample's outputs [n, classes, ...]; None where there is only one."""
    return None if found.ndim < 2 or found.shape[1] < 2 else found.argmax(axis=1)


def score(found: np.ndarray, original: np.ndarray, labels: np.ndarray | None) -> Score:
    """Of outputs [n, ...] against the original's. labels: [n], in the order of the samples."""
    own, wanted = classes(found), classes(original)
    accuracy = None
    if labels is not None:
        if own is None or own.size != labels.size:
            raise ConfigError(
                f"the first output of shape {list(found.shape[1:])} gives no class for each sample "
                "to compare with labels"
            )
        accuracy = float(np.mean(own.reshape(-1) == labels))
    agreement = None if own is None or wanted is None else float(np.mean(own == wanted))
    return Score(accuracy=accuracy, agreement=agreement, snr_db=snr_db(found, original))


def snr_db(found: np.ndarray, original: np.ndarray) -> float | None:
    """See ``Score``."""
    signal, noise = (_powers(array) for array in (original, found - original))
    return None if noise == 0 or signal == 0 else float(10 * np.log10(signal / noise))


def _powers(array: np.ndarray) -> float:
    flat = array.reshape(len(array), -1)
    if flat.shape[1] > 1:
        flat = flat - flat.mean(axis=1, keepdims=True)
    return float(np.square(flat).sum())
