"""What surrounds a model's nodes: constants, inputs, batch and outputs, and the graph at last."""

import math

from weft.errors import ModelError
from weft.nn.ir.graph import Graph
from weft.nn.ir.names import Names
from weft.nn.ir.note import Note, NoteKind
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import MAX_ELEMENTS, QONNX, Node, OnnxModel, Port
from weft.nn.onnx.output import accumulators
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import (
    NO_CLIP,
    Codes,
    Constant,
    HostInput,
    HostResult,
    Real,
    Unquantised,
)

ACTIVATION_TYPES = ("float", "int8", "uint8")
MIN_OPSET = 10  # the first with QuantizeLinear; float networks become newer ones when quantised
NOTHING = "nothing to accelerate: no operator lies between Q and DQ"


def begin(model: OnnxModel, nodes: list[Node]) -> Builder:
    """A builder that knows the model's constants, and who reads what.

    Raises ModelError for opsets older than the quantised operators.
    """
    if model.opset < MIN_OPSET:
        raise ModelError(
            f"opset {model.opset} has no QuantizeLinear",
            remedy="export with opset 13 or later",
            at=model.name,
        )
    builder = Builder(
        name=model.name,
        opset=model.opset,
        names=Names(_value_names(model)),
        operator_names=Names(node.name for node in model.nodes),
    )
    builder.float_runtime = any(node.op in QONNX for node in nodes)
    for name, array in model.initialisers.items():
        builder.symbols[name] = Constant(array=array)
    for node in nodes:
        for name in filter(None, node.inputs):
            builder.readers.setdefault(name, []).append(node)
    builder.wanted = set(builder.readers) | {port.name for port in model.outputs}
    builder.unused_inputs = tuple(p.name for p in model.inputs if p.name not in builder.wanted)
    return builder


def _value_names(model: OnnxModel) -> set[str]:
    """Names of all that the model's nodes read and write."""
    names = {port.name for port in (*model.inputs, *model.outputs)} | set(model.initialisers)
    return names.union(*((*node.inputs, *node.outputs) for node in model.nodes))


def bind_batch(model: OnnxModel, builder: Builder) -> None:
    """Take the inputs' batch as one sample, and note it. Raises ModelError where they differ."""
    used = [port for port in model.inputs if port.name in builder.wanted and port.shape]
    fixed = {port.name: port.shape[0] for port in used if port.shape and (port.shape[0] or 0) > 0}
    if len(set(fixed.values())) > 1:
        words = ", ".join(f"{name!r} of {size}" for name, size in fixed.items())
        raise ModelError(
            f"inputs have different batches ({words})",
            remedy="one for all is supported: export with a batch of 1",
            at=model.name,
        )
    builder.batch = next(iter(fixed.values()), None) or 1
    if builder.batch > 1:
        text = (
            f"the model has a fixed batch of {builder.batch}: its samples run one by one, and any "
            "number of them can be given"
        )
        builder.notes.append(Note(kind=NoteKind.BATCH, text=text))


def host_input(port: Port) -> HostInput:
    """A model input with its batch bound to 1."""
    if port.dtype not in ACTIVATION_TYPES:
        raise ModelError(
            f"input {port.name!r} has type {port.dtype}; supported are "
            f"{', '.join(ACTIVATION_TYPES)}"
        )
    if port.shape is None or len(port.shape) < 2:
        raise ModelError(
            f"input {port.name!r} has {_words(port)}; a batch and one to three fixed dimensions "
            "are needed"
        )
    sizes = port.shape[1:]
    fixed = tuple(size for size in sizes if size is not None and size > 0)
    if len(fixed) != len(sizes):
        free = next(i for i, size in enumerate(sizes) if size is None or size < 1) + 1
        raise ModelError(
            f"input {port.name!r} has no fixed size in dimension {free}; only the batch may be "
            "free: export with fixed sizes"
        )
    if math.prod(fixed) > MAX_ELEMENTS:
        raise ModelError(f"input {port.name!r} has the impossible shape {list(fixed)}")
    shape = (1, *fixed)
    return HostInput(name=port.name, dtype=port.dtype, model_shape=shape, shape=shape)


def _words(port: Port) -> str:
    return "no shape" if port.shape is None else f"shape {list(port.shape)}"


def import_output(port: Port, builder: Builder) -> None:
    """Add a model output to the builder. Raises ModelError where it is no usable value."""
    value = builder.symbols[port.name]
    match value:
        case Real() if value.clip == NO_CLIP:
            builder.add_output(port.name, builder.host_result(value), "float32")
        case Codes():
            dtype = builder.quantisations[value.tensor].dtype
            builder.add_output(port.name, builder.host_result(value), dtype)
        case PendingConv() if value.clip == NO_CLIP:
            builder.add_output(port.name, accumulators(builder, value), "float32")
        case HostResult():
            builder.add_output(port.name, value, value.dtype)
        case Constant() | HostInput():
            raise ModelError(f"output {port.name!r} does not depend on any supported operator")
        case _:
            known = isinstance(value, Real | Unquantised)
            name = value.origin.name if known else port.name
            raise ModelError(
                f"output {port.name!r} is not quantised: put QuantizeLinear and DequantizeLinear "
                f"between node {name!r} and it"
            )


def graph_of(builder: Builder) -> Graph:
    """The graph as collected."""
    return Graph(
        name=builder.name,
        tensors=tuple(builder.tensors.values()),
        operators=tuple(builder.operators),  # pyright: ignore[reportArgumentType]
        inputs=tuple(builder.inputs),
        outputs=tuple(builder.outputs),
        macs=builder.macs,
        notes=tuple(dict.fromkeys(builder.notes)),
        unused_inputs=builder.unused_inputs,
    )
