"""A TFLite file as plain values. Everything that can be wrong with it as a file ends here.

Ref: tensorflow/compiler/mlir/lite/schema/schema.fbs; the PyPI package ``tflite`` reads it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers.number_types import Int32Flags

from weft.errors import ModelError
from weft.files import regular_size
from weft.nn.onnx.model import MAX_ELEMENTS

IDENTIFIER = b"TFL3"
BUILTIN_CODE = 10  # where a table of kind OperatorCode says where its field ``builtin_code`` is
TYPES = {
    "FLOAT32": "float32",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "INT4": "int4",
}
# What reading outside the buffer, or a table as another kind of table, raises in flatbuffers.
DAMAGE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, kw_only=True)
class TfTensor:
    """A tensor: its shape as TFLite has it (NHWC), and for constants its array."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    array: np.ndarray | None
    scale: np.ndarray  # float32 [0], [1] or one per index of ``axis``
    zero_point: np.ndarray  # int64, as long as ``scale``
    axis: int


@dataclass(frozen=True, kw_only=True)
class TfOperator:
    """An operator with its options by their names in the schema (``StrideW``, ``Padding``)."""

    name: str  # of its first output
    op: str  # "CONV_2D"
    inputs: tuple[int, ...]  # -1 where one is left out
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"


