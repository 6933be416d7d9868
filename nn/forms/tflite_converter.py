"""The ONNX nodes of a TFLite file while its operators are converted one by one."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft.errors import ModelError
from weft.nn.forms.tflite_file import TfModel, TfOperator, TfTensor
from weft.nn.ir.names import Names
from weft.nn.onnx.model import Node, Port

SAME, VALID = 0, 1  # paddings
ACTIVATIONS: dict[int, tuple[str, float, float]] = {
    1: ("RELU", 0.0, np.inf),
    2: ("RELU_N1_TO_1", -1.0, 1.0),
    3: ("RELU6", 0.0, 6.0),
}
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


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
            raise ModelError(f"input {place} is missing", at=operator)
        return tensor

    def constant(self, operator: TfOperator, place: int) -> np.ndarray:
        tensor = self.needed(operator, place)
        if tensor.array is None:
            raise ModelError(
                f"input {tensor.name!r} is computed at run time",
                remedy="only constants are supported",
                at=operator,
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
                f"input {tensor.name!r} ({tensor.dtype}) has no scale",
                remedy="quantise the whole network to int8 (TFLITE_BUILTINS_INT8)",
                at=operator,
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
            raise ModelError(f"output {tensor.name!r} has no scale", at=operator)
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
                f"fused activation {kind} is not supported",
                remedy="RELU, RELU6 and RELU_N1_TO_1 are",
                at=operator,
            )
        _, low, high = ACTIVATIONS[kind]
        bounds = [self.stored(f"{value}/{b}", np.float32(b)) for b in (low, high)]
        return self.node(operator, "Clip", value, *bounds)

    def weights(self, operator: TfOperator, perm: list[int], axis: int) -> str:
        """A constant operand in ONNX's order, dequantised along ``axis``."""
        array = self.constant(operator, 1)
        index = operator.inputs[1]
        if array.ndim != len(perm):
            raise ModelError(f"weights of shape {list(array.shape)}", at=operator)
        name = self.stored(f"{self.name(index)}/weights", array.transpose(perm))
        return self.node(operator, "DequantizeLinear", name, *self.scales(operator, 1), axis=axis)

    def scales(self, operator: TfOperator, place: int) -> tuple[str, str]:
        tensor = self.needed(operator, place)
        if not tensor.scale.size:
            raise ModelError(
                f"weight {tensor.name!r} is not quantised", remedy="int8 is supported", at=operator
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
