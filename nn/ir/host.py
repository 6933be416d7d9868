"""What the host does at the network's edges: float arrays to codes and codes to the model's arrays.

All arithmetic is float32 as ONNX Runtime does it: QuantizeLinear divides and rounds half to even.
uint8 codes are held in the graph as int8, shifted by -128; the shift is made here, at the inner end
of an edge, and is not a step of its own.
"""

from collections.abc import Mapping

import numpy as np

from weft.errors import ConfigError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host_steps import DequantizeStep
from weft.nn.ir.reference import run


def encode(edge: HostEdge, array: np.ndarray) -> np.ndarray:
    """int8 codes [n, C, H, W] of the edge's tensor from the model's array [n, *shape].

    Raises ConfigError naming the input for another shape or type, or for values that are not
    finite.
    """
    _check_array(edge, array)
    for step in edge.steps:
        array = step.apply(array)
    return (array.astype(np.int16) - 128).astype(np.int8) if array.dtype == np.uint8 else array


def decode(edge: HostEdge, codes: np.ndarray) -> np.ndarray:
    """The model's array [n, *shape] from int8 codes [n, C, H, W] of the edge's tensor."""
    dequantize = (step.dtype for step in edge.steps if isinstance(step, DequantizeStep))
    dtype = next(dequantize, edge.dtype)
    array = (codes.astype(np.int16) + 128).astype(np.uint8) if dtype == "uint8" else codes
    for step in edge.steps:
        array = step.apply(array)
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


def layout_hint(shape: tuple[int, ...], edge: HostEdge) -> str:
    """What brings an array [n, ...] to the input's shape, where its channels are at the other end.

    "" where that is not what is wrong with it.
    """
    inner = tuple(range(1, len(shape)))
    for order in ((0, *inner[-1:], *inner[:-1]), (0, *inner[1:], *inner[:1])):
        if len(inner) > 1 and tuple(shape[i] for i in order[1:]) == edge.shape:
            return f"; its channels are at the other end: array.transpose{order}"
    return ""


def _check_array(edge: HostEdge, array: np.ndarray) -> None:
    if not isinstance(array, np.ndarray):
        raise ConfigError(
            f"input {edge.name!r} must be a NumPy array, not {type(array).__name__}; "
            f"{_expected(edge)}"
        )
    if array.dtype != np.dtype(edge.dtype):
        raise ConfigError(f"input {edge.name!r} is {array.dtype}; {_expected(edge)}")
    if array.shape[1:] != edge.shape or array.ndim != len(edge.shape) + 1:
        raise ConfigError(
            f"input {edge.name!r} has shape {list(array.shape)}; {_expected(edge)}"
            f"{layout_hint(array.shape, edge)}"
        )
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.all():
            bad = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ConfigError(
                f"input {edge.name!r} has the value {array[bad]} at {list(bad)}; "
                f"{_expected(edge)}, finite"
            )
