"""A compressed model against what it was made of, before it is given to anyone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from weft.errors import InternalError, ModelError
from weft.nn.compress.one_shot import Compressed, Fitted
from weft.nn.compress.rounding import limit
from weft.nn.compress.runner import tensors
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import reference_model
from weft.nn.ir.ops.conv import Conv

TIMES, STEPS = 2.0, 1 / 128  # of the compression's own error, and of the output's range
SAMPLES = 32


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The file in ONNX Runtime against weft's integers: share of equal outputs, largest difference
    as a share of the range."""

    equal: float
    largest: float


def check_model(
    original: onnx.ModelProto,
    made: Compressed,
    file: onnx.ModelProto,
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
) -> Agreement:
    """Refuse a file that does not compute what was fitted, or that weft imports as another network.

    original: the model in standard form; file: what would be written, and graph: that, imported;
    inputs: samples. Raises InternalError, or ModelError where integers and ONNX Runtime disagree.
    """
    some = {name: array[:SAMPLES] for name, array in inputs.items()}
    names = [item.name for item in file.graph.output]
    wanted, fitted, stored = (tensors(m, some, names) for m in (original, made.model, file))
    for name, a, b in zip(names, fitted, stored, strict=True):
        if _rms(a, b) > STEPS * _span(a):  # ties round otherwise where the opset is a newer one
            raise InternalError(f"output {name!r} of the file differs from what was fitted")
    _check_weights(made, graph)
    read = {edge.name: some[edge.name] for edge in graph.inputs}
    found = reference_model(graph, read)
    parts = [
        _agreement(name, before, file_, found[name])
        for name, before, file_ in zip(names, wanted, stored, strict=True)
    ]
    return Agreement(
        equal=min(part.equal for part in parts), largest=max(part.largest for part in parts)
    )


def _agreement(name: str, before: np.ndarray, stored: np.ndarray, found: np.ndarray) -> Agreement:
    span, apart, explained = _span(before), _rms(found, stored), _rms(stored, before)
    if apart > TIMES * explained + STEPS * span:
        raise ModelError(
            f"output {name!r} of weft's integers would be off by {apart:.3g} from the compressed "
            f"file in ONNX Runtime, where compression explains {explained:.3g}"
        )
    off = np.abs(found.astype(np.float64) - stored.astype(np.float64))
    return Agreement(equal=float(np.mean(off == 0)), largest=float(off.max(initial=0)) / span)


def _rms(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(one.astype(np.float64) - other.astype(np.float64)))))


def _span(array: np.ndarray) -> float:
    return float(np.ptp(array.astype(np.float64))) or 1.0


def _check_weights(made: Compressed, graph: Graph) -> None:
    """Layers that the importer takes as they are have the codes that were fitted."""
    for item in made.layers:
        weight = engine_weight(item, graph)
        if weight is None or np.abs(weight).max(initial=0) > limit(item.wanted.bits):
            continue  # part of another operator, whose weights are its own
        if weight.size == item.weight.codes.size:
            counts = [np.unique(part, return_counts=True) for part in (weight, item.weight.codes)]
            same = all(np.array_equal(a, b) for a, b in zip(*counts, strict=True))
            if not same:
                raise InternalError(f"layer {item.layer.name!r} is imported with other weights")


def engine_weight(item: Fitted, graph: Graph) -> np.ndarray | None:
    """The integers of the operator that a layer is imported as."""
    for operator in graph.operators:
        if isinstance(operator, Conv) and operator.name == item.layer.name:
            return operator.weight
    return None


def engine_bits(item: Fitted, graph: Graph) -> int | None:
    """Bits of a layer's weights on the engine, sign and all; None where it is no layer there."""
    weight = engine_weight(item, graph)
    return None if weight is None else int(np.abs(weight).max(initial=1)).bit_length() + 1
