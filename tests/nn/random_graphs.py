"""Seeded random QDQ networks of one to eight layers: every operator, branches, odd sizes.

A layer is a kind, a seed and the tensors that it reads. It can also be built alone, with codes of
the same quantisation as its inputs: so a difference between two runtimes is traced to the layers
that make it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from tests.nn.qdq_builder import Net
from tests.nn.random_build import Build, Codes, Made
from tests.nn.random_operators import IN_PARTS, LAYERS, MOVES, OFTEN, TWO
from weft.errors import ModelError

OPSET = 20
MAX_LAYERS = 8
MAX_ELEMENTS = 3000
"""Of a tensor, so that hardware simulates many networks in a minute."""


REFUSED = (
    "are, if all are transposed in one way",
    "which are not the same rows and columns of whole channels",
    "(channels, height, width) in front of node",
    "its input is a Transpose that moves elements",
)
"""What is said of images that are transposed in several ways, which are not supported.

The last two where sizes of 1 leave a choice: which axis of the tensor a Concat makes longer.
"""


@dataclass(frozen=True)
class Layer:
    """One operator between quantised tensors. sources: indices of the tensors that it reads."""

    kind: str
    seed: int
    sources: tuple[int, ...]


def build(
    layers: tuple[Layer, ...], inputs: tuple[Codes, ...], every: bool = False
) -> tuple[onnx.ModelProto, list[Codes]]:
    """The model of some layers on inputs of that quantisation, and its tensors, the output last.

    every: all that the layers make are outputs.
    """
    net = Net(opset=OPSET)
    tensors = list(inputs)
    for codes in inputs:
        net.input(codes.name, (1, *codes.shape), codes.dtype)
    for layer in layers:
        b = Build(np.random.default_rng(layer.seed), net)
        made = _made(b, layer, tensors)
        assert made is not None
        tensors.append(made)
    for made in tensors[len(inputs) :] if every else tensors[-1:]:
        net.output(made.name, 1 + len(made.shape), made.dtype)
    return net.model(), tensors


def _made(b: Build, layer: Layer, tensors: list[Codes]) -> Made:
    """What a layer makes of the tensors that it reads."""
    read = [tensors[i] for i in layer.sources]
    made = LAYERS[layer.kind](b, *read)
    flat = layer.kind == "flatten" or (layer.kind != "gemm" and any(x.flat for x in read))
    return None if made is None else replace(made, flat=flat)


def _likely(drawn: float, in_chain: bool) -> Sequence[str]:
    """The kinds of which the next layer is one: half of the moves are followed by another."""
    if drawn < (0.4 if in_chain else 0.15):
        return MOVES
    return OFTEN if drawn < 0.6 else list(LAYERS)


def random_layers(seed: int) -> tuple[tuple[Layer, ...], tuple[Codes, ...]]:
    """Network number ``seed``: its layers, and its input."""
    b = Build(np.random.default_rng(seed), Net(opset=OPSET))
    dtype = b.pick(("int8", "uint8"))
    shape = (b.pick((1, 2, 3, 4, 5, 7, 8, 13, 17, 33)), b.whole(1, 9), b.whole(1, 9))
    scale = float(np.float32(2.0 ** b.rng.uniform(-9, 2)))
    tensors = [Codes("x", shape, scale, b.zero(dtype), dtype, given=True)]
    b.net.input("x", (1, *shape), dtype)
    layers: list[Layer] = []
    n_layers = b.whole(1, MAX_LAYERS)
    while len(layers) < n_layers:
        in_chain = bool(layers) and layers[-1].kind in MOVES
        kind = b.pick(_likely(b.rng.random(), in_chain))
        last = len(tensors) - 1
        first = last if b.rng.random() < 0.75 else b.whole(0, last)
        alike = [i for i, t in enumerate(tensors) if t.shape[1:] == tensors[first].shape[1:]]
        sources = (first, b.pick(alike)) if kind in TWO else (first,)
        layer = Layer(kind, int(b.rng.integers(1 << 32)), sources)
        read = [tensors[i] for i in sources]
        flat = any(codes.flat for codes in read)
        if (flat and kind in IN_PARTS) or (kind == "flatten" and len(layers) + 1 == n_layers):
            continue
        made = _made(Build(np.random.default_rng(layer.seed), b.net), layer, tensors)
        if made is not None and np.prod(made.shape) <= MAX_ELEMENTS:
            tensors.append(made)
            layers.append(layer)
    return tuple(layers), (tensors[0],)


def is_known(error: ModelError) -> bool:
    """Whether a refusal is one of those that random networks may end with (``REFUSED``)."""
    return any(words in str(error) for words in REFUSED)


def alone(layer: Layer, tensors: list[Codes]) -> tuple[onnx.ModelProto, tuple[Codes, ...]]:
    """A model of one layer of a network whose tensors these are, and its inputs."""
    names = {source: f"x{i}" for i, source in enumerate(dict.fromkeys(layer.sources))}
    inputs = tuple(
        replace(tensors[source], name=name, given=True) for source, name in names.items()
    )
    sources = tuple(list(names).index(source) for source in layer.sources)
    model, _ = build((replace(layer, sources=sources),), inputs)
    return model, inputs


def some_codes(inputs: tuple[Codes, ...], n: int, seed: int) -> dict[str, np.ndarray]:
    """Random codes [n, ...] for inputs: one sample of extremes, one near the zero point."""
    rng = np.random.default_rng(seed)
    found = {}
    for codes in inputs:
        low = -128 if codes.dtype == "int8" else 0
        values = rng.integers(low, low + 256, (n, *codes.shape))
        values[0] = rng.choice([low, low + 255], codes.shape)
        values[1] = np.clip(codes.zero + rng.integers(-3, 4, codes.shape), low, low + 255)
        found[codes.name] = values.astype(codes.dtype)
    return found
