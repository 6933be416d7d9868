"""Seeded random networks of several layers, with many channels constant or unused."""

import numpy as np

from tests.e2e.layer_choices import Clamp
from tests.e2e.layers import Layers
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import Scaling, scaling_of
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

KINDS = (
    "conv", "conv", "depthwise", "depthwise", "grouped", "max", "mean", "rescale", "clamp", "clamp",
    "add", "concat", "move", "stretch", "below", "minus", "mul", "gate",
)  # fmt: skip


class Chain(Layers):
    """Several layers, with many channels constant or unused."""

    def tensor(self, shape: tuple[int, int, int], zero_point: int | None = None) -> Tensor:
        """A new tensor, its zero point seldom at an end: from there to the other all saturates."""
        if zero_point is None and self.rng.random() < 0.9:
            zero_point = int(self.pick((0, -1, 4, -17, 40)))
        return super().tensor(shape, zero_point)

    def clamp(self) -> Clamp:
        if self.rng.random() < 0.85:
            return Clamp()
        return {"low": int(self.pick((-128, -17, 0, 4))), "high": int(self.pick((127, 60, 83)))}

    def scaling(self, count: int, spread: float) -> Scaling:
        """Mostly factors that leave something of the codes after several layers."""
        if self.rng.random() < 0.1:
            return super().scaling(count, spread)
        return scaling_of(self.rng.uniform(0.5, 1.5, count) * 100 / spread)

    def grow(self, images: list[Tensor]) -> Tensor:
        """One more layer on one of the images (two for Add, Mul and Concat, where they fit)."""
        source = images[-1] if self.rng.random() < 0.8 else self.pick(images)
        alike = [image for image in images if image.shape == source.shape]
        n, window = source.shape[0], self.window(source, 3)
        if self.rng.random() < 0.5:
            window = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
        match self.pick(KINDS):
            case "depthwise":
                return self.conv(source, n * int(self.pick((1, 1, 2))), n, window)
            case "grouped" if n % 2 == 0:
                return self.conv(source, 2 * int(self.rng.integers(1, 4)), 2, window)
            case "max":
                return self.max_pool(source)
            case "mean":
                return self.mean(source)
            case "rescale":
                return self.rescale(source)
            case "clamp":
                return self.same_scale(source)
            case "add":
                return self.add(source, self.pick(alike))
            case "minus":
                return self.add(source, self.pick(alike), minus=True)
            case "mul":
                return self.mul(source, self.pick(alike))
            case "gate":
                pooled = self.mean(source, whole=True)
                return self.mul(source, self.rescale(pooled))
            case "move":
                return self.move(source)
            case "stretch":
                return self.conv(source, int(self.rng.integers(1, 6)), 1, self.stretched(source, 2))
            case "below" if source.shape[1] < 8:
                return self.concat([source, source], axis=1)
            case "concat" if n < 20:
                return self.concat([source, *alike[: int(self.rng.integers(0, 3))]])
            case _:
                return self.conv(source, int(self.rng.integers(1, 9)), 1, window)

    def mean(self, source: Tensor, whole: bool = False) -> Tensor:
        """An AveragePool with the counts that its windows have, as the checker wants it."""
        output = self.average_pool(source, whole)
        pool = self.operators[-1]
        assert isinstance(pool, AveragePool)
        counts = sorted({int(n) for n in pool.window_counts(*source.shape[1:]).reshape(-1)})
        scalings = tuple(scaling_of(1 / max(1, count)) for count in counts)
        self.operators[-1] = pool.replace(counts=tuple(counts), scalings=scalings)
        return output

    def same_scale(self, source: Tensor) -> Tensor:
        """A Rescale that changes nothing, or clamps."""
        output = self.rescale(source)
        self.tensors[-1] = output.replace(zero_point=source.zero_point)
        self.operators[-1] = self.operators[-1].replace(scaling=scaling_of(1.0))
        return self.tensors[-1]

    def empty_channels(self) -> None:
        """Zero whole output and input channels of the Convs' weights."""
        for i, operator in enumerate(self.operators):
            if isinstance(operator, Conv):
                weight = operator.weight.copy()
                weight[self.rng.random(weight.shape[0]) < self.pick((0, 0, 0.4, 0.7))] = 0
                weight[:, self.rng.random(weight.shape[1]) < self.pick((0, 0, 0.3))] = 0
                self.operators[i] = operator.replace(weight=weight, bias=operator.bias // 4)


def random_chain(seed: int) -> Graph:
    """Network number ``seed``: up to eight layers, one or two inputs and outputs."""
    chain = Chain(rng=np.random.default_rng(seed), wide_weights=seed % 4 == 0)
    height, width = (int(x) for x in chain.rng.integers(1, 8, 2))
    first = chain.input((int(chain.rng.integers(1, 7)), height, width))
    images = [first] if chain.rng.random() < 0.7 else [first, chain.input(first.shape)]
    for _ in range(int(chain.rng.integers(2, 9))):
        images.append(chain.grow(images))
    outputs = [images[-1]] if chain.rng.random() < 0.8 else images[-2:]
    if chain.rng.random() < 0.8:  # so that all channels before it may go
        outputs.append(chain.conv(images[-1], 2, 1, Window(kernel=(1, 1))))
        del outputs[0]
    chain.empty_channels()
    return chain.graph(f"chain-{seed}", outputs)


def some_inputs(graph: Graph, n_random: int = 6) -> dict[str, np.ndarray]:
    """Input codes [N, C, H, W]: all lowest, all highest, the zero point, only extremes, any."""
    rng = np.random.default_rng(len(graph.tensors))
    codes = {}
    for edge in graph.inputs:
        tensor = graph.tensor(edge.tensor)
        flat = [np.full(tensor.shape, c) for c in (-128, 127, tensor.zero_point)]
        extreme = rng.choice([-128, 127], (2, *tensor.shape))
        random = rng.integers(-128, 128, (n_random, *tensor.shape))
        codes[edge.tensor] = np.concatenate([np.stack(flat), extreme, random]).astype(np.int8)
    return codes
