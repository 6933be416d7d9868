"""A function of each code of a tensor."""

from dataclasses import dataclass, replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.operator import Operator
from weft.nn.ir.tensor import Tensor
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.code_values import CodeValues
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.pending.piecewise import piecewise
from weft.nn.onnx.symbols import Quantisation, Real


@dataclass(frozen=True, kw_only=True)
class PendingTable(Pending):
    """A function of each code of a tensor.

    values: float32 [1, 256], for the codes -128..127, or a row of them for each channel.
    """

    source: str
    values: np.ndarray

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        clamp = self.codes_range(result)
        codes = CodeValues(values=self.values).codes(result, **clamp)
        source, bounds = builder.tensors[self.source], (clamp["low"], clamp["high"])
        operator = piecewise(builder, self.origin, source, codes, output, result, bounds)
        assert operator is not None  # it may be as large as it needs to be
        return operator


def table_of(node: Node, builder: Builder, index: int) -> PendingTable:
    """An input as a table of its tensor's codes."""
    value = builder.symbol(node, index)
    if isinstance(value, PendingTable):
        clip = value.clip
        values = np.clip(value.values, np.float32(clip.low), np.float32(clip.high))
        return replace(value, values=values, clip=type(clip)())
    if not isinstance(value, Real):
        value = builder.real(node, index)
    values = CodeValues.of(builder.quantisations[value.tensor]).values
    return PendingTable(
        origin=node.origin,
        own_shape=(1, *builder.tensors[value.tensor].shape),
        shape=value.shape,
        order=value.order,
        source=value.tensor,
        values=np.clip(values, np.float32(value.clip.low), np.float32(value.clip.high)),
    )


def finite(node: Node, pending: PendingTable) -> PendingTable:
    if not np.all(np.isfinite(pending.values)):
        raise ModelError("gives numbers that are not finite for some codes of its input", at=node)
    return pending
