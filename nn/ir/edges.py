"""How the model's inputs and outputs meet the graph's tensors."""

from dataclasses import dataclass

from weft.nn.ir.host_steps import AnyHostStep
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class HostEdge(Value):
    """How one input or output of the ONNX model meets a tensor of the graph.

    shape: per sample as the model declares it (no batch). An input's steps lead from the model's
    array [n, *shape] to codes of ``tensor``; an output's steps lead from its codes to the model's
    array. Codes are int8 [n, C, H, W]; where the model's type is uint8 they are shifted by 128 at
    the edge's inner end.
    """

    name: str  # of the ONNX input or output
    tensor: str
    shape: tuple[int, ...]
    dtype: str  # numpy name of the model's array
    steps: tuple[AnyHostStep, ...]
