"""A program as it grows: steps, and the contents of the memories that they read."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from weft.mapper import pack
from weft.mapper.plan import Engine, Images, Params, Step, Unit
from weft.nn.graph import Graph, Scaling, Tensor


@dataclass(frozen=True, kw_only=True)
class Place:
    """Bank and word address of a tensor's buffer."""

    bank: int = 0
    base: int = 0


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where an operator writes: a tensor's buffer, from one of its channels on."""

    tensor: Tensor
    channel: int = 0


@dataclass
class Program:
    """Steps and images as they grow; addresses are filled in when the buffers have theirs.

    Memory contents are added as functions that make them: only the plan that is chosen needs them.
    """

    graph: Graph
    engine: Engine
    place: Callable[[str], Place]  # of a tensor's buffer
    steps: list[Step] = field(default_factory=list)
    weights: list[Callable[[], np.ndarray]] = field(default_factory=list)
    vector: list[Callable[[], np.ndarray]] = field(default_factory=list)
    params: dict[Unit, list[Callable[[], Params]]] = field(
        default_factory=lambda: {u: [] for u in Unit}
    )
    weight_words: int = 0
    vector_words: int = 0
    param_words: dict[Unit, int] = field(default_factory=lambda: dict.fromkeys(Unit, 0))

    def add_weights(self, count: int, words: Callable[[], np.ndarray]) -> int:
        """Append array weight words; returns the address of the first."""
        self.weights.append(words)
        self.weight_words += count
        return self.weight_words - count

    def add_vector(self, count: int, words: Callable[[], np.ndarray]) -> int:
        """Append vector weight words; returns the address of the first."""
        self.vector.append(words)
        self.vector_words += count
        return self.vector_words - count

    def add_params(
        self, unit: Unit, count: int, bias: Callable[[], np.ndarray], scaling: Scaling, first: int
    ) -> int:
        """Append words of ``count`` channels, ``first`` empty ones before; returns the address."""
        lanes = self.engine.requant(unit)
        return self.append_params(
            unit,
            -(-(first + count) // lanes),
            lambda: pack.param_groups(bias(), scaling, first, lanes),
        )

    def append_params(self, unit: Unit, count: int, words: Callable[[], Params]) -> int:
        """Append parameter words; returns the address of the first."""
        self.params[unit].append(words)
        self.param_words[unit] += count
        return self.param_words[unit] - count

    def images(self) -> Images:
        """All memories' contents, concatenated."""
        k, n, t = self.engine.lanes, self.engine.columns, self.engine.vector_taps
        weights = [np.zeros((0, k, n), np.int16), *(words() for words in self.weights)]
        vector = [np.zeros((0, t * k), np.int16), *(words() for words in self.vector)]
        images = Images(
            weights=np.concatenate(weights),
            vector=np.concatenate(vector),
            array_params=self._params(Unit.ARRAY),
            vector_params=self._params(Unit.VECTOR),
        )
        counts = self.weight_words, self.vector_words, *self.param_words.values()
        params = images.array_params, images.vector_params
        assert counts == tuple(
            len(x) for x in (images.weights, images.vector, *(part.bias for part in params))
        )
        return images

    def _params(self, unit: Unit) -> Params:
        empty = np.zeros((0, self.engine.requant(unit)), np.int64)
        parts = [words() for words in self.params[unit]]
        return Params(
            bias=np.concatenate([empty, *(part.bias for part in parts)]),
            factor=np.concatenate([empty, *(part.factor for part in parts)]),
            shift=np.concatenate([empty, *(part.shift for part in parts)]),
        )
