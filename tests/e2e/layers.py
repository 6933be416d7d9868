"""Seeded random networks of one layer (or a few), over everything that a layer can vary in."""

from dataclasses import dataclass

import numpy as np

from tests.e2e.layer_choices import CHANNELS, Choices
from weft.nn.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Graph,
    HostEdge,
    MaxPool,
    Move,
    Mul,
    Rescale,
    Tensor,
    Window,
)
from weft.nn.numerics import scaling_of

POINTS = (24, 32, 40, 48)
KINDS = (
    "conv",
    "conv",
    "conv",
    "grouped",
    "depthwise",
    "depthwise",
    "dense",
    "add",
    "max_pool",
    "average_pool",
    "rescale",
    "concat",
    "residual",
    "separable",
    "perceptron",
    "stack",
    "branches",
    "mixture",
    "move",
    "transposed",
    "rows_together",
    "sub",
    "mul",
    "gate",
    "excite",
)
PRODUCTS = ("sub", "mul", "gate", "excite")
"""Those whose engines multiply activations with each other, or subtract them."""


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
        if whole or self.rng.random() < 0.4:
            window = Window(kernel=source.shape[1:])
        else:
            window = self.window(source).replace(dilation=(1, 1))
        include_pad = bool(self.rng.random() < 0.5)
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
        return Graph(
            name=name,
            tensors=tuple(self.tensors),
            operators=tuple(self.operators),
            inputs=tuple(_edge(tensor) for tensor in self.inputs),
            outputs=tuple(_edge(tensor.name) for tensor in outputs),
        )


def _edge(tensor: str) -> HostEdge:
    return HostEdge(name=tensor, tensor=tensor, shape=(1,), dtype="int8", steps=())


def random_network(seed: int, *, wide_weights: bool = False, packable: bool = False) -> Graph:
    """Network number ``seed``; its weights in -128..127, -255..255 or (packable) -127..127."""
    layers = Layers(rng=np.random.default_rng(seed), wide_weights=wide_weights, packable=packable)
    kind = KINDS[seed % len(KINDS)]
    output = globals()[f"_{kind}"](layers)
    return layers.graph(f"{kind}-{seed}", [output])


def _conv(layers: Layers) -> Tensor:
    source = layers.image()
    return layers.conv(source, int(layers.pick(CHANNELS)), 1, layers.window(source))


def _grouped(layers: Layers) -> Tensor:
    groups, per_group, outs = (int(n) for n in layers.rng.integers(1, 6, 3))
    source = layers.image(groups * per_group)
    return layers.conv(source, groups * outs, groups, layers.window(source, 3))


def _depthwise(layers: Layers) -> Tensor:
    source = layers.image()
    channels = source.shape[0]
    return layers.conv(source, channels, channels, layers.window(source))


def _dense(layers: Layers) -> Tensor:
    source = layers.input((int(layers.pick((*CHANNELS, 100, 128))), 1, 1))
    return layers.conv(source, int(layers.pick(CHANNELS)), 1, Window(kernel=(1, 1)))


def _add(layers: Layers) -> Tensor:
    a = layers.image()
    b = a if layers.rng.random() < 0.1 else layers.input(a.shape)
    return layers.add(a, b)


def _sub(layers: Layers) -> Tensor:
    a = layers.image()
    b = a if layers.rng.random() < 0.1 else layers.input(a.shape)
    return layers.add(a, b, minus=True)


def _mul(layers: Layers) -> Tensor:
    a = layers.image()
    b = a if layers.rng.random() < 0.1 else layers.input(a.shape)
    return layers.mul(a, b)


def _gate(layers: Layers) -> Tensor:
    """A gate, and a convolution that may follow it."""
    a = layers.image()
    tensor = layers.mul(a, layers.input((a.shape[0], 1, 1)))
    return layers.conv(tensor, int(layers.pick(CHANNELS)), 1, layers.window(tensor, 2))


def _excite(layers: Layers) -> Tensor:
    """Squeeze and excite, whose gate takes an even or odd number of steps."""
    source = layers.image()
    gate = layers.average_pool(source, whole=True)
    for _ in range(layers.rng.integers(1, 3)):
        gate = layers.conv(gate, int(layers.pick(CHANNELS)), 1, Window(kernel=(1, 1)))
    gate = layers.conv(gate, source.shape[0], 1, Window(kernel=(1, 1)))
    return layers.rescale(layers.mul(source, gate))


def _max_pool(layers: Layers) -> Tensor:
    return layers.max_pool(layers.image())


