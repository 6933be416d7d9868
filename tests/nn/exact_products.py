"""ONNX models rewritten so that ONNX Runtime multiplies exactly on every CPU.

On x86-64 without VNNI its kernels for uint8 times int8 add two products in 16 bits, which saturate.
Those for uint8 times uint8 and for int8 times int8 are exact everywhere. So an int8 operand that
meets a uint8 one becomes uint8 as well: 128 is added to its codes and to its zero point, which
changes no number. Activations keep their type where they can: the float32 rounding of QLinearAdd
and others depends on their zero points.
"""

from functools import cached_property

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

REAL_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # between Q and DQ
CODE_PRODUCTS = {  # the places of a's codes, b's codes and b's zero point
    "ConvInteger": (0, 1, 3),
    "MatMulInteger": (0, 1, 3),
    "QGemm": (0, 3, 5),
    "QLinearConv": (0, 3, 5),
    "QLinearMatMul": (0, 3, 5),
}
MOVES = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""What may stand between a DequantizeLinear and the product that ONNX Runtime fuses it into."""


def exact_products(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model without products of uint8 by int8; None where it has none."""
    return _Rewriter(onnx.ModelProto.FromString(model.SerializeToString())).rewritten()


def cut(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """The model as far as the tensor ``output``."""
    wanted, kept = {output}, []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            kept.append(_copy(node))
            wanted |= set(node.input)
    part = onnx.ModelProto.FromString(model.SerializeToString())
    del part.graph.node[:], part.graph.output[:]
    part.graph.node.extend(kept[::-1])
    part.graph.output.append(helper.make_empty_tensor_value_info(output))
    return part


class _Rewriter:
    """Changes a model in place. What an operand becomes is added once, for all of its readers."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.added: dict[str, str] = {}  # the uint8 form of a tensor of codes or numbers
        self.nodes: list[onnx.NodeProto] = []

    def rewritten(self) -> onnx.ModelProto | None:
        for node in self.model.graph.node:
            if node.op_type in CODE_PRODUCTS:
                a, b, zero = CODE_PRODUCTS[node.op_type]
                if self._is_mixed(node, a, b):
                    node.input.extend([""] * (zero + 1 - len(node.input)))
                    node.input[zero] = self._zero_point(node.input[zero])
                    node.input[b] = self._codes(node.input[b])
            elif node.op_type in REAL_PRODUCTS and self._is_mixed(node, 0, 1):
                node.input[1] = self._operand(node.input[1])
            self.nodes.append(_copy(node))
        if not self.added:
            return None
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        return self.model

    def _is_mixed(self, node: onnx.NodeProto, a: int, b: int) -> bool:
        kinds = self.types.get(node.input[a]), self.types.get(node.input[b])
        return kinds == (np.uint8, np.int8)

    def _operand(self, name: str) -> str:
        """A dequantised operand, now of uint8 codes; what cannot be fused stays as it is."""
        node = self.makers.get(name)
        if name in self.added or node is None:
            return self.added.get(name, name)
        copy = _copy(node)
        if node.op_type in MOVES:
            copy.input[0] = self._operand(node.input[0])
        elif node.op_type == "DequantizeLinear":
            scale, zero = node.input[1], self._zero_point(*node.input[2:3], scale=node.input[1])
            codes = self._codes(node.input[0], real=(name, scale, zero))
            del copy.input[:]
            copy.input.extend([codes, scale, zero])
        else:
            return name
        self.added[name] = copy.name = copy.output[0] = f"{name}/uint8"
        self.nodes.append(copy)
        return self.added[name]

    def _codes(self, name: str, real: tuple[str, str, str] | None = None) -> str:
        """Codes of int8 as uint8.

        real: what they stand for, with scale and new zero point, to quantise where they are no
        constants.
        """
        values = self._constant(name)
        if values is None:
            assert real, f"{name}: int8 codes meet uint8 ones and are no constants"
            made = f"{name}/uint8"
            self.nodes.append(helper.make_node("QuantizeLinear", real, [made], name=made))
            return made
        return self._shifted(name, values)

    def _zero_point(self, name: str = "", scale: str = "") -> str:
        """A zero point as uint8. One that is absent is 0, in the shape of the scale."""
        if name:
            values = self._constant(name)
            assert values is not None, f"{name}: a zero point that is no constant"
            return self._shifted(name, values)
        values = self._constant(scale) if scale else None
        shape = () if values is None else values.shape
        return self._shifted(f"{scale}/zero", np.zeros(shape, np.int8))

    def _shifted(self, name: str, values: np.ndarray) -> str:
        if name not in self.added:
            self.added[name] = f"{name}/uint8"
            codes = (values.astype(np.int16) + 128).astype(np.uint8)
            constant = numpy_helper.from_array(codes, self.added[name])
            self.model.graph.initializer.append(constant)
        return self.added[name]

    def _constant(self, name: str) -> np.ndarray | None:
        """The value of what depends on no input of the model, by ONNX Runtime; else None."""
        if name in self.constants:
            return self.constants[name]
        part = cut(self.model, name)
        read = {item for node in part.graph.node for item in node.input} | {name}
        if any(item.name in read - set(self.constants) for item in part.graph.input):
            return None
        del part.graph.input[:]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(part.SerializeToString(), options)
        return np.asarray(session.run(None, {})[0])

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """Initializers by name."""
        items = self.model.graph.initializer
        return {item.name: numpy_helper.to_array(item) for item in items}

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self.model.graph.node for name in node.output}

    @cached_property
    def types(self) -> dict[str, np.dtype]:
        """Of each tensor the type of the codes that it is, or that its numbers came from."""
        found = {name: array.dtype for name, array in self.constants.items()}
        for item in self.model.graph.input:
            kind = item.type.tensor_type.elem_type
            found.setdefault(item.name, helper.tensor_dtype_to_np_dtype(kind))
        for node in self.model.graph.node:
            kind = self._type(node, found)
            if kind is not None:
                found |= dict.fromkeys(node.output, kind)
        return found

    def _type(self, node: onnx.NodeProto, found: dict[str, np.dtype]) -> np.dtype | None:
        values = {item.name: item for item in node.attribute}
        if node.op_type == "Constant":
            return numpy_helper.to_array(values["value"].t).dtype if "value" in values else None
        if node.op_type == "QuantizeLinear":
            if len(node.input) > 2:
                return found.get(node.input[2])
            kind = values["output_dtype"].i if "output_dtype" in values else 0
            return helper.tensor_dtype_to_np_dtype(kind or onnx.TensorProto.UINT8)
        kinds = (found.get(name) for name in node.input)
        return next((kind for kind in kinds if kind in (np.int8, np.uint8)), None)


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    return onnx.NodeProto.FromString(node.SerializeToString())
