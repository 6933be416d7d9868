"""From a file to the integer graph: one walk over the nodes, each by its operator's handler.

The ONNX forms differ in their operators only: QDQ (``weft.nn.onnx.ops.qdq*``), QOperator and QONNX
(``weft.nn.forms``), mixed as the file has them. A TFLite file becomes a QDQ model first.
docs/forms.md says what each is taken as.
"""

import math
from collections.abc import Iterable
from pathlib import Path

from weft.errors import ModelError
from weft.nn.forms import qonnx, qoperator, tflite
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.ir.graph import Graph
from weft.nn.ir.names import Names
from weft.nn.onnx.advice import not_supported
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import MAX_ELEMENTS, Node, OnnxModel, Port, load
from weft.nn.onnx.output import accumulators
from weft.nn.onnx.pads import fold_pads
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import NO_CLIP, Codes, Constant, HostInput, HostResult, Real
from weft.nn.onnx.table import BY_NAME
from weft.nn.passes.pipeline import run_passes
from weft.nn.passes.simplify import simplify as simplified

QUANTISING = ("QuantizeLinear", "DequantizeLinear", *qoperator.HANDLERS, *qonnx.HANDLERS)
NOTHING = "nothing to accelerate: no operator lies between Q and DQ"
ACTIVATION_TYPES = ("float", "int8", "uint8")
FIXED_BATCH = "the model has a fixed batch"  # how the note begins; it is no approximation
MANY_OUTPUTS = ("Split",)  # their handlers make all of them known
MIN_OPSET = 10  # the first with QuantizeLinear; float networks become newer ones when quantised


def import_model(path: str | Path, simplify: bool = True) -> Graph:
    """The integer graph of a statically quantised ONNX or TFLite file.

    simplify: leave out what no output depends on (``weft.nn.passes.simplify``); every output bit
    stays. Without it every tensor keeps the channels that it has in the file.

    Raises ModelError, and nothing else, for any file that cannot be taken as it is.
    """
    path = Path(path)
    model = read(path)
    check_form(path, running_order(model))
    graph = import_graph(model)
    if not graph.operators:
        raise ModelError(f"{path}: {NOTHING}")
    return simplified(graph) if simplify else graph


def import_graph(model: OnnxModel) -> Graph:
    """The integer graph of a model; without operators where only the host has work to do.

    Raises ModelError.
    """
    nodes = running_order(model)
    builder = begin(model, nodes)
    bind_batch(model, builder)
    for port in model.inputs:
        if port.name in builder.wanted:
            builder.symbols[port.name] = host_input(port)
    for node in nodes:
        import_node(node, builder)
    for port in model.outputs:
        import_output(port, builder)
    return run_passes(builder.graph())


def read(path: Path) -> OnnxModel:
    """The file, of either kind, as an ONNX model."""
    return tflite.load(path) if is_tflite(path) else load(path)


def running_order(model: OnnxModel) -> list[Node]:
    """The nodes that the outputs depend on, constants first; pads stand where they are used."""
    return fold_pads(model, sorted(_needed(model), key=lambda node: bool(node.inputs)))


def begin(model: OnnxModel, nodes: list[Node]) -> Builder:
    """A builder that knows the model's constants, and who reads what.

    Raises ModelError for opsets older than the quantised operators.
    """
    if model.opset < MIN_OPSET:
        raise ModelError(
            f"{model.name}: opset {model.opset} has no QuantizeLinear; "
            "export with opset 13 or later"
        )
    builder = Builder(
        name=model.name,
        opset=model.opset,
        names=Names(_value_names(model)),
        operator_names=Names(node.name for node in model.nodes),
    )
    builder.float_runtime = any(node.op in qonnx.HANDLERS for node in nodes)
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


def _needed(model: OnnxModel) -> list[Node]:
    """The nodes that the outputs depend on, in running order."""
    wanted = {port.name for port in model.outputs}
    result = []
    for node in reversed(model.nodes):
        if wanted & set(node.outputs):
            result.append(node)
            wanted |= set(node.inputs)
    return result[::-1]


def quantising(nodes: Iterable[Node]) -> Node | None:
    """The first node that belongs to a quantised form; None for a float network."""
    return next((node for node in nodes if node.op in QUANTISING), None)


def dynamic(node: Node) -> bool:
    """Whether a node quantises at run time."""
    return node.op.rpartition(".")[2].startswith("Dynamic")


def check_form(path: str | Path, nodes: list[Node]) -> None:
    """Refuse what is quantised at run time, or not at all, and say what would work."""
    for node in nodes:
        if dynamic(node):
            raise ModelError(
                f"{node}: {path} is quantised dynamically (scales computed at run time); "
                "quantise statically, e.g. with onnxruntime.quantization.quantize_static"
            )
    if quantising(nodes) is None:
        raise ModelError(
            f"{path} is a float model: it holds no quantisation; give samples of its inputs with "
            "--calibrate data.npz, or quantise it statically first, e.g. with "
            "onnxruntime.quantization.quantize_static"
        )


def import_node(node: Node, builder: Builder) -> None:
    """Add what a node is to the builder. Raises ModelError where it is not supported."""
    support = BY_NAME.get(node.op)
    if support is None:
        raise ModelError(f"{node}: {not_supported(node.op)}")
    for name in node.outputs[1:] if node.op not in MANY_OUTPUTS else ():
        if name and name in builder.wanted:
            raise ModelError(f"{node}: output {name!r} is used; only the first output is supported")
    if not node.outputs or not node.outputs[0]:
        raise ModelError(f"{node}: its first output is not used; only that one is supported")
    builder.symbols[node.outputs[0]] = support.handler(node, builder)


def bind_batch(model: OnnxModel, builder: Builder) -> None:
    """Take the inputs' batch as one sample, and note it. Raises ModelError where they differ."""
    used = [port for port in model.inputs if port.name in builder.wanted and port.shape]
    fixed = {port.name: port.shape[0] for port in used if port.shape and (port.shape[0] or 0) > 0}
    if len(set(fixed.values())) > 1:
        words = ", ".join(f"{name!r} of {size}" for name, size in fixed.items())
        raise ModelError(
            f"{model.name}: inputs have different batches ({words}); one for all is supported: "
            "export with a batch of 1"
        )
    builder.batch = next(iter(fixed.values()), None) or 1
    if builder.batch > 1:
        builder.notes.append(
            f"{FIXED_BATCH} of {builder.batch}: its samples run one by one, and any "
            "number of them can be given"
        )


def host_input(port: Port) -> HostInput:
    """A model input with its batch bound to 1."""
    if port.dtype not in ACTIVATION_TYPES:
        raise ModelError(
            f"input {port.name!r} has type {port.dtype}; "
            f"supported are {', '.join(ACTIVATION_TYPES)}"
        )
    if port.shape is None or len(port.shape) < 2:
        raise ModelError(
            f"input {port.name!r} has {_words(port)}; a batch and one to three fixed "
            "dimensions are needed"
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
            name = getattr(value, "node", port.name)
            raise ModelError(
                f"output {port.name!r} is not quantised: put QuantizeLinear and DequantizeLinear "
                f"between node {name!r} and it"
            )
