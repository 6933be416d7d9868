"""The quantised network against the float one on samples, tensor by tensor.

Errors add up along a network, so a bound for its outputs would have to be loose. Each tensor is
judged by itself instead: the float network's own operators, given the values that the quantised
network has at their inputs, against the value that the quantised network makes of them. What may
be between the two is known: half a step of the tensor's scale, and what the rounding of weights
and biases adds, which is computed. docs/quantisation.md has the bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from weft.nn.quantise.insert import WEIGHTED
from weft.nn.quantise.runtime import Values, run
from weft.nn.quantise.scales import Scale

STEPS = 1.0  # of the tensor's scale; rounding alone takes 0.5
ROUNDING = 2.0  # times what rounded weights and biases add
NOISE = 1e-4  # of the largest value: float32 sums in another order


@dataclass(frozen=True, kw_only=True)
class Off:
    """A tensor that is not what the float network's operators make of the same inputs."""

    tensor: str
    error: float  # the largest one
    allowed: float  # at that place


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """A quantised graph beside the float one that it came from, with the same private names.

    plain: the float graph that was quantised; values: the tensor that holds the dequantised
    values, for each quantised one.
    """

    proto: onnx.ModelProto
    plain: onnx.ModelProto
    scales: Mapping[str, Scale]
    values: Mapping[str, str]


def first_off(original: onnx.ModelProto, quantised: Quantised, feed: Values) -> Off | None:
    """The first tensor, in running order, that 8 bits do not explain; None where all is well.

    original: the float model as it was given, in the same private names; feed: its inputs.
    """
    own = {name for node in original.graph.node for name in node.output}
    own |= {item.name for item in original.graph.input}
    shared = [name for name in quantised.values if name in own]
    rest = [item.name for item in original.graph.output if item.name not in quantised.values]
    found = dict(
        zip(shared, run(quantised.proto, [quantised.values[n] for n in shared], feed), strict=True)
    )
    ends = dict(zip(rest, run(quantised.proto, rest, feed), strict=True))
    wanted = _given(original, found, [*shared, *rest], feed)
    added = _Rounding(quantised, found)
    for name in shared:
        error = np.abs(found[name] - _clipped(wanted[name], quantised.scales[name]))
        allowed = STEPS * quantised.scales[name].scale + NOISE * np.abs(wanted[name]).max(initial=0)
        off = _judged(name, error, allowed + ROUNDING * added.of(name))
        if off is not None:
            return off
    for name, values in ends.items():
        error = np.abs(values.astype(np.float64) - wanted[name])
        off = _judged(name, error, NOISE * float(np.abs(wanted[name]).max(initial=0)))
        if off is not None:
            return off
    return None


def outside(
    original: onnx.ModelProto, scales: Mapping[str, Scale], feed: Values
) -> dict[str, np.ndarray]:
    """By how much the float network's values lie outside what the codes hold, by tensor."""
    own = {name for node in original.graph.node for name in node.output}
    names = [name for name in scales if name in own]
    values = zip(names, run(original, names, feed), strict=True)
    return {name: np.abs(array - _clipped(array, scales[name])) for name, array in values}


def _judged(name: str, error: np.ndarray, allowed: np.ndarray | float) -> Off | None:
    excess = error - allowed
    if not excess.size or not np.any(~(excess <= 0)):
        return None
    place = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), excess.shape)
    there = np.broadcast_to(allowed, excess.shape)[place]
    return Off(tensor=name, error=float(error[place]), allowed=float(there))


def _clipped(values: np.ndarray, scale: Scale) -> np.ndarray:
    low, high = ((code - float(scale.zero_point)) * float(scale.scale) for code in (-128, 127))
    return np.clip(values, low, high)


def _given(
    original: onnx.ModelProto, values: Values, wanted: Sequence[str], feed: Values
) -> Values:
    """What the float network's operators make of given values of some of its tensors."""
    proto = onnx.ModelProto()
    proto.CopyFrom(original)
    inputs = {item.name for item in proto.graph.input}
    renamed = {name: f"{name}_given" for name in values if name not in inputs}
    for node in proto.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for name in renamed.values():
        proto.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    made = [name for name in wanted if name not in inputs]
    given = {renamed.get(name, name): array for name, array in values.items()}
    results = zip(made, run(proto, made, feed | given), strict=True)
    return {name: feed[name] for name in wanted if name in inputs} | dict(results)


class _Rounding:
    """What the rounding of weights and biases adds to the tensors behind them."""

    def __init__(self, quantised: Quantised, values: Values) -> None:
        self._values = values
        self._opsets = quantised.proto.opset_import
        self._plain = _constants(quantised.plain)
        self._codes = _constants(quantised.proto)
        self._rounded = {
            node.output[0]: node
            for node in quantised.proto.graph.node
            if node.op_type == "DequantizeLinear"
        }
        self._scales = quantised.scales
        self._makers = {n: node for node in quantised.plain.graph.node for n in node.output}
        self._after = {node.name: node for node in _weighted(quantised.proto)}
        self._sources = {result: name for name, result in quantised.values.items()}
        self._clamped = {
            node.output[0]: node.input[0]
            for node in quantised.plain.graph.node
            if node.op_type in ("Relu", "Clip")
        }

    def of(self, name: str) -> np.ndarray | float:
        """At least the size of what is added, in the tensor's shape; 0 where nothing is rounded."""
        while name in self._clamped and self._makers[name].input[0] not in self._scales:
            name = self._clamped[name]
        node = self._makers.get(name)
        if node is None:
            return 0.0
        added = self._of_weights(node)
        for source in node.input:
            if source in self._scales and source not in self._values:  # the model does not have it
                added = added + STEPS * self._scales[source].scale + self.of(source)
        return added

    def _of_weights(self, node: onnx.NodeProto) -> np.ndarray | float:
        if node.op_type not in WEIGHTED or node.name not in self._after:
            return 0.0
        rounded = self._after[node.name]
        source = self._sources.get(rounded.input[0], "")
        if source not in self._values or node.input[1] not in self._plain:
            return 0.0
        pairs = zip(node.input[1:], rounded.input[1:], strict=False)  # a bias may be missing
        errors = [self._error(was, now) for was, now in pairs if was in self._plain]
        return np.abs(self._apply(node, self._values[source], errors))

    def _error(self, was: str, now: str) -> np.ndarray:
        """Of a constant by its rounding; its half step where it is more than that."""
        if now not in self._rounded:
            return np.zeros_like(self._plain[was])
        codes, scale, _ = (self._codes[name] for name in self._rounded[now].input)
        axis = next((a.i for a in self._rounded[now].attribute if a.name == "axis"), None)
        along = [-1 if i == axis else 1 for i in range(codes.ndim)]
        step = scale.reshape(along) if scale.ndim else scale
        error = codes.astype(np.float64) * step - self._plain[was]
        return np.clip(error, -step / 2, step / 2).astype(np.float32)

    def _apply(
        self, node: onnx.NodeProto, x: np.ndarray, constants: list[np.ndarray]
    ) -> np.ndarray:
        single = onnx.NodeProto()
        single.CopyFrom(node)
        names = [f"i{index}" for index in range(1 + len(constants))]
        single.input[:], single.output[:] = names, ["o"]
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        output = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
        graph = helper.make_graph([single], "rounding", inputs, [output])
        proto = helper.make_model(graph, opset_imports=self._opsets, ir_version=8)
        return run(proto, ["o"], dict(zip(names, [x, *constants], strict=True)))[0]


def _constants(proto: onnx.ModelProto) -> Values:
    return {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}


def _weighted(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in proto.graph.node if node.op_type in WEIGHTED]
