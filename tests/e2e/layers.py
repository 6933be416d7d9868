"""Networks under construction: operators with random weights and factors."""

from dataclasses import dataclass

import numpy as np

from tests.e2e.layer_choices import Choices
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

POINTS = (24, 32, 40, 48)


@dataclass
class Layers(Choices):
    """A network under construction, operator by operator."""

    def move(self, source: Tensor) -> Tensor:
        """Rows and columns of a tensor in another order."""
        swap = bool(self.rng.random() < 0.2)
        size = source.shape[:0:-1] if swap else source.shape[1:]
        rows, cols = (self.places(n) for n in size)
        if swap:
            rows, cols = (tuple(max(p, 0) for p in places) for places in (rows, cols))
        output = self.tensor((source.shape[0], len(rows), len(cols)), source.zero_point)
        self.operators.append(
            Move(
                name=f"move{len(self.operators)}",
                output=output.name,
                input=source.name,
                rows=rows,
                cols=cols,
                fill=int(self.rng.integers(-128, 128)),
                swap=swap,
                **self.clamp(),
            )
        )
        return output

    def picked(self, source: Tensor) -> Tensor:
        """Channels of a tensor as they are: some that follow each other, or any."""
        n = source.shape[0]
        first, count = int(self.rng.integers(0, n)), int(self.rng.integers(1, 20))
        channels = self.rng.integers(0, n, count)
        if self.rng.random() < 0.7:
            first = first // 8 * 8 if self.rng.random() < 0.5 else first
            channels = np.arange(first, min(first + count, n))
        weight = np.zeros((len(channels), n, 1, 1), np.int16)
        weight[np.arange(len(channels)), channels] = 1
        output = self.tensor((len(channels), *source.shape[1:]), source.zero_point)
        self.operators.append(
            Conv(
                name=f"pick{len(self.operators)}",
                output=output.name,
                input=source.name,
                weight=weight,
                bias=np.zeros(len(channels), np.int64),
                scaling=scaling_of(1.0),
                window=Window(kernel=(1, 1)),
                **self.clamp(),
            )
        )
        return output

    def conv(self, source: Tensor, n_out: int, groups: int, window: Window) -> Tensor:
        """A convolution with random weights, some of its channels all zero."""
        n_in = source.shape[0]
        limit = 255 if self.wide_weights else 127
        shape = (n_out, n_in // groups, *window.kernel)
        weight = self.rng.integers(-limit, limit + 1, shape).astype(np.int16)
        if not (self.wide_weights or self.packable) and self.rng.random() < 0.3:
            weight[self.rng.random(shape) < 0.1] = -128
        weight[self.rng.random(n_out) < 0.05] = 0
        taps = weight[0].size
        output = self.tensor((n_out, *window.output_size(*source.shape[1:])))
        n_scales = n_out if self.rng.random() < 0.7 else 1
        self.operators.append(
            Conv(
                name=f"conv{len(self.operators)}",
                output=output.name,
                input=source.name,
                weight=weight,
                bias=self.rng.integers(-1 << 14, 1 << 14, n_out),
                scaling=self.scaling(n_scales, 5000 * np.sqrt(taps)),
                window=window,
                groups=groups,
                **self.clamp(),
            )
        )
        return output

    def add(self, a: Tensor, b: Tensor, minus: bool = False) -> Tensor:
        """The sum or difference of two tensors with a factor each."""
        output = self.tensor(a.shape)
        shift = int(self.pick(POINTS))
        limit = min(shift + 1, 31)
        first, second = (int(2.0**e) for e in self.rng.uniform(limit - 6, limit, 2))
        if self.rng.random() < 0.3:  # ties
            first, second = (1 << shift - 1,) * 2 if shift <= 31 else (1 << 30, 1 << 29)
        if minus:
            second = -second
        self.operators.append(
            Add(
                name=f"add{len(self.operators)}",
                output=output.name,
                a=a.name,
                b=b.name,
                multipliers=(first, second),
                shift=shift,
                zero_point_inside=not minus,
                **self.clamp(),
            )
        )
        return output

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        """The product of two tensors, or of one and a gate."""
        output = self.tensor(a.shape)
        self.operators.append(
            Mul(
                name=f"mul{len(self.operators)}",
                output=output.name,
                a=a.name,
                b=b.name,
                scaling=self.scaling(1, 8000.0),
                **self.clamp(),
            )
        )
        return output

    def max_pool(self, source: Tensor) -> Tensor:
        """A maximum over a window."""
        window = self.window(source)
        shape = (source.shape[0], *window.output_size(*source.shape[1:]))
        output = self.tensor(shape, source.zero_point)
        self.operators.append(
            MaxPool(
                name=f"max{len(self.operators)}",
                output=output.name,
                input=source.name,
                window=window,
                **self.clamp(),
            )
        )
        return output

    def average_pool(self, source: Tensor, whole: bool = False) -> Tensor:
        """A mean over a window or the whole image; padding counted or not."""
        include_pad = bool(self.rng.random() < 0.5)
        if whole or self.rng.random() < 0.4:
            window = Window(kernel=source.shape[1:])
        else:
            window = self.window(source, beyond=include_pad).replace(dilation=(1, 1))
        n_taps = window.kernel[0] * window.kernel[1]
        counts = tuple(range(1, n_taps + 1)) if not include_pad else (n_taps,)
        ratio = float(self.pick((1.0, 0.7, 1.9)))
        shape = (source.shape[0], *window.output_size(*source.shape[1:]))
        output = self.tensor(shape)
        self.operators.append(
            AveragePool(
                name=f"mean{len(self.operators)}",
                output=output.name,
                input=source.name,
                window=window,
                counts=counts,
                scalings=tuple(scaling_of(ratio / count) for count in counts),
                include_pad=include_pad,
                zero_point_inside=bool(self.rng.random() < 0.5),
                **self.clamp(),
            )
        )
        return output

    def rescale(self, source: Tensor) -> Tensor:
        """The same values at another scale."""
        output = self.tensor(source.shape)
        self.operators.append(
            Rescale(
                name=f"rescale{len(self.operators)}",
                output=output.name,
                input=source.name,
                scaling=self.scaling(1, 100.0),
                **self.clamp(),
            )
        )
        return output

    def concat(self, parts: list[Tensor], axis: int = 0) -> Tensor:
        """Tensors side by side, at a scale each."""
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        output = self.tensor((shape[0], shape[1], shape[2]))
        self.operators.append(
            Concat(
                name=f"concat{len(self.operators)}",
                output=output.name,
                parts=tuple(part.name for part in parts),
                scalings=tuple(self.scaling(1, 100.0) for _ in parts),
                axis=axis,
                **self.clamp(),
            )
        )
        return output

    def graph(self, name: str, outputs: list[Tensor]) -> Graph:
        """The finished network."""
        given = [tensor for tensor in self.tensors if tensor.name in self.inputs]
        return Graph(
            name=name,
            tensors=tuple(self.tensors),
            operators=tuple(self.operators),
            inputs=tuple(_edge(tensor) for tensor in given),
            outputs=tuple(_edge(tensor) for tensor in outputs),
        )


def _edge(tensor: Tensor) -> HostEdge:
    return HostEdge(
        name=tensor.name, tensor=tensor.name, shape=tensor.shape, dtype="int8", steps=()
    )
