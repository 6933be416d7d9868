"""Seeded random networks of one layer (or a few), over everything that a layer can vary in."""

import numpy as np

from tests.e2e.layer_choices import CHANNELS
from tests.e2e.layers import Layers
from weft.nn.ir.graph import Graph
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window


def random_network(seed: int, *, wide_weights: bool = False, packable: bool = False) -> Graph:
    """Network number ``seed``; its weights in -128..127, -255..255 or (packable) -127..127."""
    layers = Layers(rng=np.random.default_rng(seed), wide_weights=wide_weights, packable=packable)
    kind = seed % len(KINDS)
    return layers.graph(f"{KINDS[kind]}-{seed}", [RECIPES[kind](layers)])


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


RECIPES = (
    _conv,
    _conv,
    _conv,
    _grouped,
    _depthwise,
    _depthwise,
    _dense,
    _add,
    _max_pool,
    _average_pool,
    _rescale,
    _concat,
    _residual,
    _separable,
    _perceptron,
    _stack,
    _branches,
    _mixture,
    _move,
    _transposed,
    _rows_together,
    _sub,
    _mul,
    _gate,
    _excite,
)
KINDS = tuple(recipe.__name__.removeprefix("_") for recipe in RECIPES)
"""Network number ``seed`` is of kind ``seed % len(KINDS)``."""

PRODUCTS = ("sub", "mul", "gate", "excite")
"""Those whose engines multiply activations with each other, or subtract them."""
