"""What the host does at the network's edges: float arrays to codes and codes to the model's arrays.

All arithmetic is float32 as ONNX Runtime does it: QuantizeLinear divides and rounds half to even.
uint8 codes are held in the graph as int8, shifted by -128; the shift is made here, at the inner end
of an edge, and is not a step of its own.
"""

from collections.abc import Mapping

import numpy as np

from weft.errors import ConfigError
from weft.nn.graph import Graph, HostEdge, HostStep
from weft.nn.reference import run


def encode(edge: HostEdge, array: np.ndarray) -> np.ndarray:
    """int8 codes [n, C, H, W] of the edge's tensor from the model's array [n, *shape].

    Raises ConfigError naming the input for another shape or type, or for values that are not
    finite.
    """
    _check_array(edge, array)
    for step in edge.steps:
        array = _apply(step, array)
    return (array.astype(np.int16) - 128).astype(np.int8) if array.dtype == np.uint8 else array


def decode(edge: HostEdge, codes: np.ndarray) -> np.ndarray:
    """The model's array [n, *shape] from int8 codes [n, C, H, W] of the edge's tensor."""
    dtype = next((s.dtype for s in edge.steps if s.kind == "dequantize"), edge.dtype)
    array = (codes.astype(np.int16) + 128).astype(np.uint8) if dtype == "uint8" else codes
    for step in edge.steps:
        array = _apply(step, array)
    return array


def encode_inputs(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """int8 codes by tensor name from the ONNX model's inputs by name.

    Inputs of the model that no output depends on may be there. Raises ConfigError for a missing,
    unknown or unusable input.
    """
    names = list(dict.fromkeys(edge.name for edge in graph.inputs))
    for name in inputs:
        if name not in (*names, *graph.unused_inputs):
            raise ConfigError(f"the model has no input {name!r}; its inputs: {', '.join(names)}")
    codes: dict[str, np.ndarray] = {}
    for edge in graph.inputs:
        if edge.name not in inputs:
            raise ConfigError(f"input {edge.name!r} is missing; {_expected(edge)}")
        codes[edge.tensor] = encode(edge, inputs[edge.name])
    return codes


def reference_model(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of the ONNX model by name, from its inputs by name, by the integer reference.

    Raises ConfigError for a missing, unknown or unusable input.
    """
    result = run(graph, encode_inputs(graph, inputs))
    return {edge.name: decode(edge, result[edge.tensor]) for edge in graph.outputs}


def _expected(edge: HostEdge) -> str:
    shape = ", ".join(["n", *map(str, edge.shape)])
    return f"expected {edge.dtype} of shape [{shape}]"


def _check_array(edge: HostEdge, array: np.ndarray) -> None:
    if not isinstance(array, np.ndarray):
        raise ConfigError(
            f"input {edge.name!r} must be a NumPy array, not {type(array).__name__}; "
            f"{_expected(edge)}"
        )
    if array.dtype != np.dtype(edge.dtype):
        raise ConfigError(f"input {edge.name!r} is {array.dtype}; {_expected(edge)}")
    if array.shape[1:] != edge.shape or array.ndim != len(edge.shape) + 1:
        raise ConfigError(f"input {edge.name!r} has shape {list(array.shape)}; {_expected(edge)}")
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.all():
            bad = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ConfigError(
                f"input {edge.name!r} has the value {array[bad]} at {list(bad)}; "
                f"{_expected(edge)}, finite"
            )


def quantize(array: np.ndarray, scale: float, zero_point: int, dtype: str) -> np.ndarray:
    """ONNX QuantizeLinear of float32 values: saturate(rint(x / scale) + zero_point)."""
    info = np.iinfo(dtype)
    with np.errstate(over="ignore"):
        ratio = np.rint(array.astype(np.float32) / np.float32(scale))
    # Saturating before the addition keeps the sum exact; the bounds are those of the codes.
    codes = np.clip(ratio, info.min - zero_point, info.max - zero_point) + zero_point
    return codes.astype(dtype)


def dequantize(codes: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """ONNX DequantizeLinear: float32 (codes - zero_point) * scale."""
    return (codes.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def accumulators(
    codes: np.ndarray, scales: tuple[float, ...], offsets: tuple[float, ...]
) -> np.ndarray:
    """Real values float32 [n, C, H, W] from the codes [n, C * k, H, W] of k parts each (C82)."""
    parts = codes.reshape(len(codes), len(scales), -1, *codes.shape[2:]).astype(np.int64) + 128
    scale, offset = (np.array(x).reshape(1, -1, 1, 1) for x in (scales, offsets))
    return (parts.sum(axis=2) * scale + offset).astype(np.float32)


def softmax(values: np.ndarray, axis: int) -> np.ndarray:
    """Softmax of float32 values, the largest one subtracted first.

    A sample's result depends on nothing but its values: NumPy sums in an order that follows from
    strides and batch, so the order is laid down here, and float64 keeps what ``exp`` does in its
    last bit, which may differ from place to place in an array, out of the result.
    """
    rows = np.ascontiguousarray(np.moveaxis(values, axis, -1), np.float64)
    powers = np.exp(rows - rows.max(axis=-1, keepdims=True))
    total = np.add.accumulate(powers, axis=-1)[..., -1:]  # one after the other
    return np.moveaxis((powers / total).astype(np.float32), -1, axis)


def argmax(values: np.ndarray, axis: int, last: bool) -> np.ndarray:
    """Place of the largest value, int64, the first or the last one; the axis stays, of size 1."""
    if not last:
        return values.argmax(axis=axis, keepdims=True).astype(np.int64)
    backwards = np.flip(values, axis).argmax(axis=axis, keepdims=True)
    return (values.shape[axis] - 1 - backwards).astype(np.int64)


def _apply(step: HostStep, array: np.ndarray) -> np.ndarray:
    match step.kind:
        case "reshape":
            return array.reshape(array.shape[0], *step.shape)
        case "transpose":
            return array.transpose(step.shape)
        case "quantize":
            return quantize(array, step.scale, step.zero_point, step.dtype)
        case "dequantize":
            return dequantize(array, step.scale, step.zero_point)
        case "accumulators":
            return accumulators(array, step.scales, step.offsets)
        case "softmax":
            return softmax(array, step.axis)
        case "argmax" | "argmax_last":
            return argmax(array, step.axis, step.kind == "argmax_last")
        case "cast":
            return array.astype(step.dtype)
        case _:
            raise ValueError(f"unknown host step {step.kind!r}")
