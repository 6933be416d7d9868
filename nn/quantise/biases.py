"""Room for the biases of channels whose weights are next to nothing."""

from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

LIMIT = 1 << 29
"""Largest code of a bias, a quarter of what int32 holds: the rest is for the products."""


def with_room(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Coarser weight scales in channels whose bias codes are beyond LIMIT.

    A factor near 0 of a BatchNormalization leaves a channel with tiny weights and an ordinary bias.
    ONNX Runtime makes such a channel's scale as fine as int32 allows for the bias alone. Constants
    with several readers stay as they are.
    """
    constants = {item.name: item for item in proto.graph.initializer}
    makers = {node.output[0]: node for node in proto.graph.node}
    reads = Counter(name for node in proto.graph.node for name in node.input)
    for node in proto.graph.node:
        pair = [makers[name] for name in node.input[1:3] if name in makers]
        if len(pair) == 2 and all(_of_constants(maker, constants) for maker in pair):
            names = [name for maker in pair for name in (*maker.input[:2], maker.output[0])]
            power = _excess(numpy_helper.to_array(constants[pair[1].input[0]]))
            if power.any() and all(reads[name] == 1 for name in names):
                if any(np.prod(constants[maker.input[1]].dims) == 1 for maker in pair):
                    power = np.full_like(power, power.max())  # one scale for all channels
                for maker in pair:
                    _coarsen(maker, constants, power)
    return proto


def _of_constants(maker: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    return maker.op_type == "DequantizeLinear" and all(
        name in constants for name in maker.input[:2]
    )


def _excess(codes: np.ndarray) -> np.ndarray:
    """Per channel, the power of two by which a bias is too large; 0 where it is not."""
    if codes.dtype != np.int32 or codes.ndim != 1:
        return np.zeros(1, np.int64)
    size = np.maximum(np.abs(codes.astype(np.float64)) / LIMIT, 1)
    return np.ceil(np.log2(size)).astype(np.int64)


def _coarsen(
    maker: onnx.NodeProto, constants: dict[str, onnx.TensorProto], power: np.ndarray
) -> None:
    """Codes over 2**power, scales times it, one power for each channel."""
    codes, scale = (numpy_helper.to_array(constants[name]) for name in maker.input[:2])
    axis = next((item.i for item in maker.attribute if item.name == "axis"), 1) % codes.ndim
    along = [-1 if i == axis else 1 for i in range(codes.ndim)]
    divided = np.rint(codes / (2.0**power).reshape(along)).astype(codes.dtype)
    times = 2.0**power if scale.size > 1 else 2.0 ** power.max()
    coarse = (divided, (scale * times).astype(scale.dtype))
    for name, array in zip(maker.input[:2], coarse, strict=True):
        constants[name].CopyFrom(numpy_helper.from_array(array.reshape(constants[name].dims), name))
