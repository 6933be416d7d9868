"""The TFLite form: each operator as ONNX operators between DequantizeLinear and QuantizeLinear.

Shapes stay TFLite's (NHWC), codes are in ONNX's order (NCHW): every image is read and written
through a Transpose, which costs nothing (``weft.nn.onnx.views``). The arithmetic is that of all
forms, ONNX Runtime's; TFLite's own reference kernels round twice and may differ by one code.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import ModelError
from weft.files import network_name
from weft.nn.forms.tflite_file import TfModel, TfOperator, TfTensor, read
from weft.nn.forms.tflite_moves import MOVES
from weft.nn.ir.names import Names
from weft.nn.onnx.model import Node, OnnxModel, Port

OPSET = 21
SAME, VALID = 0, 1
ACTIVATIONS: dict[int, tuple[str, float, float]] = {
    1: ("RELU", 0.0, np.inf),
    2: ("RELU_N1_TO_1", -1.0, 1.0),
    3: ("RELU6", 0.0, 6.0),
}
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def load(path: Path) -> OnnxModel:
    """The file as an ONNX model in QDQ form. Raises ModelError for what is not supported."""
    model = read(path)
    if not model.operators or not model.inputs or not model.outputs:
        raise ModelError(f"{path}: holds no operators, inputs or outputs")
    return Converter(model=model).convert(network_name(path))


@dataclass(kw_only=True)
class Converter:
    """The nodes so far. A tensor's name is TFLite's, with its index where that is not unique."""

    model: TfModel
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    codes: dict[int, str] = field(default_factory=dict)  # of activations, in NCHW order
    real: dict[int, str] = field(default_factory=dict)  # dequantised, in TFLite's order

    def __post_init__(self) -> None:
        given = [tensor.name for tensor in self.model.tensors]
        count = Counter(given)
        self.names = Names(given)
        self.tensor_names = [
            name if name and count[name] == 1 else self.names.new(f"{name}#{index}")
            for index, name in enumerate(given)
        ]

    def convert(self, name: str) -> OnnxModel:
        for operator in self.model.operators:
            handler = HANDLERS.get(operator.op)
            if handler is None:
                raise ModelError(
                    f"{operator}: operator {operator.op} is not supported in TFLite files; "
                    f"supported are {', '.join(HANDLERS)}"
                )
            handler(self, replace(operator, name=self.name(operator.outputs[0])))
        return OnnxModel(
            name=name,
            opset=OPSET,
            nodes=tuple(self.nodes),
            initialisers=self.constants,
            inputs=tuple(self.port(index) for index in self.model.inputs),
            outputs=tuple(self.port(index) for index in self.model.outputs),
        )

    def name(self, index: int) -> str:
        return self.tensor_names[index]

    def port(self, index: int) -> Port:
        tensor = self.model.tensors[index]
        dtype = "float" if tensor.dtype == "float32" else tensor.dtype
        return Port(name=self.name(index), dtype=dtype, shape=tensor.shape)

    def tensor(self, operator: TfOperator, place: int) -> TfTensor | None:
        """An input; None where it is left out."""
        if place >= len(operator.inputs) or operator.inputs[place] < 0:
            return None
        return self.model.tensors[operator.inputs[place]]

    def needed(self, operator: TfOperator, place: int) -> TfTensor:
        tensor = self.tensor(operator, place)
        if tensor is None:
            raise ModelError(f"{operator}: input {place} is missing")
        return tensor

    def constant(self, operator: TfOperator, place: int) -> np.ndarray:
        tensor = self.needed(operator, place)
        if tensor.array is None:
            raise ModelError(
                f"{operator}: input {tensor.name!r} is computed at run time; only constants are "
                "supported"
            )
        return tensor.array

    def node(self, operator: TfOperator, op: str, *inputs: str, **attributes: Any) -> str:
        """A new node's result."""
        output = self.names.new(f"{operator.name}/{op}{len(self.nodes)}")
        self.nodes.append(_node(operator.name, op, inputs, output, attributes))
        return output

    def stored(self, wanted: str, array: Any) -> str:
        """A new constant's name: ``wanted``, unless that is taken."""
        name = self.names.new(wanted)
        self.constants[name] = np.asarray(array)
        return name

    def parameters(self, index: int, axis: int | None = None) -> tuple[str, str, int]:
        """Names of a tensor's scale and zero point, and their axis."""
        tensor, name = self.model.tensors[index], self.name(index)
        shape = () if tensor.scale.size == 1 else (-1,)
        scale = self.stored(f"{name}/scale", tensor.scale.reshape(shape))
        kind = "int8" if tensor.dtype == "int4" else tensor.dtype
        info = np.iinfo(kind)
        zero = np.clip(tensor.zero_point, info.min, info.max).astype(kind).reshape(shape)
        return scale, self.stored(f"{name}/zero_point", zero), tensor.axis if axis is None else axis

    def read(self, operator: TfOperator, place: int) -> str:
        """The real values of an input."""
        tensor, index = self.needed(operator, place), operator.inputs[place]
        if index in self.real:
            return self.real[index]
        name = self.name(index)
        if tensor.array is not None:
            self.constants[name] = tensor.array
        if tensor.dtype == "float32":
            return name
        if not tensor.scale.size:
            raise ModelError(
                f"{operator}: input {tensor.name!r} ({tensor.dtype}) has no scale; quantise the "
                "whole network to int8 (TFLITE_BUILTINS_INT8)"
            )
        scale, zero, axis = self.parameters(index)
        is_image = len(tensor.shape) == 4 and tensor.array is None
        codes = self.codes.get(index, name)
        if is_image and index not in self.codes:  # an input of the model
            codes = self.node(operator, "Transpose", name, perm=TO_NCHW)
        real = self.node(operator, "DequantizeLinear", codes, scale, zero, axis=axis)
        self.real[index] = self.image(operator, real) if is_image else real
        return self.real[index]

    def image(self, operator: TfOperator, value: str) -> str:
        """An image as TFLite sees it."""
        return self.node(operator, "Transpose", value, perm=TO_NHWC)

    def write(
        self, operator: TfOperator, value: str, activation: bool = True, place: int = 0
    ) -> None:
        """An operator's output: its fused activation, then its quantisation."""
        kind = int(operator.options.get("FusedActivationFunction", 0)) if activation else 0
        if kind:
            value = self.clamp(operator, value, kind)
        index = operator.outputs[place]
        tensor, name = self.model.tensors[index], self.name(index)
        if tensor.dtype == "float32":
            self.nodes.append(_node(operator.name, "Identity", (value,), name, {}))
            return
        if not tensor.scale.size:
            raise ModelError(f"{operator}: output {tensor.name!r} has no scale")
        scale, zero, _ = self.parameters(index)
        shown = index in self.model.outputs and len(tensor.shape) == 4
        self.codes[index] = self.names.new(f"{name}/codes") if shown else name
        if len(tensor.shape) == 4:
            value = self.node(operator, "Transpose", value, perm=TO_NCHW)
        inputs = (value, scale, zero)
        self.nodes.append(_node(operator.name, "QuantizeLinear", inputs, self.codes[index], {}))
        if shown:
            inputs = (self.codes[index],)
            self.nodes.append(_node(operator.name, "Transpose", inputs, name, {"perm": TO_NHWC}))

    def clamp(self, operator: TfOperator, value: str, kind: int) -> str:
        if kind not in ACTIVATIONS:
            raise ModelError(
                f"{operator}: fused activation {kind} is not supported; RELU, RELU6 and "
                "RELU_N1_TO_1 are"
            )
        _, low, high = ACTIVATIONS[kind]
        bounds = [self.stored(f"{value}/{b}", np.float32(b)) for b in (low, high)]
        return self.node(operator, "Clip", value, *bounds)

    def weights(self, operator: TfOperator, perm: list[int], axis: int) -> str:
        """A constant operand in ONNX's order, dequantised along ``axis``."""
        array = self.constant(operator, 1)
        index = operator.inputs[1]
        if array.ndim != len(perm):
            raise ModelError(f"{operator}: weights of shape {list(array.shape)}")
        name = self.stored(f"{self.name(index)}/weights", array.transpose(perm))
        return self.node(operator, "DequantizeLinear", name, *self.scales(operator, 1), axis=axis)

    def scales(self, operator: TfOperator, place: int) -> tuple[str, str]:
        tensor = self.needed(operator, place)
        if not tensor.scale.size:
            raise ModelError(
                f"{operator}: weight {tensor.name!r} is not quantised; int8 is supported"
            )
        scale, zero, _ = self.parameters(operator.inputs[place])
        return scale, zero

    def bias(self, operator: TfOperator, place: int = 2) -> str:
        """An input at the scale s_x * s_w, '' where there is none."""
        tensor = self.tensor(operator, place)
        if tensor is None:
            return ""
        self.constant(operator, place)
        return self.read(operator, place)


def _node(name: str, op: str, inputs: tuple[str, ...], output: str, attributes: Any) -> Node:
    return Node(name=name, op=op, inputs=inputs, outputs=(output,), attributes=attributes)


def _windows(operator: TfOperator) -> dict[str, Any]:
    """Strides, dilations and padding, as ONNX has them."""
    get = operator.options.get
    padding = {SAME: b"SAME_UPPER", VALID: b"VALID"}.get(int(get("Padding", SAME)))
    if padding is None:
        raise ModelError(f"{operator}: padding {get('Padding')} is not known; SAME and VALID are")
    return {
        "strides": [int(get("StrideH", 1)), int(get("StrideW", 1))],
        "dilations": [int(get("DilationHFactor", 1)), int(get("DilationWFactor", 1))],
        "auto_pad": padding,
    }


def _last(operator: TfOperator, shape: tuple[int | None, ...]) -> Any:
    """The size of an input's last dimension."""
    if not shape:
        raise ModelError(f"{operator}: an input has no dimensions")
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
        raise ModelError(f"{operator}: shuffled weights are not supported; the default format is")
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
        raise ModelError(f"{operator}: beta {operator.options['Beta']:g} is not supported; 1 is")
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
