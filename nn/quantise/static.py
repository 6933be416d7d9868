"""A float network becomes an int8 one: ONNX Runtime's static quantisation, set up for weft.

Activations int8 with one scale and zero point per tensor, weights int8 with one scale per output
channel, biases int32 at scale s_x * s_w. BatchNormalization behind a convolution and constant
factors are folded into its weights first.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnxruntime.capi import (
    onnxruntime_pybind11_state as runtime,  # pyright: ignore[reportAttributeAccessIssue]
)
from onnxruntime.quantization import calibrate
from onnxruntime.quantization.shape_inference import quant_pre_process

from weft.nn.errors import ConfigError, ModelError
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.graph import HostEdge
from weft.nn.importer import host_input, quantising
from weft.nn.onnx_model import load, to_array
from weft.nn.quantise.biases import with_room
from weft.nn.quantise.calibration import tensor_ranges
from weft.nn.quantise.plain import constants_apart, sums_as_additions

OPERATORS = (
    "Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Elu",
    "Flatten", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "MatMul", "MaxPool", "Mul", "PRelu", "Pad", "ReduceMean", "Relu",
    "Reshape", "Resize", "Sigmoid", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub",
    "Tanh", "Transpose", "Unsqueeze",
)  # fmt: skip
"""Operators around which activations are quantised. Softmax stays float: the host computes it."""

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization")
CLAMPS = ("Relu", "Clip")  # quantised with what is in front of them only
GATES = ("Sigmoid", "HardSigmoid", "Tanh", "Add", "Clip", "Div")  # inside x * f(x)
MAX_BATCH = 1 << 12
MIN_OPSET = 13  # the first whose DequantizeLinear has one scale per channel
REFUSALS = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
)
"""What ONNX Runtime raises for networks that it cannot run. They have no common base."""


def float_inputs(model: Path) -> tuple[HostEdge, ...]:
    """The inputs of a float network, in the form in which data files are checked.

    Raises ModelError for a file that is no usable ONNX model, ConfigError for a quantised one.
    """
    if is_tflite(model):
        raise ConfigError(f"{model} is a TFLite file; only float ONNX models can be calibrated")
    network = load(model)
    node = quantising(network.nodes)
    if node is not None:
        raise ConfigError(
            f"{model} is quantised already ({node}); only float models are calibrated"
        )
    inputs = [host_input(port) for port in network.inputs]
    for item in inputs:
        if item.dtype != "float":
            raise ModelError(f"input {item.name!r} has type {item.dtype}; float is supported")
    return tuple(
        HostEdge(name=item.name, tensor=item.name, shape=item.shape[1:], dtype="float32", steps=())
        for item in inputs
    )


def quantise(model: Path, inputs: Mapping[str, np.ndarray], target: Path, method: str) -> None:
    """Write the int8 QDQ form of a float network.

    inputs: float32 [n, ...] for each of the network's inputs, typical of what it will see; method:
    how ranges are chosen (``calibration.METHODS``).

    Raises ModelError where ONNX Runtime cannot run the network.
    """
    try:
        _quantise(model, inputs, target, method)
    except UnicodeDecodeError as error:
        raise ModelError(f"{model}: a name in the file is not text: {error}") from error


def _quantise(model: Path, inputs: Mapping[str, np.ndarray], target: Path, method: str) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        plain, ranges = Path(folder, "plain.onnx"), Path(folder, "ranges.json")
        batch = _prepare(model, plain)
        left = _left_float(onnx.load(plain))
        onnx.save(_inputs_apart(onnx.load(plain), left), plain)
        try:
            found = tensor_ranges(plain, OPERATORS, inputs, batch, method)
        except REFUSALS as error:
            raise ModelError(
                f"{model}: ONNX Runtime cannot run it: {_first_line(error)}"
            ) from error
        for name, data in found.items():
            if not np.all(np.isfinite(data.range_value)):
                raise ModelError(
                    f"{model}: {name!r} reaches numbers that are not finite with these samples"
                )
        calibrate.save_tensors_data(found, ranges)
        quantization.quantize_static(
            plain,
            target,
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=left,
            calibration_cache_path=ranges,
            extra_options={"ForceQuantizeNoInputCheck": True},
        )
    onnx.save(with_room(_tidy(onnx.load(target))), target)


def _prepare(model: Path, target: Path) -> int:
    """Fold and infer shapes; the batch that the network must be fed with."""
    proto = _named(sums_as_additions(constants_apart(onnx.load(model))))
    _check_weights(model, proto)
    if next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")) < MIN_OPSET:
        try:
            proto = onnx.version_converter.convert_version(proto, MIN_OPSET)
        except (RuntimeError, onnx.checker.ValidationError) as error:
            raise ModelError(
                f"{model}: cannot be converted to opset {MIN_OPSET}: {_first_line(error)}"
            ) from error
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), _quiet(), providers=["CPUExecutionProvider"]
        )
    except REFUSALS as error:
        raise _cannot_run(model, error) from error
    sizes = [item.shape[0] for item in session.get_inputs()]
    onnx.save(proto, target)
    # Symbolic shapes need another package, and sizes are fixed here but for the batch.
    quant_pre_process(target, target, skip_symbolic_shape=True)
    onnx.save(_named(onnx.load(target)), target)
    batch = next((size for size in sizes if isinstance(size, int)), 1)
    if not 1 <= batch <= MAX_BATCH:
        raise ModelError(f"{model}: a batch of {batch}; 1 to {MAX_BATCH} is supported")
    return batch


def _check_weights(model: Path, proto: onnx.ModelProto) -> None:
    """Refuse numbers that no scale can be found for."""
    weights = {name for node in proto.graph.node if node.op_type in WEIGHTED for name in node.input}
    for item in proto.graph.initializer:
        if item.name in weights and not np.all(np.isfinite(to_array(item.name, item))):
            raise ModelError(f"{model}: constant {item.name!r} holds numbers that are not finite")


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    return options


def _named(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Every node with a name of its own: the quantiser leaves nodes out by name."""
    taken: set[str] = set()
    for node in proto.graph.node:
        name = first = node.name or next(iter(node.output), node.op_type)
        number = 1
        while name in taken:
            number += 1
            name = f"{first}_{number}"
        node.name = name
        taken.add(name)
    return proto


