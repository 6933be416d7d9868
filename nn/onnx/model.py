"""An ONNX file as plain values: nodes in running order, constants as arrays, inputs and outputs.

Everything that can be wrong with a file as a file ends here, as ModelError.
"""

import graphlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message
from onnx import TensorProto, numpy_helper

from weft.errors import ModelError
from weft.files import network_name, regular_size
from weft.nn.ir.origin import Origin

MAX_ELEMENTS = 1 << 28  # of one tensor: beyond any network meant for these devices

QONNX = ("Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant")
QONNX_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")

TYPE_NAMES: dict[int, str] = {value: name.lower() for name, value in TensorProto.DataType.items()}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One ONNX node. Optional inputs that are left out have the name ''."""

    name: str
    op: str  # "Conv"; with its domain in front where that is not ONNX's own
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def origin(self) -> Origin:
        """The node, for what comes of it."""
        return Origin(name=self.name, op=self.op, result=next(iter(self.outputs), ""))

    def __str__(self) -> str:
        return str(self.origin)

    def input(self, index: int) -> str:
        """Name of an input, '' where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise ModelError(f"attribute {name!r} must be an integer, not {value!r}", at=self)
        return value

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, float):
            raise ModelError(f"attribute {name!r} must be a float, not {value!r}", at=self)
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of integers, or None where it is absent."""
        value = self.attributes.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            raise ModelError(f"attribute {name!r} must be integers, not {value!r}", at=self)
        return tuple(value)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output of the model. shape: with its batch, None where a size is not fixed."""

    name: str
    dtype: str  # as ONNX names it: "float", "int8", ...
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """A model: nodes in an order in which they can run, initialisers by name."""

    name: str
    opset: int  # of ONNX's own domain
    nodes: tuple[Node, ...]
    initialisers: Mapping[str, np.ndarray]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def load(path: str | Path) -> OnnxModel:
    """Read and check a file. Raises ModelError for anything that is not a usable ONNX model."""
    path = Path(path)
    proto = _parse(path)
    try:
        return _convert(path, proto)
    except UnicodeDecodeError as error:
        raise ModelError(f"a name in the file is not text: {error}", at=path) from error


def from_proto(proto: onnx.ModelProto) -> OnnxModel:
    """A model in memory, which may be changed by this (nodes sorted). Raises as ``load`` does."""
    path = Path(proto.graph.name or "model")
    if not proto.graph.node:
        raise ModelError("holds no nodes", at=path)
    return _convert(path, proto)


def _convert(path: Path, proto: onnx.ModelProto) -> OnnxModel:
    initialisers = {item.name: to_array(item.name, item) for item in proto.graph.initializer}
    if proto.graph.sparse_initializer:
        raise ModelError(
            "sparse initialisers are not supported", remedy="store them dense", at=path
        )
    inputs = tuple(_port(item) for item in proto.graph.input if item.name not in initialisers)
    _sort_nodes(proto, {port.name for port in inputs} | set(initialisers))
    opset = _opset(path, proto)
    _check(path, proto)
    return OnnxModel(
        name=network_name(path),
        opset=opset,
        nodes=tuple(node_of(item) for item in proto.graph.node),
        initialisers=initialisers,
        inputs=inputs,
        outputs=tuple(_port(item) for item in proto.graph.output),
    )


def _parse(path: Path) -> onnx.ModelProto:
    try:
        regular_size(path)
        proto = onnx.load(path)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", at=path) from error
    except (DecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise ModelError(f"not an ONNX file, or a damaged one: {error}", at=path) from error
    except onnx.checker.ValidationError as error:  # external data outside the folder
        raise ModelError(f"external data cannot be read: {error}", at=path) from error
    if not proto.graph.node:
        raise ModelError("not an ONNX file, or a damaged one: it holds no nodes", at=path)
    return proto


def _check(path: Path, proto: onnx.ModelProto) -> None:
    strays = [node for node in proto.graph.node if node.op_type in QONNX and not node.domain]
    for node in strays:  # old exports leave the domain out, which the checker would refuse
        node.domain = QONNX_DOMAINS[0]
    if strays and all(item.domain != QONNX_DOMAINS[0] for item in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid(QONNX_DOMAINS[0], 1))
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, RuntimeError, ValueError, DecodeError) as error:
        lines = str(error).strip().splitlines() or ["unknown reason"]
        raise ModelError(f"not valid ONNX: {lines[0]}", at=path) from error


