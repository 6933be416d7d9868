"""The TFLite form: each operator as ONNX operators between DequantizeLinear and QuantizeLinear.

Shapes stay TFLite's (NHWC), codes are in ONNX's order (NCHW): every image is read and written
through a Transpose, which costs nothing (``weft.nn.onnx.views``). The arithmetic is that of all
forms, ONNX Runtime's; TFLite's own reference kernels round twice and may differ by one code.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import ModelError
from weft.files import network_name
from weft.nn.forms.tflite_converter import SAME, TO_NCHW, VALID, Converter
from weft.nn.forms.tflite_file import TfOperator, read
from weft.nn.forms.tflite_moves import MOVES
from weft.nn.onnx.advice import GENERAL
from weft.nn.onnx.model import OnnxModel

OPSET = 21


def load(path: Path) -> OnnxModel:
    """The file as an ONNX model in QDQ form. Raises ModelError for what is not supported."""
    model = read(path)
    if not model.operators or not model.inputs or not model.outputs:
        raise ModelError("holds no operators, inputs or outputs", at=path)
    converter = Converter(model=model)
    for operator in model.operators:
        handler = HANDLERS.get(operator.op)
        if handler is None:
            raise ModelError(
                f"operator {operator.op} is not supported in TFLite files",
                remedy=GENERAL,
                at=operator,
            )
        handler(converter, replace(operator, name=converter.name(operator.outputs[0])))
    return OnnxModel(
        name=network_name(path),
        opset=OPSET,
        nodes=tuple(converter.nodes),
        initialisers=converter.constants,
        inputs=tuple(converter.port(index) for index in model.inputs),
        outputs=tuple(converter.port(index) for index in model.outputs),
    )


def _windows(operator: TfOperator) -> dict[str, Any]:
    """Strides, dilations and padding, as ONNX has them."""
    get = operator.options.get
    padding = {SAME: b"SAME_UPPER", VALID: b"VALID"}.get(int(get("Padding", SAME)))
    if padding is None:
        raise ModelError(
            f"padding {get('Padding')} is not known", remedy="SAME and VALID are", at=operator
        )
    return {
        "strides": [int(get("StrideH", 1)), int(get("StrideW", 1))],
        "dilations": [int(get("DilationHFactor", 1)), int(get("DilationWFactor", 1))],
        "auto_pad": padding,
    }


def _last(operator: TfOperator, shape: tuple[int | None, ...]) -> Any:
    """The size of an input's last dimension."""
    if not shape:
        raise ModelError("an input has no dimensions", at=operator)
    return shape[-1]


def _conv(depthwise: bool) -> "Handler":
    def handler(converter: Converter, operator: TfOperator) -> None:
        channels = _last(operator, converter.needed(operator, 0).shape)
        perm, groups = ([3, 0, 1, 2], channels) if depthwise else ([0, 3, 1, 2], 1)
        x = converter.node(operator, "Transpose", converter.read(operator, 0), perm=TO_NCHW)
        weights = converter.weights(operator, perm, 0)
        inputs = (x, weights, converter.bias(operator))
        y = converter.node(operator, "Conv", *inputs, group=groups, **_windows(operator))
        converter.write(operator, converter.image(operator, y))

    return handler


def _pool(op: str) -> "Handler":
    def handler(converter: Converter, operator: TfOperator) -> None:
        size = list(converter.needed(operator, 0).shape[1:3])
        get = operator.options.get
        kernel = [int(get("FilterHeight", 1)), int(get("FilterWidth", 1))]
        x = converter.node(operator, "Transpose", converter.read(operator, 0), perm=TO_NCHW)
        if kernel == size and get("Padding") == VALID:
            y = converter.node(operator, f"Global{op}", x)
        else:
            y = converter.node(operator, op, x, kernel_shape=kernel, **_windows(operator))
        converter.write(operator, converter.image(operator, y))

    return handler


