"""What a network gives where all of its values are constants: the importer's own folding."""

from collections.abc import Mapping

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.model import OnnxModel
from weft.nn.onnx.nodes import running_order
from weft.nn.onnx.ports import begin
from weft.nn.onnx.symbols import Constant, QuantisedConstant
from weft.nn.onnx.table import import_node


def fold(model: OnnxModel, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs by name, from all inputs by name.

    Raises ModelError for nodes that cannot be folded.
    """
    nodes = running_order(model)
    builder = begin(model, nodes)
    for name, array in inputs.items():
        builder.symbols[name] = Constant(array=array)
    for node in nodes:
        import_node(node, builder)
    found = {}
    for port in model.outputs:
        match builder.symbols[port.name]:
            case Constant(array=array):
                found[port.name] = array
            case QuantisedConstant() as value:
                found[port.name] = value.centred.astype(np.float32) * value.scale
            case _:
                raise ModelError(f"output {port.name!r} is not a constant")
    return found