def _average_pool(layers: Layers) -> Tensor:
    return layers.average_pool(layers.image())


def _rescale(layers: Layers) -> Tensor:
    return layers.rescale(layers.image())


def _concat(layers: Layers) -> Tensor:
    first = layers.image()
    others = [
        layers.input((int(layers.pick(CHANNELS)), *first.shape[1:]))
        for _ in range(layers.rng.integers(1, 4))
    ]
    return layers.concat([first, *others])


def _residual(layers: Layers) -> Tensor:
    source = layers.image()
    channels = source.shape[0]
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    inner = layers.conv(source, int(layers.pick(CHANNELS)), 1, same)
    return layers.average_pool(layers.add(source, layers.conv(inner, channels, 1, same)))


def _separable(layers: Layers) -> Tensor:
    """Depthwise and pointwise convolutions in turn, which the two units run side by side."""
    tensor = layers.image()
    for _ in range(3):
        window = layers.window(tensor, 3)
        tensor = layers.conv(tensor, tensor.shape[0], tensor.shape[0], window)
        pointwise = Window(kernel=(1, 1))
        tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, pointwise)
    return layers.max_pool(tensor) if layers.rng.random() < 0.5 else tensor


def _perceptron(layers: Layers) -> Tensor:
    """Fully connected layers, each of which reads what the one before still writes."""
    tensor = layers.input((int(layers.pick((*CHANNELS, 100, 128))), 1, 1))
    for _ in range(4):
        tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, Window(kernel=(1, 1)))
    return tensor


def _stack(layers: Layers) -> Tensor:
    """Convolutions one after the other, on images from large to tiny."""
    tensor = layers.image()
    for _ in range(3):
        window = layers.window(tensor, 3)
        tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, window)
    return tensor


def _branches(layers: Layers) -> Tensor:
    """Convolutions of one image, none of which reads what another one writes."""
    source = layers.image()
    window = layers.window(source, 2)
    parts = [
        layers.conv(source, int(layers.pick(CHANNELS)), 1, window)
        for _ in range(layers.rng.integers(2, 5))
    ]
    return layers.concat(parts)


def _mixture(layers: Layers) -> Tensor:
    """Either unit after itself and after the other one, on a small image."""
    height, width = (int(layers.pick((1, 2, 4, 6))) for _ in range(2))
    tensor = layers.input((int(layers.pick(CHANNELS)), height, width))
    for _ in range(7):
        window = layers.window(tensor, 2).replace(stride=(1, 1))
        channels = tensor.shape[0]
        match layers.pick(("conv", "conv", "pointwise", "depthwise", "rescale")):
            case "conv":
                tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, window)
            case "pointwise":
                tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, Window(kernel=(1, 1)))
            case "depthwise":
                tensor = layers.conv(tensor, channels, channels, window)
            case _:
                tensor = layers.rescale(tensor)
    return tensor


def _move(layers: Layers) -> Tensor:
    """Moves before, behind and between operators of both units."""
    tensor = layers.image()
    for _ in range(2):
        tensor = layers.picked(tensor) if layers.rng.random() < 0.3 else tensor
        tensor = layers.move(tensor)
        if layers.rng.random() < 0.5:
            window = layers.window(tensor, 2)
            tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, window)
    return tensor


def _transposed(layers: Layers) -> Tensor:
    """Transposed convolutions: of all channels, of groups and of single ones."""
    kind = layers.pick(("all", "groups", "single"))
    groups, per_group, outs = (int(n) for n in layers.rng.integers(1, 4, 3))
    source = layers.image(groups * per_group if kind == "groups" else None)
    window = layers.stretched(source)
    match kind:
        case "all":
            tensor = layers.conv(source, int(layers.pick(CHANNELS)), 1, window)
        case "groups":
            tensor = layers.conv(source, groups * outs, groups, window)
        case _:
            tensor = layers.conv(source, source.shape[0], source.shape[0], window)
    if layers.rng.random() < 0.5:
        tensor = layers.conv(tensor, int(layers.pick(CHANNELS)), 1, layers.window(tensor, 2))
    return tensor


def _rows_together(layers: Layers) -> Tensor:
    """Images one below the other, or one beside the other."""
    first = layers.image()
    axis, count = int(layers.pick((1, 2))), int(layers.rng.integers(1, 3))
    parts = [first]
    for _ in range(count):
        shape = list(first.shape)
        shape[axis] = int(layers.rng.integers(1, 6))
        parts.append(layers.input((shape[0], shape[1], shape[2])))
    return layers.concat(parts, axis)
