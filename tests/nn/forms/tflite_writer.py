"""A TFLite file of activations and operators without options, to see how files are read."""

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import tflite

CODES = {"MUL": 18, "HARD_SWISH": 117, "GELU": 150, "ADD": 0}  # the schema's own numbers
LAST_OLD = 127  # what the old field says where a code is too large for it


def file(
    shape: tuple[int, ...],
    operators: Sequence[tuple[str, tuple[int, ...]]],
    encoding: str,
    sparse: bool = False,
    outside: tuple[int, int] | None = None,
) -> bytes:
    """A chain of operators, each writing the tensor after those before it; tensor 0 is the input.

    operators: name and the tensors that are read. encoding: which fields hold an operator's code:
    'old' (deprecated_builtin_code), 'new' (builtin_code) or 'both'. sparse: tensors say that they
    are. outside: where in the file the contents of all tensors begin, and their size.
    """
    builder = flatbuffers.Builder()
    codes = _vector(builder, [_code(builder, CODES[name], encoding) for name, _ in operators])
    tensors = [_tensor(builder, shape, f"t{i}", sparse) for i in range(len(operators) + 1)]
    made = [
        _operator(builder, index, inputs, index + 1) for index, (_, inputs) in enumerate(operators)
    ]
    ends = [_numbers(builder, [end]) for end in (0, len(operators))]
    tables = [_vector(builder, tensors), _vector(builder, made)]
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tables[0])
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    tflite.SubGraphAddOperators(builder, tables[1])
    graphs = _vector(builder, [tflite.SubGraphEnd(builder)])
    tflite.BufferStart(builder)
    if outside:
        tflite.BufferAddOffset(builder, outside[0])
        tflite.BufferAddSize(builder, outside[1])
    buffers = _vector(builder, [tflite.BufferEnd(builder)])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _code(builder: Any, number: int, encoding: str) -> int:
    tflite.OperatorCodeStart(builder)
    if encoding != "new":
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, LAST_OLD))
    if encoding != "old":
        tflite.OperatorCodeAddBuiltinCode(builder, number)
    tflite.OperatorCodeAddVersion(builder, 1)
    return tflite.OperatorCodeEnd(builder)


def _tensor(builder: Any, shape: tuple[int, ...], name: str, sparse: bool) -> int:
    sizes, text = _numbers(builder, shape), builder.CreateString(name)
    scale = _numbers(builder, [0.1], builder.PrependFloat32)
    zero = _numbers(builder, [3], builder.PrependInt64, 8)
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    tflite.QuantizationParametersAddZeroPoint(builder, zero)
    quantisation = tflite.QuantizationParametersEnd(builder)
    tflite.SparsityParametersStart(builder)
    sparsity = tflite.SparsityParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, sizes)
    tflite.TensorAddType(builder, tflite.TensorType.INT8)
    tflite.TensorAddBuffer(builder, 0)
    tflite.TensorAddName(builder, text)
    tflite.TensorAddQuantization(builder, quantisation)
    if sparse:
        tflite.TensorAddSparsity(builder, sparsity)
    return tflite.TensorEnd(builder)


def _operator(builder: Any, code: int, inputs: tuple[int, ...], output: int) -> int:
    ends = [_numbers(builder, inputs), _numbers(builder, [output])]
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, ends[0])
    tflite.OperatorAddOutputs(builder, ends[1])
    return tflite.OperatorEnd(builder)


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _numbers(
    builder: Any, values: Sequence[float], put: Callable[[Any], None] | None = None, size: int = 4
) -> int:
    builder.StartVector(size, len(values), size)
    for value in reversed(values):
        (put or builder.PrependInt32)(value)
    return builder.EndVector()