def _fully_connected(converter: Converter, operator: TfOperator) -> None:
    if operator.options.get("WeightsFormat", 0):
        raise ModelError(
            "shuffled weights are not supported", remedy="the default format is", at=operator
        )
    columns = _last(operator, converter.constant(operator, 1).shape)
    shape = converter.stored(f"{operator.name}/flat", np.array([-1, columns], np.int64))
    x = converter.node(operator, "Reshape", converter.read(operator, 0), shape)
    weights = converter.weights(operator, [0, 1], 0)
    y = converter.node(operator, "Gemm", x, weights, converter.bias(operator), transB=1)
    full = converter.model.tensors[operator.outputs[0]].shape
    if len(full) != 2:
        target = converter.stored(f"{operator.name}/full", np.array(full, np.int64))
        y = converter.node(operator, "Reshape", y, target)
    converter.write(operator, y)


def _elementwise(op: str, count: int) -> "Handler":
    def handler(converter: Converter, operator: TfOperator) -> None:
        inputs = [converter.read(operator, place) for place in range(count)]
        converter.write(operator, converter.node(operator, op, *inputs))

    return handler


def _concatenation(converter: Converter, operator: TfOperator) -> None:
    inputs = [converter.read(operator, place) for place in range(len(operator.inputs))]
    axis = int(operator.options.get("Axis", 0))
    converter.write(operator, converter.node(operator, "Concat", *inputs, axis=axis))


def _leaky_relu(converter: Converter, operator: TfOperator) -> None:
    alpha = float(operator.options.get("Alpha", 0.0))
    x = converter.read(operator, 0)
    converter.write(operator, converter.node(operator, "LeakyRelu", x, alpha=alpha))


def _relu(kind: int) -> "Handler":
    def handler(converter: Converter, operator: TfOperator) -> None:
        converter.write(operator, converter.clamp(operator, converter.read(operator, 0), kind))

    return handler


def _mean(converter: Converter, operator: TfOperator) -> None:
    axes = [int(axis) for axis in converter.constant(operator, 1).reshape(-1)]
    keep = int(bool(operator.options.get("KeepDims", False)))
    x = converter.read(operator, 0)
    y = converter.node(operator, "ReduceMean", x, axes=axes, keepdims=keep)
    converter.write(operator, y)


def _softmax(converter: Converter, operator: TfOperator) -> None:
    if operator.options.get("Beta", 1.0) != 1.0:
        raise ModelError(
            f"beta {operator.options['Beta']:g} is not supported", remedy="1 is", at=operator
        )
    converter.write(
        operator, converter.node(operator, "Softmax", converter.read(operator, 0), axis=-1)
    )


def _moved(converter: Converter, operator: TfOperator) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the output's own shape says all."""
    shape = np.array(converter.model.tensors[operator.outputs[0]].shape, np.int64)
    target = converter.stored(f"{operator.name}/shape", shape)
    converter.write(
        operator, converter.node(operator, "Reshape", converter.read(operator, 0), target)
    )


def _transpose(converter: Converter, operator: TfOperator) -> None:
    perm = [int(axis) for axis in converter.constant(operator, 1).reshape(-1)]
    x = converter.read(operator, 0)
    converter.write(operator, converter.node(operator, "Transpose", x, perm=perm))


def _copied(converter: Converter, operator: TfOperator) -> None:
    """QUANTIZE and DEQUANTIZE: what reading and writing do anyway."""
    converter.write(operator, converter.read(operator, 0), activation=False)


Handler = Callable[[Converter, TfOperator], None]

_HANDLERS: dict[str, Handler] = {
    "ADD": _elementwise("Add", 2),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv(depthwise=False),
    "DEPTHWISE_CONV_2D": _conv(depthwise=True),
    "DEQUANTIZE": _copied,
    "ELU": _elementwise("Elu", 1),
    "EXPAND_DIMS": _moved,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _elementwise("HardSwish", 1),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _elementwise("Sigmoid", 1),
    "MAX_POOL_2D": _pool("MaxPool"),
    "MEAN": _mean,
    "MUL": _elementwise("Mul", 2),
    "QUANTIZE": _copied,
    "RELU": _relu(1),
    "RELU6": _relu(3),
    "RELU_N1_TO_1": _relu(2),
    "RESHAPE": _moved,
    "SOFTMAX": _softmax,
    "SQUEEZE": _moved,
    "SUB": _elementwise("Sub", 2),
    "TANH": _elementwise("Tanh", 1),
    "TRANSPOSE": _transpose,
}
HANDLERS: Mapping[str, Handler] = dict(sorted((_HANDLERS | MOVES).items()))
