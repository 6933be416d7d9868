"""Models with run-time parameters, and lone integer operators, as models that can be imported."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from weft.nn.ir.names import Names

INTEGER = ("ConvInteger", "MatMulInteger")  # their result is an accumulator
CODES: dict[int, str] = {TensorProto.INT8: "int8", TensorProto.UINT8: "uint8"}


def parameters(model: onnx.ModelProto) -> set[str]:
    """The model's inputs that have to be constants: scales, zero points, weights, shapes, ..."""
    inputs = {item.name for item in model.graph.input}
    return {
        name
        for node in model.graph.node
        for index, name in enumerate(node.input)
        if name in inputs and not _is_activation(node, index)
    }


def _is_activation(node: onnx.NodeProto, index: int) -> bool:
    match node.op_type:
        case "Add" | "Sub" | "Mul" | "Div" | "Concat":
            return True
        case "QLinearAdd" | "QLinearMul":
            return index in (0, 3)
        case "QLinearConcat":
            return index >= 2 and index % 3 == 2
        case _:
            return index == 0


def specialised(
    model: onnx.ModelProto, values: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    """A copy with some inputs as constants of these values and the others of these shapes.

    Scales of float16 become float32 ones. What takes or gives bare integers gets what an importer
    needs around it: ConvInteger and MatMulInteger a Cast to float, MaxPool of codes a scale of 1.
    """
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    graph = copy.graph
    for name, array in values.items():
        wide = array.astype(np.float32) if array.dtype == np.float16 else array
        graph.initializer.append(numpy_helper.from_array(wide, name))
    constants = {item.name for item in graph.initializer}  # old models list them here, too
    kept = [item for item in graph.input if item.name not in constants]
    del graph.input[:]
    for item in kept:
        kind = item.type.tensor_type.elem_type
        shape = inputs[item.name].shape
        graph.input.append(helper.make_tensor_value_info(item.name, kind, shape))
    _cast_accumulators(graph)
    _scale_codes(graph)
    return copy


def gives_accumulators(model: onnx.ModelProto) -> bool:
    """Whether an output of the model is a bare integer sum."""
    names = {item.name for item in model.graph.output}
    return any(n.op_type in INTEGER and names & set(n.output) for n in model.graph.node)


def _cast_accumulators(graph: onnx.GraphProto) -> None:
    made = {name: node for node in graph.node for name in node.output}
    names = Names(_names(graph))
    for item in graph.output:
        node = made.get(item.name)
        if node is not None and node.op_type in INTEGER:
            inner = names.new(f"{item.name} (integer)")
            node.output[0] = inner
            graph.node.append(helper.make_node("Cast", [inner], [item.name], to=TensorProto.FLOAT))
            item.type.tensor_type.elem_type = TensorProto.FLOAT


def _names(graph: onnx.GraphProto) -> set[str]:
    """Of all values."""
    names = {item.name for item in (*graph.input, *graph.output, *graph.initializer)}
    return names.union(*((*node.input, *node.output) for node in graph.node))


def _scale_codes(graph: onnx.GraphProto) -> None:
    kinds = {item.name: item.type.tensor_type.elem_type for item in graph.input}
    taken = Names(_names(graph))
    pools = [n for n in graph.node if n.op_type == "MaxPool" and kinds.get(n.input[0]) in CODES]
    for pool in pools:
        source, result = pool.input[0], pool.output[0]
        scale, zero, real, pooled = (
            taken.new(f"{result} ({what})") for what in ("scale", "zero point", "input", "output")
        )
        one, none = np.float32(1), np.zeros((), CODES[kinds[source]])
        graph.initializer.append(numpy_helper.from_array(np.asarray(one), scale))
        graph.initializer.append(numpy_helper.from_array(none, zero))
        pool.input[0], pool.output[0] = real, pooled
        graph.node.extend(
            [
                helper.make_node("DequantizeLinear", [source, scale, zero], [real]),
                helper.make_node("QuantizeLinear", [pooled, scale, zero], [result]),
            ]
        )
