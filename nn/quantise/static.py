"""A float network becomes an int8 one: static quantisation after training, set up for weft.

Activations int8 with one scale and zero point per tensor, weights int8 with one scale per output
channel, biases int32 at scale s_x * s_w. ONNX Runtime folds what is constant (BatchNormalization
behind a convolution among it) and collects the ranges; what comes out is compared with what went
in.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from weft.errors import ConfigError, ModelError
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.ir.edges import HostEdge
from weft.nn.onnx.model import load, to_array
from weft.nn.onnx.nodes import quantising
from weft.nn.onnx.ports import host_input
from weft.nn.quantise.calibration import Ranges, chosen_ranges, whole_ranges
from weft.nn.quantise.check import Samples, check
from weft.nn.quantise.insert import WEIGHTED, Insertion, OutOfReach, free_scales
from weft.nn.quantise.names import Made, Names, hidden, restore
from weft.nn.quantise.places import Network, places
from weft.nn.quantise.plain import constants_apart, gemms_folded, sums_as_additions
from weft.nn.quantise.runtime import REFUSALS, batch_of, reason
from weft.nn.quantise.scales import activation_scale
from weft.nn.quantise.verify import Quantised

MAX_BATCH = 1 << 12
MIN_OPSET = 13  # the first whose DequantizeLinear has one scale per channel
MAX_BYTES = (1 << 31) - 1  # of one file in this format
SMALLEST_REACH, LARGEST_REACH = 2e-15, 1e20
"""Largest size of an activation's numbers: the importer supports scales from 2**-60 to 2**60."""

NOT_WANTED = ("CommonSubexpressionElimination",)
"""Steps of ONNX Runtime after which a tensor of the model has no counterpart to compare with."""


def float_inputs(model: Path) -> tuple[HostEdge, ...]:
    """The inputs of a float network, in the form in which data files are checked.

    Raises ModelError for a file that is no usable ONNX model, ConfigError for a quantised one.
    """
    if is_tflite(model):
        raise ConfigError(
            f"{model} is a TFLite file; only float ONNX models can be calibrated. "
            "An int8 .tflite is compiled directly, without --calibrate"
        )
    network = load(model)
    node = quantising(network.nodes)
    if node is not None:
        raise ConfigError(
            f"{model} is quantised already ({node}); only float models are calibrated"
        )
    for item in network.nodes:
        if item.op == "Split" and not all(item.outputs):
            raise ModelError(
                "an output without a name, which ends ONNX Runtime",
                remedy="name all outputs",
                at=item,
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

    Raises ModelError where ONNX Runtime cannot run the network, or where the result is not what 8
    bits make of it.
    """
    try:
        onnx.save(_quantise(model, inputs, method), target)
    except UnicodeDecodeError as error:
        raise ModelError(f"a name in the file is not text: {error}", at=model) from error


def _quantise(model: Path, inputs: Mapping[str, np.ndarray], method: str) -> onnx.ModelProto:
    original = constants_apart(onnx.load(model))
    _check_weights(model, original)
    names = hidden(original)
    try:
        return _quantised(model, original, names, inputs, method)
    except REFUSALS as error:
        why = reason(error, names.called)
        raise ModelError(f"ONNX Runtime cannot run it: {why}", at=model) from error


def _quantised(
    model: Path,
    original: onnx.ModelProto,
    names: Names,
    inputs: Mapping[str, np.ndarray],
    method: str,
) -> onnx.ModelProto:
    """The int8 form, in the model's own names. original: in private ``names``."""
    given = {private: inputs[names.tensors[private]] for private in _inputs(original)}
    with tempfile.TemporaryDirectory(prefix="weft") as folder:
        plain = _prepared(model, original, names, Path(folder))
        batch = batch_of(plain, given)
        if batch is not None and not 1 <= batch <= MAX_BATCH:
            raise ModelError(
                f"a batch of {batch}", remedy=f"1 to {MAX_BATCH} is supported", at=model
            )
        network = _network(plain)
        ranges_of = places(network)
        file = Path(folder, "plain.onnx")
        whole = _checked(model, ranges_of, whole_ranges(file, given, batch or 1), names)
        found = chosen_ranges(file, given, batch or 1, whole, method)
    scales = {name: activation_scale(*found[source]) for name, source in ranges_of.items()}
    scales |= free_scales(network, scales)
    proto = onnx.ModelProto()
    proto.CopyFrom(plain)
    insertion = Insertion(network=_network(proto), scales=scales, made=Made())
    try:
        insertion.run()
    except OutOfReach as error:
        raise ModelError(
            f"tensor {_own(error.args[0], names)!r}: its bias is too large for the scales of its "
            "input and weights",
            at=model,
        ) from error
    done = Quantised(proto=proto, plain=plain, scales=scales, values=insertion.read_as)
    check(model, original, done, names, Samples(inputs=given, batch=batch, method=method))
    restore(_tidy(proto), names, insertion.made)
    return proto


def _inputs(proto: onnx.ModelProto) -> list[str]:
    return [item.name for item in proto.graph.input]


def _prepared(
    model: Path, original: onnx.ModelProto, names: Names, folder: Path
) -> onnx.ModelProto:
    """The network with constants folded and types known; in ``folder`` as plain.onnx, too."""
    proto = onnx.ModelProto()
    proto.CopyFrom(original)
    proto = sums_as_additions(proto)
    if next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")) < MIN_OPSET:
        try:
            proto = onnx.version_converter.convert_version(proto, MIN_OPSET)
        except (RuntimeError, onnx.checker.ValidationError) as error:
            raise ModelError(
                f"cannot be converted to opset {MIN_OPSET}: {reason(error, names.called)}", at=model
            ) from error
    if proto.ByteSize() > MAX_BYTES:
        raise ModelError("larger than 2 GB", remedy="smaller networks are supported", at=model)
    target = folder / "plain.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.optimized_model_filepath = str(target)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(  # writes the file
        proto.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(NOT_WANTED),
    )
    plain = onnx.shape_inference.infer_shapes(gemms_folded(onnx.load(target)))
    onnx.save(plain, target)
    return plain


