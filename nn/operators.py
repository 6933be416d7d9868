"""The ONNX operators that can be imported. The importer dispatches through this table."""

from collections.abc import Callable
from dataclasses import dataclass

from weft.nn import (
    qdq,
    qdq_affine,
    qdq_argmax,
    qdq_array,
    qdq_clamp,
    qdq_concat,
    qdq_depth,
    qdq_gather,
    qdq_pad,
    qdq_pool,
    qdq_resize,
    qdq_shape,
    qdq_slice,
    qdq_sum,
    qdq_table,
    qdq_transposed,
)
from weft.nn.builder import Builder
from weft.nn.forms import qonnx, qoperator
from weft.nn.onnx_model import Node
from weft.nn.symbols import Symbol

Handler = Callable[[Node, Builder], Symbol]


@dataclass(frozen=True, kw_only=True)
class Support:
    """One ONNX operator: where it runs, what is supported, and the function that imports it.

    form: which quantised form it belongs to ("QDQ", "QOperator", "QONNX").
    runs: "array" (matrix array), "vector" (vector unit), "none" (no work is left of it),
    "host" (before or after the accelerator).
    """

    name: str
    form: str
    runs: str
    limits: str
    handler: Handler


def _row(name: str, runs: str, handler: Handler, limits: str, form: str = "QDQ") -> Support:
    return Support(name=name, form=form, runs=runs, handler=handler, limits=limits)


_BIAS = "bias int32 or float; weights constant, 2 to 8 bits, per tensor or per channel"
_INTEGER = "static codes; then Cast, Mul and Add of constants"
_QUANT = "constants, or activations of at most 8 bits per tensor; ROUND, FLOOR, CEIL"
_AFFINE = "by constants, one or one per channel; behind Conv or alone"
_TABLE = "alone between DequantizeLinear and QuantizeLinear"
_VIEW = "the batch stays in front; folded into the operators around it"

