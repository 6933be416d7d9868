"""ONNX Runtime: models run as they stand, and what it says of those that it refuses."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi import (
    onnxruntime_pybind11_state as state,  # pyright: ignore[reportAttributeAccessIssue]
)

REFUSALS = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
)
"""What ONNX Runtime raises for networks that it cannot run. They have no common base."""

MAX_REASON = 300  # characters

_KIND = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_RUNNING = re.compile(r"^.* while running (\w+) node\. Name:'([^']*)' Status Message: ")
_CODE = re.compile(r"\S+\.(?:h|cc|cpp):\d+ (?:.* was false\. ?)?")
"""A place in its source, and the condition that does not hold there."""

Values = dict[str, np.ndarray]


def run(proto: onnx.ModelProto, wanted: Sequence[str], feed: Values) -> list[np.ndarray]:
    """Tensors of a model, computed as it stands: in float32, nothing fused. Raises REFUSALS."""
    if not wanted:
        return []
    kept = list(proto.graph.output)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted))
    data = proto.SerializeToString()
    del proto.graph.output[:]
    proto.graph.output.extend(kept)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    read = {item.name for item in session.get_inputs()}
    found = session.run(list(wanted), {name: feed[name] for name in read})
    return [np.asarray(array) for array in found]


def batch_of(proto: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> int | None:
    """How many samples a model takes at one time; None where it takes any number.

    A model that leaves its batch free may hold a shape that fits one sample only (a Reshape to
    [1, 16], as ``view(1, -1)`` is exported): the answer is then 1. inputs: [n, ...] by name.
    """
    for item in proto.graph.input:
        dims = item.type.tensor_type.shape.dim
        if item.name in inputs and dims and dims[0].HasField("dim_value"):
            return dims[0].dim_value
    pair = {name: array[[0, -1]] for name, array in inputs.items()}
    try:
        found = run(proto, [item.name for item in proto.graph.output], pair)
    except REFUSALS:
        return 1
    return None if all(array.shape[:1] == (2,) for array in found) else 1


def reason(error: BaseException, called: Mapping[str, str]) -> str:
    """Why ONNX Runtime refuses a model, in one short line.

    called: what to call the nodes and tensors of the model that it was given.
    """
    text = (str(error).strip().splitlines() or ["unknown reason"])[0]
    text = _RUNNING.sub(r"node '\2' (\1): ", _KIND.sub("", text))
    text = _CODE.sub("", text)
    text = re.sub(r"\w+", lambda word: repr(called.get(word[0], word[0]))[1:-1], text)
    return f"{text:.{MAX_REASON}}"
