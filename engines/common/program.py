"""A program as it grows: steps, and the contents of the memories that they read."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from weft.engines.common import pack
from weft.engines.common.loads import Segment
from weft.machine.engine import Engine, Unit
from weft.machine.plan import Content, Images, Params, Step
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import Scaling
from weft.nn.ir.tensor import Tensor

PARAMS_OF = {Unit.ARRAY: Content.ARRAY_PARAMS, Unit.VECTOR: Content.VECTOR_PARAMS}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Bank and word address of a tensor's buffer."""

    bank: int = 0
    base: int = 0


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where an operator writes: a tensor's buffer, from one of its channels on.

    Results go to the rows ``y0, y0 + y_step, ...`` and the columns ``x0, x0 + x_step, ...``.
    """

    tensor: Tensor
    channel: int = 0
    y0: int = 0
    x0: int = 0
    y_step: int = 1
    x_step: int = 1


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
    params: dict[Content, list[Callable[[], Params]]] = field(
        default_factory=lambda: {content: [] for content in PARAMS_OF.values()}
    )
    segments: list[Segment] = field(
        default_factory=lambda: [Segment(first_step=0, begins=dict.fromkeys(Content, 0))]
    )

    def open_segment(self) -> None:
        """What is added from here on has the memories to itself."""
        self.segments.append(self.segments[-1].next(len(self.steps)))

    def append(self, steps: tuple[Step, ...], words: dict[Content, int]) -> None:
        """Append steps that were lowered elsewhere, and room for the words that they read."""
        if self.engine.has_store:
            self.open_segment()
        self.steps.extend(steps)
        for content, count in words.items():
            self.segments[-1].add(content, count)

    def add_weights(self, count: int, words: Callable[[], np.ndarray]) -> int:
        """Append array weight words; returns the address of the first."""
        self.weights.append(words)
        return self.segments[-1].add(Content.WEIGHTS, count)

    def add_vector(self, count: int, words: Callable[[], np.ndarray]) -> int:
        """Append vector weight words; returns the address of the first."""
        self.vector.append(words)
        return self.segments[-1].add(Content.VECTOR, count)

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
        content = PARAMS_OF[self.engine.path(unit)]
        self.params[content].append(words)
        return self.segments[-1].add(content, count)

    def depth(self, content: Content) -> int:
        """Words that a memory must hold at once, at least 1."""
        return max([1, *(segment.words[content] for segment in self.segments)])

    def images(self) -> Images:
        """All memories' contents, concatenated."""
        k, n, t = self.engine.lanes, self.engine.columns, self.engine.vector_taps
        weights = [np.zeros((0, k, n), np.int16), *(words() for words in self.weights)]
        vector = [np.zeros((0, t * k), np.int16), *(words() for words in self.vector)]
        images = Images(
            weights=np.concatenate(weights),
            vector=np.concatenate(vector),
            array_params=self._params(Content.ARRAY_PARAMS),
            vector_params=self._params(Content.VECTOR_PARAMS),
        )
        ends = self.segments[-1].next(0).begins
        params = images.array_params, images.vector_params
        assert list(ends.values()) == [
            len(x) for x in (images.weights, images.vector, *(part.bias for part in params))
        ]
        return images

    def _params(self, content: Content) -> Params:
        unit = next(unit for unit, of in PARAMS_OF.items() if of is content)
        empty = np.zeros((0, self.engine.requant(unit)), np.int64)
        parts = [words() for words in self.params[content]]
        return Params(
            bias=np.concatenate([empty, *(part.bias for part in parts)]),
            factor=np.concatenate([empty, *(part.factor for part in parts)]),
            shift=np.concatenate([empty, *(part.shift for part in parts)]),
        )
