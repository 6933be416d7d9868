"""Which codes each element of a tensor can take, whatever the network's inputs are."""

from dataclasses import dataclass

import numpy as np

from weft.nn.ir.graph import Graph
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN


@dataclass(frozen=True, kw_only=True, eq=False)
class Range:
    """Bounds of a tensor's codes: ``low <= code <= high``, int8 [C, H, W] each."""

    low: np.ndarray
    high: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """bool [C]: channels that no input of the network can change (maybe not flat ones)."""
        return np.asarray((self.low == self.high).all(axis=(1, 2)))

    @property
    def flat(self) -> np.ndarray:
        """bool [C]: known channels with one code, ``low[c, 0, 0]``, at every position."""
        return self.known & (self.low == self.low[:, :1, :1]).all(axis=(1, 2))


def code_ranges(graph: Graph) -> dict[str, Range]:
    """Bounds of every tensor, from inputs that may be anything; operators give their own.

    Channels that depend on known ones only come out with equal bounds, padding included.
    """
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    low: dict[str, np.ndarray] = {}
    high: dict[str, np.ndarray] = {}
    for edge in graph.inputs:
        shape = (1, *tensors[edge.tensor].shape)
        low[edge.tensor] = np.full(shape, CODE_MIN, dtype=np.int8)
        high[edge.tensor] = np.full(shape, CODE_MAX, dtype=np.int8)
    for operator in graph.operators:
        low[operator.output], high[operator.output] = operator.bounds(tensors, low, high)
    return {name: Range(low=low[name][0], high=high[name][0]) for name in low}