def _left_float(proto: onnx.ModelProto) -> list[str]:
    """Nodes around which nothing is quantised because of themselves.

    Operations with float constants, which become exact integers on import instead of rounded ones
    here, and the inside of x * f(x), which becomes one table.
    """
    nodes = list(proto.graph.node)
    constants = {item.name for item in proto.graph.initializer}
    constants |= {node.output[0] for node in nodes if node.op_type == "Constant"}
    makers = {name: node for node in nodes for name in node.output}
    left: list[str] = []
    for node in nodes:
        if node.op_type in ("Add", "Sub", "Mul") and any(name in constants for name in node.input):
            left.append(node.name)
        elif node.op_type == "Mul":
            gate = _gate(node, makers, constants)
            left += [item.name for item in gate] + ([node.name] if gate else [])
    return list(dict.fromkeys(left))


def _inputs_apart(proto: onnx.ModelProto, left: list[str]) -> onnx.ModelProto:
    """An Identity behind each input that is not quantised by those who read it."""
    for item in proto.graph.input:
        readers = [node for node in proto.graph.node if item.name in node.input]
        if all(n.op_type in OPERATORS and n.op_type not in CLAMPS for n in readers) and not any(
            node.name in left for node in readers
        ):
            continue
        apart = f"{item.name}_apart"
        for node in readers:
            names = [apart if name == item.name else name for name in node.input]
            del node.input[:]
            node.input.extend(names)
        identity = onnx.helper.make_node("Identity", [item.name], [apart], name=apart)
        proto.graph.node.insert(0, identity)
        value = onnx.ValueInfoProto.FromString(item.SerializeToString())
        value.name = apart
        proto.graph.value_info.append(value)
    return proto


def _gate(
    node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], constants: set[str]
) -> list[onnx.NodeProto]:
    """The nodes of f in x * f(x); none where the product is another one."""
    for x, fx in (node.input, node.input[::-1]):
        inside: list[onnx.NodeProto] = []
        while fx != x and fx in makers and makers[fx].op_type in GATES:
            inside.append(makers[fx])
            sources = [name for name in makers[fx].input if name and name not in constants]
            if len(sources) != 1:
                break
            fx = sources[0]
        if inside and fx == x:
            return inside
    return []


def _tidy(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without the domains that no node uses; ONNX Runtime lists all that it knows."""
    used = {"" if node.domain == "ai.onnx" else node.domain for node in proto.graph.node} | {""}
    kept = [item for item in proto.opset_import if item.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    return proto


def _cannot_run(model: Path, error: BaseException) -> ModelError:
    return ModelError(f"{model}: ONNX Runtime cannot run it: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["unknown reason"])[0]