def _opset(path: Path, proto: onnx.ModelProto) -> int:
    versions = [item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError("the file names no ONNX opset", at=path)
    return max(versions)


def _label(proto: onnx.NodeProto) -> tuple[str, str]:
    """Name and operator of a node; one without a name goes by its first output."""
    name = proto.name or (proto.output[0] if proto.output else "")
    own = proto.domain in ("", "ai.onnx", *QONNX_DOMAINS)
    shared = proto.op_type in ("QuantizeLinear", "DequantizeLinear")  # com.microsoft has them, too
    return name, proto.op_type if own or shared else f"{proto.domain}.{proto.op_type}"


def node_of(proto: onnx.NodeProto) -> Node:
    name, op = _label(proto)
    attributes = {}
    for item in proto.attribute:
        try:
            value = onnx.helper.get_attribute_value(item)
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"attribute {item.name!r} cannot be read: {error}", at=_origin(proto)
            ) from error
        attributes[item.name] = value if isinstance(value, (int, float, bytes)) else _plain(value)
    return Node(
        name=name,
        op=op,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
    )


def _plain(value: Any) -> Any:
    """Repeated attributes as lists; messages (tensors, graphs, types) stay as they are."""
    return value if isinstance(value, Message) else list(value)


def to_array(name: str, proto: onnx.TensorProto) -> np.ndarray:
    """A constant's array. Raises ModelError naming it where its data do not fit its shape."""
    if any(size < 0 for size in proto.dims) or math.prod(proto.dims) > MAX_ELEMENTS:
        raise ModelError(f"constant {name!r} has the impossible shape {list(proto.dims)}")
    try:
        return np.asarray(numpy_helper.to_array(proto))
    except (ValueError, TypeError, KeyError, OSError, DecodeError) as error:
        raise ModelError(f"constant {name!r} cannot be read: {error}") from error


def _port(proto: onnx.ValueInfoProto) -> Port:
    tensor = proto.type.tensor_type
    if not proto.type.HasField("tensor_type"):
        raise ModelError(f"input or output {proto.name!r} is not a tensor")
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    dtype = TYPE_NAMES.get(tensor.elem_type, f"type {tensor.elem_type}")
    return Port(name=proto.name, dtype=dtype, shape=shape)


def _sort_nodes(proto: onnx.ModelProto, known: set[str]) -> None:
    """Bring the nodes into running order. Raises ModelError where there is none."""
    nodes = list(proto.graph.node)
    made: set[str] = set()
    for node in nodes:
        for name in filter(None, node.output):
            if name in made or name in known:
                raise ModelError(f"output {name!r} is produced twice", at=_origin(node))
            made.add(name)
    for node in nodes:
        for name in node.input:
            if name and name not in made and name not in known:
                raise ModelError(
                    f"{_origin(node)} reads {name!r}, which nothing in the model produces"
                )
    for item in proto.graph.output:
        if item.name not in made and item.name not in known:
            raise ModelError(f"output {item.name!r} is produced by nothing in the model")
    ordered = _order(nodes, known | {""})
    if [id(node) for node in ordered] != [id(node) for node in nodes]:
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del proto.graph.node[:]
        proto.graph.node.extend(copies)


def _order(nodes: list[onnx.NodeProto], ready: set[str]) -> list[onnx.NodeProto]:
    """The nodes in as many turns over the file as it takes: each one behind all that it reads."""
    maker = {name: i for i, node in enumerate(nodes) for name in node.output}
    makers = {
        i: {maker[name] for name in node.input if name not in ready} for i, node in enumerate(nodes)
    }
    turn: dict[int, int] = {}
    try:
        for i in graphlib.TopologicalSorter(makers).static_order():
            turn[i] = max((turn[j] + (i < j) for j in makers[i]), default=0)
    except graphlib.CycleError as error:
        first = nodes[min(error.args[1])]
        raise ModelError(f"{_origin(first)} is part of a cycle: it needs its own result") from error
    return [nodes[i] for i in sorted(turn, key=lambda i: (turn[i], i))]


def _origin(proto: onnx.NodeProto) -> Origin:
    name, op = _label(proto)
    return Origin(name=name, op=op, result=next(iter(proto.output), ""))
