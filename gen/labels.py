"""Labels: the class of each sample, in an array of a data file."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weft.errors import ConfigError
from weft.gen.npz import members
from weft.nn.ir.graph import Graph

LABELS = "labels"


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels int64 [n] where a file has usable ones; otherwise None, and why, "" for no array."""

    values: np.ndarray | None = None
    problem: str = ""

    def top1(self, outputs: np.ndarray) -> float | None:
        """The share of outputs [n, ...], of the first n samples, whose largest element is at the
        label; None without labels."""
        if self.values is None:
            return None
        return round(float(np.mean(largest(outputs) == self.values[: len(outputs)])), 4)


def largest(outputs: np.ndarray) -> np.ndarray:
    """Where each sample's largest element is, the first of equal ones; outputs [n, ...]."""
    return outputs.reshape(len(outputs), -1).argmax(axis=1)


def load_labels(path: Path | None, graph: Graph, samples: int) -> Labels:
    """The labels of so many inputs in a data file: classes of the network's first output.

    An array of that name may be an input of the network, and is none of labels then.
    """
    names = {edge.name for edge in graph.inputs} | {*graph.unused_inputs}
    if path is None or LABELS in names:
        return Labels()
    member = members(path).get(LABELS)
    if member is None:
        return Labels()
    edge = graph.outputs[0]
    classes = math.prod(edge.shape)
    if classes < 2:
        return Labels(problem=f"output {edge.name!r} is one number, so that labels say nothing")
    try:
        array = member.read()
    except ConfigError as error:
        return Labels(problem=str(error))
    whole = array.dtype.kind in "iub"
    array = array.reshape(len(array), -1) if array.ndim else array
    if not whole or array.ndim != 2 or array.shape[1] != 1:
        shape = ", ".join(map(str, member.shape))
        return Labels(
            problem=f"{path}: array {LABELS!r} is {member.dtype} [{shape}]; one whole number for "
            "each sample is needed"
        )
    if len(array) < samples:
        return Labels(problem=f"{path}: {len(array)} labels for {samples} samples")
    values = array[:samples, 0].astype(np.int64)
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < classes:
        return Labels(
            problem=f"{path}: array {LABELS!r} holds {values.min()} to {values.max()}, but output "
            f"{edge.name!r} has the classes 0 to {classes - 1}"
        )
    return Labels(values=values)


def named_labels(path: Path, name: str, count: int) -> np.ndarray:
    """int64 [count] of an .npz file's array [n] or [n, 1] of whole numbers. Raises ConfigError."""
    arrays = members(path)
    if name not in arrays:
        raise ConfigError(
            f"{path} has no array {name!r} for the labels; it has: {', '.join(arrays) or 'none'}"
        )
    array = arrays[name].read()
    if array.shape not in ((count,), (count, 1)):
        raise ConfigError(
            f"{path}: labels {name!r} have shape {list(array.shape)}; one for each of the "
            f"{count} samples is needed"
        )
    whole = np.rint(array)
    if not np.array_equal(whole, array):
        raise ConfigError(f"{path}: labels {name!r} must be whole numbers, the classes' places")
    return whole.astype(np.int64).reshape(-1)