_QDQ: tuple[Support, ...] = (
    _row("Add", "vector", qdq_sum.add, "two activations of one shape, or a constant bias"),
    _row("ArgMax", "host", qdq_argmax.argmax, "at the end of the network, not over the batch"),
    _row("AveragePool", "vector", qdq_pool.average_pool, "1-D and 2-D, any pads and strides"),
    _row("BatchNormalization", "array", qdq_affine.batch_normalization, _AFFINE),
    _row("Cast", "none", qdq_shape.cast, "of constants; of an ArgMax to int32 or int64"),
    _row("Clip", "none", qdq_clamp.clip, "constant bounds, before QuantizeLinear"),
    _row("Concat", "vector", qdq_concat.concat, "along the channels, height or width"),
    _row("Constant", "none", qdq_shape.constant, "numbers"),
    _row("Conv", "array", qdq_array.conv, f"1-D and 2-D, any groups and dilations; {_BIAS}"),
    _row(
        "ConvTranspose",
        "array",
        qdq_transposed.conv_transpose,
        f"1-D and 2-D, any strides, pads, groups and dilations; {_BIAS}",
    ),
    _row(
        "DequantizeLinear", "none", qdq.dequantize_linear, "int8, uint8; constants of 2 to 32 bits"
    ),
    _row("DepthToSpace", "array", qdq_depth.depth_to_space, "DCR and CRD"),
    _row("Div", "array", qdq_affine.divide, _AFFINE),
    _row("Dropout", "none", qdq_shape.dropout, "inference only"),
    _row("Elu", "array", qdq_table.unary(qdq_table.elu), _TABLE),
    _row("Flatten", "none", qdq_shape.flatten, _VIEW),
    _row("Gather", "vector", qdq_gather.gather, "a list of constant indices, behind the batch"),
    _row("Gelu", "array", qdq_table.unary(qdq_table.gelu), _TABLE),
    _row("Gemm", "array", qdq_array.gemm, f"transA = 0, alpha and beta powers of two; {_BIAS}"),
    _row("GlobalAveragePool", "vector", qdq_pool.global_average_pool, "1-D and 2-D"),
    _row("GlobalMaxPool", "vector", qdq_pool.global_max_pool, "1-D and 2-D"),
    _row("HardSigmoid", "array", qdq_table.unary(qdq_table.hard_sigmoid), _TABLE),
    _row("HardSwish", "array", qdq_table.unary(qdq_table.hard_swish), _TABLE),
    _row("Identity", "none", qdq_shape.identity, ""),
    _row("LeakyRelu", "vector", qdq_table.unary(qdq_table.leaky_relu), _TABLE),
    _row("MatMul", "array", qdq_array.matmul, f"the last dimension times a matrix; {_BIAS}"),
    _row("MaxPool", "vector", qdq_pool.max_pool, "1-D and 2-D, any pads, strides, dilations"),
    _row(
        "Mul",
        "vector",
        qdq_table.multiply,
        "two activations of one shape, or an image and one value per channel; by constants on the "
        "array, one or one per channel; x * Sigmoid(x)",
    ),
    _row("PRelu", "vector", qdq_table.prelu, f"constant slopes, one or one per channel; {_TABLE}"),
    _row(
        "Pad",
        "vector",
        qdq_pad.pad,
        "constant, edge, reflect, wrap; zeros folded into Conv and AveragePool",
    ),
    _row("QuantizeLinear", "none", qdq.quantize_linear, "int8, uint8; activations per tensor"),
    _row("ReduceMean", "vector", qdq_pool.reduce_mean, "over spatial axes"),
    _row("Relu", "none", qdq_clamp.relu, "before QuantizeLinear"),
    _row(
        "Resize",
        "vector",
        qdq_resize.resize,
        "nearest by any constant factors; linear by whole ones",
    ),
    _row("Reshape", "none", qdq_shape.reshape, f"constant shape; {_VIEW}"),
    _row("Sigmoid", "array", qdq_table.unary(qdq_table.sigmoid), _TABLE),
    _row("Slice", "vector", qdq_slice.slice_, "behind the batch, any steps; channels on the array"),
    _row("Softmax", "host", qdq_shape.softmax, "at the end of the network"),
    _row("SpaceToDepth", "array", qdq_depth.space_to_depth, "any block that divides the image"),
    _row("Split", "vector", qdq_slice.split, "behind the batch; along the channels on the array"),
    _row("Squeeze", "none", qdq_shape.squeeze, _VIEW),
    _row(
        "Sub",
        "vector",
        qdq_sum.subtract,
        "two activations of one shape; constants on the array, one or one per channel",
    ),
    _row("Tanh", "array", qdq_table.unary(qdq_table.tanh), _TABLE),
    _row("Tile", "vector", qdq_gather.tile, "constant repeats, behind the batch"),
    _row(
        "Transpose",
        "none",
        qdq_shape.transpose,
        "at the edges, or back again; of height and width on the vector unit",
    ),
    _row("Unsqueeze", "none", qdq_shape.unsqueeze, _VIEW),
)

_RUNS = {
    "com.microsoft.QLinearAdd": "vector",
    "com.microsoft.QLinearAveragePool": "vector",
    "com.microsoft.QLinearConcat": "vector",
    "com.microsoft.QLinearGlobalAveragePool": "vector",
    "com.microsoft.QLinearLeakyRelu": "vector",
    "com.microsoft.QLinearMul": "vector",
    "com.microsoft.QLinearReduceMean": "vector",
    "com.microsoft.QLinearSoftmax": "host",
}
_FORMS = (
    *(
        _row(
            name,
            _RUNS.get(name, "array"),
            handler,
            _INTEGER if name.endswith("Integer") else "as the operator between Q and DQ",
            "QOperator",
        )
        for name, handler in qoperator.HANDLERS.items()
    ),
    *(
        _row(name, "none", handler, "refused" if name == "FloatQuant" else _QUANT, "QONNX")
        for name, handler in qonnx.HANDLERS.items()
    ),
)
SUPPORTED: tuple[Support, ...] = tuple(sorted((*_QDQ, *_FORMS), key=lambda item: item.name))

BY_NAME: dict[str, Support] = {item.name: item for item in SUPPORTED}
