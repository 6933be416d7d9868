"""Codes stored in as few bits as the file format has types for: int2, int4, int8."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from weft.errors import ModelError
from weft.nn.compress.layers import array_proto
from weft.nn.compress.runner import tensors
from weft.nn.compress.standard import at_opset, opset
from weft.nn.onnx.model import to_array
from weft.nn.quantise.runtime import REFUSALS

TYPES = ((2, TensorProto.INT2, 25, 13), (4, TensorProto.INT4, 21, 10))
"""Bits, the type, the first opset that has it for DequantizeLinear, and that opset's IR version."""


def few_bit(
    model: onnx.ModelProto, bits: Mapping[str, int], inputs: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    """The model with constants int8 stored in fewer bits, at the opset that this needs.

    bits: of each constant, by name. Where the model cannot be brought to that opset, or ONNX
    Runtime does not run it there on one sample of ``inputs``, larger types serve.
    """
    outputs = [item.name for item in model.graph.output]
    sample = {name: array[:1] for name, array in inputs.items()}
    for candidate in _candidates(model, bits):
        try:
            onnx.checker.check_model(candidate)
            tensors(candidate, sample, outputs)
        except (onnx.checker.ValidationError, *REFUSALS):
            continue
        return candidate
    return model


def _candidates(model: onnx.ModelProto, bits: Mapping[str, int]) -> Iterator[onnx.ModelProto]:
    """The model in types that grow: the last ones are those that its own opset has."""
    least = min(bits.values(), default=8)
    needed = {first for width, _, first, _ in TYPES if least <= width}
    for target in sorted(needed | {opset(model)}, reverse=True):
        try:
            changed = at_opset(model, target)
        except ModelError:
            continue
        yield _stored(changed, bits)


def _stored(model: onnx.ModelProto, bits: Mapping[str, int]) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    version = opset(changed)
    for item in changed.graph.initializer:
        if item.name not in bits:
            continue
        for width, kind, first, ir_version in TYPES:
            if bits[item.name] <= width and version >= first:
                array = to_array(item.name, item)
                few = array.astype(helper.tensor_dtype_to_np_dtype(kind))
                item.CopyFrom(array_proto(item.name, few))
                changed.ir_version = max(changed.ir_version, ir_version)
                break
    return changed
