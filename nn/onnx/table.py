"""The ONNX operators that can be imported. Importers dispatch through this table."""

from collections.abc import Callable
from dataclasses import dataclass

from weft.errors import ModelError
from weft.nn.forms import qonnx, qoperator
from weft.nn.onnx.advice import not_supported
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.ops import (
    affine,
    clamp,
    concat,
    conv,
    conv_transpose,
    depth,
    function,
    gather,
    host,
    pad,
    pool,
    product,
    qdq,
    resize,
    shape,
    slices,
    sums,
)
from weft.nn.onnx.symbols import Symbol

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
    _row("Add", "vector", sums.add, "two activations of one shape, or a constant bias"),
    _row("ArgMax", "host", host.argmax, "at the end of the network, not over the batch"),
    _row("AveragePool", "vector", pool.average_pool, "1-D and 2-D, any pads and strides"),
    _row("BatchNormalization", "array", affine.batch_normalization, _AFFINE),
    _row("Cast", "none", shape.cast, "of constants; of an ArgMax to int32 or int64"),
    _row("Clip", "none", clamp.clip, "constant bounds, before QuantizeLinear"),
    _row("Concat", "vector", concat.concat, "along the channels, height or width"),
    _row("Constant", "none", shape.constant, "numbers"),
    _row("Conv", "array", conv.conv, f"1-D and 2-D, any groups and dilations; {_BIAS}"),
    _row(
        "ConvTranspose",
        "array",
        conv_transpose.conv_transpose,
        f"1-D and 2-D, any strides, pads, groups and dilations; {_BIAS}",
    ),
    _row(
        "DequantizeLinear", "none", qdq.dequantize_linear, "int8, uint8; constants of 2 to 32 bits"
    ),
    _row("DepthToSpace", "array", depth.depth_to_space, "DCR and CRD"),
    _row("Div", "array", affine.divide, _AFFINE),
    _row("Dropout", "none", shape.dropout, "inference only"),
    _row("Elu", "array", function.unary(function.elu), _TABLE),
    _row("Flatten", "none", shape.flatten, _VIEW),
    _row("Gather", "vector", gather.gather, "a list of constant indices, behind the batch"),
    _row("Gelu", "array", function.unary(function.gelu), _TABLE),
    _row("Gemm", "array", conv.gemm, f"transA = 0, alpha and beta powers of two; {_BIAS}"),
    _row("GlobalAveragePool", "vector", pool.global_average_pool, "1-D and 2-D"),
    _row("GlobalMaxPool", "vector", pool.global_max_pool, "1-D and 2-D"),
    _row("HardSigmoid", "array", function.unary(function.hard_sigmoid), _TABLE),
    _row("HardSwish", "array", function.unary(function.hard_swish), _TABLE),
    _row("Identity", "none", shape.identity, ""),
    _row("LeakyRelu", "vector", function.unary(function.leaky_relu), _TABLE),
    _row("MatMul", "array", conv.matmul, f"the last dimension times a matrix; {_BIAS}"),
    _row("MaxPool", "vector", pool.max_pool, "1-D and 2-D, any pads, strides, dilations"),
    _row(
        "Mul",
        "vector",
        product.multiply,
        "two activations of one shape, or an image and one value per channel; by constants on the "
        "array, one or one per channel; x * Sigmoid(x)",
    ),
    _row("PRelu", "vector", function.prelu, f"constant slopes, one or one per channel; {_TABLE}"),
    _row(
        "Pad",
        "vector",
        pad.pad,
        "constant, edge, reflect, wrap; zeros folded into Conv and AveragePool",
    ),
    _row("QuantizeLinear", "none", qdq.quantize_linear, "int8, uint8; activations per tensor"),
    _row("ReduceMean", "vector", pool.reduce_mean, "over spatial axes"),
    _row("Relu", "none", clamp.relu, "before QuantizeLinear"),
    _row(
        "Resize",
        "vector",
        resize.resize,
        "nearest by any constant factors; linear by whole ones",
    ),
    _row("Reshape", "none", shape.reshape, f"constant shape; {_VIEW}"),
    _row("Sigmoid", "array", function.unary(function.sigmoid), _TABLE),
    _row("Slice", "vector", slices.slice_, "behind the batch, any steps; channels on the array"),
    _row("Softmax", "host", host.softmax, "at the end of the network"),
    _row("SpaceToDepth", "array", depth.space_to_depth, "any block that divides the image"),
    _row("Split", "vector", slices.split, "behind the batch; along the channels on the array"),
    _row("Squeeze", "none", shape.squeeze, _VIEW),
    _row(
        "Sub",
        "vector",
        sums.subtract,
        "two activations of one shape; constants on the array, one or one per channel",
    ),
    _row("Tanh", "array", function.unary(function.tanh), _TABLE),
    _row("Tile", "vector", gather.tile, "constant repeats, behind the batch"),
    _row(
        "Transpose",
        "none",
        shape.transpose,
        "at the edges, or back again; of height and width on the vector unit",
    ),
    _row("Unsqueeze", "none", shape.unsqueeze, _VIEW),
)

INTEGER = ("ConvInteger", "MatMulInteger")
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
            _INTEGER if name in INTEGER else "as the operator between Q and DQ",
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

MANY_OUTPUTS = ("Split",)  # their handlers make all of them known


def import_node(node: Node, builder: Builder) -> None:
    """Add what a node is to the builder. Raises ModelError where it is not supported."""
    support = BY_NAME.get(node.op)
    if support is None:
        raise ModelError(f"{not_supported(node.op)}", at=node)
    for name in node.outputs[1:] if node.op not in MANY_OUTPUTS else ():
        if name and name in builder.wanted:
            raise ModelError(
                f"output {name!r} is used", remedy="only the first output is supported", at=node
            )
    if not node.outputs or not node.outputs[0]:
        raise ModelError(
            "its first output is not used", remedy="only that one is supported", at=node
        )
    builder.symbols[node.outputs[0]] = support.handler(node, builder)