@dataclass(frozen=True, kw_only=True)
class TfModel:
    """The one graph of a file."""

    tensors: tuple[TfTensor, ...]
    operators: tuple[TfOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def is_tflite(path: Path) -> bool:
    """Whether a file calls itself a TFLite model, by its name or by its first bytes."""
    if path.suffix == ".tflite":
        return True
    try:
        regular_size(path)
        with path.open("rb") as file:
            return file.read(8)[4:] == IDENTIFIER
    except OSError:
        return False  # whoever reads it next says why


def read(path: Path) -> TfModel:
    """The file's contents. Raises ModelError for anything that is not a usable TFLite file."""
    try:
        regular_size(path)
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", at=path) from error
    if data[4:8] != IDENTIFIER:
        raise ModelError("not a TFLite file, or a damaged one: no identifier TFL3", at=path)
    try:
        return _Reader(data).model()
    except DAMAGE as error:
        raise ModelError(f"not a TFLite file, or a damaged one: {error}", at=path) from error


class _Reader:
    """Flatbuffer tables to values. A damaged file raises one of DAMAGE."""

    def __init__(self, data: bytes) -> None:
        import tflite  # here, since loading its two hundred modules takes half a second

        self.schema = tflite
        self.data = data
        self.size = len(data)
        self.root: Any = tflite.Model.GetRootAs(data, 0)
        self.kinds = _names(tflite.BuiltinOperator)
        self.types = _names(tflite.TensorType)
        self.options = _names(tflite.BuiltinOptions)

    def model(self) -> TfModel:
        if self.root.SubgraphsLength() != 1:
            raise ModelError(
                f"the file has {self.root.SubgraphsLength()} subgraphs; one is supported: export "
                "without control flow"
            )
        graph = self.root.Subgraphs(0)
        tensors = [self.tensor(graph.Tensors(i)) for i in self.counted(graph.TensorsLength())]
        operators = [
            self.operator(graph.Operators(i), tensors)
            for i in self.counted(graph.OperatorsLength())
        ]
        inputs, outputs = (
            self.indices(array, len(tensors), -1)
            for array in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
        )
        return TfModel(
            tensors=tuple(tensors), operators=tuple(operators), inputs=inputs, outputs=outputs
        )

    def counted(self, length: int) -> range:
        """Indices of a vector. Raises ValueError where the file is too small to hold it."""
        if length > self.size:
            raise ValueError(f"a list of {length} entries in {self.size} bytes")
        return range(length)

    def indices(self, array: Any, n_tensors: int, least: int = 0) -> tuple[int, ...]:
        result = tuple(int(i) for i in np.atleast_1d(array)) if not isinstance(array, int) else ()
        if any(not least <= i < n_tensors for i in result):
            raise ValueError("an operator names a tensor that does not exist")
        return result

    def operator(self, table: Any, tensors: list[TfTensor]) -> TfOperator:
        if not 0 <= table.OpcodeIndex() < self.root.OperatorCodesLength():
            raise ValueError("an operator's code does not exist")
        number = _operator_code(self.root.OperatorCodes(table.OpcodeIndex()))
        inputs = self.indices(table.InputsAsNumpy(), len(tensors), -1)
        outputs = self.indices(table.OutputsAsNumpy(), len(tensors))
        return TfOperator(
            name=tensors[outputs[0]].name,
            op=self.kinds.get(number, f"operator {number}"),
            inputs=inputs,
            outputs=outputs,
            options=self.read_options(table),
        )

    def read_options(self, table: Any) -> dict[str, Any]:
        """All numbers of an operator's options."""
        kind = self.options.get(table.BuiltinOptionsType(), "NONE")
        if kind == "NONE" or table.BuiltinOptions() is None:
            return {}
        options = getattr(self.schema, kind)()
        options.Init(table.BuiltinOptions().Bytes, table.BuiltinOptions().Pos)
        found = {}
        for name in dir(type(options)):
            if name == "Init" or name.startswith(("_", "GetRootAs")) or "BufferHas" in name:
                continue
            if name.endswith(("Length", "IsNone")) or hasattr(options, f"{name}Length"):
                continue
            value = getattr(options, name)()
            found[name] = value.tolist() if isinstance(value, np.ndarray) else value
        return found

    def tensor(self, table: Any) -> TfTensor:
        dtype = self.types.get(table.Type(), f"type {table.Type()}")
        shape = tuple(int(n) for n in np.atleast_1d(table.ShapeAsNumpy()))
        if table.ShapeLength() == 0:
            shape = ()
        if any(n < 1 for n in shape) or np.prod(shape, dtype=float) > MAX_ELEMENTS:
            raise ValueError(f"a tensor of the impossible shape {list(shape)}")
        scale, zero_point, axis = self.quantisation(table.Quantization())
        name = table.Name().decode("utf-8", "replace") if table.Name() else ""
        if table.Sparsity() is not None:
            raise ModelError(f"tensor {name!r} is stored as a sparse one; export dense weights")
        return TfTensor(
            name=name,
            dtype=TYPES.get(dtype, dtype.lower()),
            shape=shape,
            array=self.array(table, dtype, shape),
            scale=scale,
            zero_point=zero_point,
            axis=axis,
        )

    def quantisation(self, table: Any) -> tuple[np.ndarray, np.ndarray, int]:
        if table is None or table.ScaleLength() == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        scale = np.array(table.ScaleAsNumpy(), np.float32)
        zero_point = np.zeros(scale.size, np.int64)
        if table.ZeroPointLength():
            zero_point = np.array(table.ZeroPointAsNumpy(), np.int64)
        if zero_point.size != scale.size:
            raise ValueError(f"{zero_point.size} zero points but {scale.size} scales")
        return scale, zero_point, int(table.QuantizedDimension())

    def array(self, table: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """A constant's values; None for an activation, whose buffer is empty."""
        if dtype not in TYPES or table.Buffer() >= self.root.BuffersLength():
            return None
        buffer = self.root.Buffers(table.Buffer())
        raw = self.contents(buffer)
        if not raw:
            return None
        if dtype == "INT4":  # two per byte, the first one in the lower half
            pairs = np.frombuffer(raw, np.int8)
            both = np.stack([(pairs << 4).astype(np.int8) >> 4, pairs >> 4], axis=1)
            return both.reshape(-1)[: int(np.prod(shape))].reshape(shape)
        return np.frombuffer(raw, TYPES[dtype]).reshape(shape)

    def contents(self, buffer: Any) -> bytes:
        """Of a buffer: in its table, or behind all tables in files that may be large."""
        if buffer.DataLength():
            return np.asarray(buffer.DataAsNumpy(), np.uint8).tobytes()
        begin, size = buffer.Offset(), buffer.Size()
        if begin <= 1:  # 1 stands for a file that is being written
            return b""
        if begin + size > self.size:
            raise ValueError(f"{size} bytes from {begin} on in a file of {self.size}")
        return self.data[begin : begin + size]


def _operator_code(table: Any) -> int:
    """Which operator: of the new and the old field, the larger one; one that is left out is 0.

    Not by the package's ``BuiltinCode``, which looks only at the old field for codes below 127.
    """
    place = table._tab.Offset(BUILTIN_CODE)
    new = table._tab.Get(Int32Flags, place + table._tab.Pos) if place else 0
    return max(new, table.DeprecatedBuiltinCode())


def _names(enumeration: type) -> dict[int, str]:
    """The names of a schema's enumeration by their numbers."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