def _network(proto: onnx.ModelProto) -> Network:
    graph = proto.graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    typed = (*graph.input, *graph.output, *graph.value_info)
    floats = {
        item.name for item in typed if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    return Network(graph=graph, constants=constants, floats=floats - set(constants))


def _checked(model: Path, ranges_of: Mapping[str, str], found: Ranges, names: Names) -> Ranges:
    """The ranges of the tensors to quantise. Raises ModelError where no codes can hold one."""
    for name, source in ranges_of.items():
        if source not in found:
            raise ModelError(f"{_own(name, names)!r} has no known type", at=model)
        low, high = found[source]
        if not np.isfinite(low) or not np.isfinite(high):
            raise ModelError(
                f"{_own(source, names)!r} reaches numbers that are not finite with these samples",
                at=model,
            )
        reach = max(abs(low), abs(high))
        if reach and not SMALLEST_REACH <= reach <= LARGEST_REACH:
            raise ModelError(
                f"{_own(source, names)!r} reaches {low:.3g} to {high:.3g} with these samples",
                remedy=f"supported are sizes from {SMALLEST_REACH:.0e} to {LARGEST_REACH:.0e}",
                at=model,
            )
    return {source: found[source] for source in ranges_of.values()}


def _own(private: str, names: Names) -> str:
    """What the user calls a tensor."""
    return names.tensors.get(private, private)


def _check_weights(model: Path, proto: onnx.ModelProto) -> None:
    """Refuse numbers that no scale can be found for."""
    weights = {name for node in proto.graph.node if node.op_type in WEIGHTED for name in node.input}
    for item in proto.graph.initializer:
        if item.name in weights and not np.all(np.isfinite(to_array(item.name, item))):
            raise ModelError(f"constant {item.name!r} holds numbers that are not finite", at=model)


def _tidy(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without the domains that no node uses; ONNX Runtime lists all that it knows."""
    used = {"" if node.domain == "ai.onnx" else node.domain for node in proto.graph.node} | {""}
    kept = [item for item in proto.opset_import if item.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
    return proto
