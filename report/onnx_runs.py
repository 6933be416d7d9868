"""ONNX files in ONNX Runtime, as their users run them: with its own kernels, any batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from weft.errors import ModelError
from weft.nn.quantise.runtime import REFUSALS, batch_of, reason

BATCH = 64  # samples at a time where the model leaves it free


def run_file(
    path: Path, inputs: Mapping[str, np.ndarray], wanted: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The file's outputs [n, ...] by name, and those of its other tensors that are wanted.

    Raises ModelError where ONNX Runtime does not run it with these inputs.
    """
    proto = onnx.load(path)
    known = {item.name for item in proto.graph.output}
    names = [item.name for item in proto.graph.output]
    more = [name for name in dict.fromkeys(wanted) if name not in known]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # its threads wait for each other where a computer is busy
    missing = sorted(_inputs(proto) - set(inputs))
    if missing:
        raise ModelError(f"{path}: the data have no array for its input {missing[0]!r}")
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        read = {item.name for item in session.get_inputs()}
        feed = {name: array for name, array in inputs.items() if name in read}
        size = batch_of(proto, feed) or BATCH
        parts = [session.run([*names, *more], part) for part in _batches(feed, size)]
    except REFUSALS as error:
        raise ModelError(f"{path}: ONNX Runtime does not run it: {reason(error, {})}") from error
    count = len(next(iter(feed.values())))
    columns = zip([*names, *more], zip(*parts, strict=True), strict=True)
    return {
        name: np.concatenate([np.asarray(x) for x in column])[:count] for name, column in columns
    }


def _inputs(proto: onnx.ModelProto) -> set[str]:
    constants = {item.name for item in proto.graph.initializer}
    return {item.name for item in proto.graph.input} - constants


def _batches(feed: Mapping[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    """All samples in batches of one size; the last one is filled up with its last sample."""
    count = len(next(iter(feed.values())))
    batches = []
    for first in range(0, count, size):
        places = np.minimum(np.arange(first, first + size), count - 1)
        batches.append({name: array[places] for name, array in feed.items()})
    return batches
