"""QONNX's Quant as QuantizeLinear and DequantizeLinear, which ONNX Runtime runs."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper

from weft.errors import ModelError
from weft.nn.compress.layers import array_proto, initialisers
from weft.nn.onnx.model import QONNX, node_of
from weft.nn.quantise.names import Fresh

PLAIN = ("Quant", "IntQuant")
ROUND = ("ROUND", "HALF_EVEN")


def without_quants(model: onnx.ModelProto, fresh: Fresh) -> list[onnx.NodeProto]:
    """The model's nodes, its Quants taken apart; constants are added to the model.

    Raises ModelError for what has no such form: other rounding, one bit, Trunc.
    """
    work = _Quants(model=model, fresh=fresh, arrays=initialisers(model))
    for node in model.graph.node:
        if node.op_type not in QONNX:
            work.nodes.append(node)
        elif node.op_type in PLAIN:
            work.take_apart(node)
        else:
            raise _refused(node, "it")
    return work.nodes


def _refused(node: onnx.NodeProto, what: str) -> ModelError:
    return ModelError(
        f"{node_of(node)}: {what} has no form in QuantizeLinear and DequantizeLinear; Quant of 2 "
        "to 8 bits with rounding mode ROUND can be compressed"
    )


@dataclass(kw_only=True)
class _Quants:
    model: onnx.ModelProto
    fresh: Fresh
    arrays: dict[str, np.ndarray]
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def take_apart(self, node: onnx.NodeProto) -> None:
        """One Quant: of a constant, or of an activation, which is clamped to its codes first."""
        given = node_of(node)
        if any(name not in self.arrays for name in node.input[1:4]):
            raise _refused(node, "a scale computed at run time")
        scale, zero, bits = (self.arrays[name] for name in node.input[1:4])
        width, signed = int(bits.reshape(-1)[0]), given.integer("signed", 1) != 0
        narrow = given.integer("narrow", 0)
        low = -(1 << width - 1) + narrow if signed else 0
        high = (1 << width - 1) - 1 if signed else (1 << width) - 1 - narrow
        constant = self.arrays.get(node.input[0])
        mode = given.text("rounding_mode", "ROUND").upper()
        if mode not in ROUND:
            raise _refused(node, f"rounding mode {mode}")
        if zero.size != 1 or width < 2 or (width > 8 and constant is None):
            raise _refused(node, f"a Quant of {width} bits")
        if constant is None:
            self._activation(node, np.float32(scale.reshape(-1)[0]), int(zero), low, high)
        else:
            kind = np.int8 if width <= 8 and signed else np.int32
            codes = np.clip(np.rint(constant / scale + zero), low, high) - zero
            self._constant(node, codes.astype(kind if width <= 8 else np.int32), scale)

    def _activation(
        self, node: onnx.NodeProto, scale: np.float32, zero: int, low: int, high: int
    ) -> None:
        kind = np.int8 if low < 0 else np.uint8
        numbers = [self._stored(node, scale), self._stored(node, kind(zero))]
        clamped = node.input[0]
        if (low, high) != (np.iinfo(kind).min, np.iinfo(kind).max):
            if any(item.name == clamped for item in self.model.graph.input):
                # The host gives codes of 8 bits; clamping them is for the engine.
                clamped = self._add(node, "QuantizeLinear", [clamped, *numbers])
                clamped = self._add(node, "DequantizeLinear", [clamped, *numbers])
            bounds = [self._stored(node, np.float32((end - zero) * scale)) for end in (low, high)]
            clamped = self._add(node, "Clip", [clamped, *bounds])
        codes = self._add(node, "QuantizeLinear", [clamped, *numbers])
        self._add(node, "DequantizeLinear", [codes, *numbers], node.output[0])

    def _constant(self, node: onnx.NodeProto, codes: np.ndarray, scale: np.ndarray) -> None:
        lead = codes.ndim - scale.ndim
        wide = [lead + i for i, size in enumerate(scale.shape) if size > 1]
        if len(wide) > 1:
            raise _refused(node, "a scale along several dimensions")
        own = scale.astype(np.float32).reshape(-1 if wide else ())
        inputs = [self._stored(node, codes), self._stored(node, own)]
        self._add(node, "DequantizeLinear", inputs, node.output[0], wide[0] if wide else None)

    def _add(
        self,
        node: onnx.NodeProto,
        op: str,
        inputs: list[str],
        output: str = "",
        axis: int | None = None,
    ) -> str:
        result = output or self.fresh.name(f"{node.output[0]}_{op}")
        name = self.fresh.name(f"{node.name}_{op}")
        self.nodes.append(helper.make_node(op, inputs, [result], name=name, axis=axis))
        return result

    def _stored(self, node: onnx.NodeProto, array: np.ndarray | np.generic) -> str:
        name = self.fresh.name(f"{node.name}_number")
        self.model.graph.initializer.append(array_proto(name, np.asarray(array)))
        return name
