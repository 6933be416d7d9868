"""BatchNormalization and Div: a gain and an offset per channel."""

import numpy as np

from weft.errors import ModelError
from weft.nn.onnx.affine import Exact, affine, constant_of, exact_of
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import PendingConv


def batch_normalization(node: Node, builder: Builder) -> PendingConv:
    """BatchNormalization at inference, behind a convolution or alone."""
    if node.integer("training_mode", 0):
        raise ModelError("attribute 'training_mode' = 1 is not supported", remedy="0 is", at=node)
    names = ("scale", "bias", "mean", "variance")
    parts = [constant_of(node, builder, i + 1, name) for i, name in enumerate(names)]
    scale, bias, mean, variance = (part.reshape(-1) for part in parts)
    if len({part.size for part in parts}) != 1:
        raise ModelError("scale, bias, mean and variance have different sizes", at=node)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        gain = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
        offset = bias - mean * gain
    rank = len(builder.symbol(node, 0).shape)
    column = (1, -1, *[1] * (rank - 2))
    single = tuple(part.reshape(column).astype(np.float32) for part in parts)
    epsilon = np.float32(node.number("epsilon", 1e-5))

    def float32(x: np.ndarray, *constants: np.ndarray) -> np.ndarray:
        scale, bias, mean, variance = constants
        gain = scale * (1 / np.sqrt(variance + epsilon))
        return x * gain + (bias - mean * gain)

    exact = Exact(constants=single, function=float32)
    return affine(node, builder, 0, gain.reshape(column), offset.reshape(column), exact)


def divide(node: Node, builder: Builder) -> PendingConv:
    """Div by a constant."""
    divisor = constant_of(node, builder, 1, "divisor")
    with np.errstate(divide="ignore"):
        gain = 1 / divisor
    exact = exact_of(node, builder, 1, np.divide)
    return affine(node, builder, 0, gain, np.zeros_like(divisor), exact)
