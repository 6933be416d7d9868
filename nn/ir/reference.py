"""The integer reference: a whole graph run in NumPy, each operator as its own file defines it.

Codes are int8 arrays [N, C, H, W]. The numbers C1, C2, ... in ``weft.nn.ir.ops`` are those of
docs/ops.md. Hardware equals these functions; nothing in them uses rounding floats (float64 only
carries integers below 2**53).
"""

import numpy as np

from weft.errors import ConfigError
from weft.nn.ir.graph import Graph
from weft.nn.ir.tensor import Codes


def run(graph: Graph, inputs: Codes) -> dict[str, np.ndarray]:
    """Codes [N, C, H, W] of every tensor, from the codes of the graph's input tensors.

    Raises ConfigError if an input is missing or has another shape or type than its tensor.
    """
    codes: dict[str, np.ndarray] = {}
    batch = None
    for edge in graph.inputs:
        array = inputs.get(edge.tensor)
        shape = graph.tensor(edge.tensor).shape
        if array is None:
            raise ConfigError(f"codes of input tensor {edge.tensor!r} are missing")
        if array.dtype != np.int8 or array.shape[1:] != shape or array.ndim != 4:
            raise ConfigError(
                f"codes of input tensor {edge.tensor!r} must be int8 of shape [N, *{shape}], "
                f"not {array.dtype} of shape {array.shape}"
            )
        batch = array.shape[0] if batch is None else batch
        if array.shape[0] != batch:
            raise ConfigError(
                f"codes of input tensor {edge.tensor!r} must have batch {batch} like the other "
                f"inputs, not {array.shape[0]}"
            )
        codes[edge.tensor] = array
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for operator in graph.operators:
        codes[operator.output] = operator.compute(tensors, codes)
    return codes
