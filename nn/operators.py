"""The ONNX operators that can be imported. The importer dispatches through this table."""

from collections.abc import Callable
from dataclasses import dataclass

from weft.nn import qdq, qdq_array, qdq_shape, qdq_vector
from weft.nn.builder import Builder
from weft.nn.onnx_model import Node
from weft.nn.symbols import Symbol

Handler = Callable[[Node, Builder], Symbol]


@dataclass(frozen=True, kw_only=True)
class Support:
    """One ONNX operator: where it runs, what is supported, and the function that imports it.

    runs: "array" (matrix array), "vector" (vector unit), "none" (no work is left of it),
    "host" (before or after the accelerator).
    """

    name: str
    runs: str
    limits: str
    handler: Handler


def _row(name: str, runs: str, handler: Handler, limits: str) -> Support:
    return Support(name=name, runs=runs, handler=handler, limits=limits)


_BIAS = "bias int32 or float; weights constant, int8 or uint8, per tensor or per channel"
_VIEW = "the batch stays in front; folded into the operators around it"

SUPPORTED: tuple[Support, ...] = (
    _row("Add", "vector", qdq_vector.add, "two activations of one shape, or a constant bias"),
    _row("AveragePool", "vector", qdq_vector.average_pool, "1-D and 2-D, any pads and strides"),
    _row("Cast", "none", qdq_shape.cast, "of constants"),
    _row("Clip", "none", qdq_vector.clip, "constant bounds, before QuantizeLinear"),
    _row("Concat", "vector", qdq_vector.concat, "along the channels"),
    _row("Constant", "none", qdq_shape.constant, "numbers"),
    _row("Conv", "array", qdq_array.conv, f"1-D and 2-D, any groups and dilations; {_BIAS}"),
    _row("DequantizeLinear", "none", qdq.dequantize_linear, "int8, uint8; int32 for a bias"),
    _row("Dropout", "none", qdq_shape.dropout, "inference only"),
    _row("Flatten", "none", qdq_shape.flatten, _VIEW),
    _row("Gemm", "array", qdq_array.gemm, f"transA = 0, alpha and beta powers of two; {_BIAS}"),
    _row("GlobalAveragePool", "vector", qdq_vector.global_average_pool, "1-D and 2-D"),
    _row("GlobalMaxPool", "vector", qdq_vector.global_max_pool, "1-D and 2-D"),
    _row("Identity", "none", qdq_shape.identity, ""),
    _row("MatMul", "array", qdq_array.matmul, f"one vector times a matrix; {_BIAS}"),
    _row("MaxPool", "vector", qdq_vector.max_pool, "1-D and 2-D, any pads, strides, dilations"),
    _row("QuantizeLinear", "none", qdq.quantize_linear, "int8, uint8; activations per tensor"),
    _row("ReduceMean", "vector", qdq_vector.reduce_mean, "over spatial axes"),
    _row("Relu", "none", qdq_vector.relu, "before QuantizeLinear"),
    _row("Reshape", "none", qdq_shape.reshape, f"constant shape; {_VIEW}"),
    _row("Softmax", "host", qdq_shape.softmax, "at the end of the network"),
    _row("Squeeze", "none", qdq_shape.squeeze, _VIEW),
    _row("Transpose", "none", qdq_shape.transpose, "of constants, or where nothing moves"),
    _row("Unsqueeze", "none", qdq_shape.unsqueeze, _VIEW),
)

BY_NAME: dict[str, Support] = {item.name: item for item in SUPPORTED}
