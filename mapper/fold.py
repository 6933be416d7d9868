"""First layers: kernel taps folded into lanes, so that few input channels still fill a word."""

from dataclasses import dataclass

from weft.machine.plan import Fold
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window


@dataclass(frozen=True, kw_only=True)
class FoldedInput:
    """A network input, its stored tensor and the convolution that reads it."""

    fold: Fold
    tensor: Tensor
    conv: Conv


def foldable(graph: Graph, name: str) -> Conv | None:
    """The one convolution that reads the network input ``name``, if folding can help it."""
    consumers = graph.consumers(name)
    if any(edge.tensor == name for edge in graph.outputs) or len(consumers) != 1:
        return None
    (conv,) = consumers
    if not isinstance(conv, Conv) or conv.groups != 1 or conv.window.kernel == (1, 1):
        return None
    plain = conv.window.stretch == (1, 1) and min(conv.window.pads) >= 0
    return conv if plain else None


def options(graph: Graph, name: str, lanes: int) -> list[FoldedInput | None]:
    """Ways to store an input that take ever fewer taps per pixel, the plain one (None) first."""
    conv = foldable(graph, name)
    ways: list[FoldedInput | None] = [None]
    if conv is None:
        return ways
    channels = graph.tensor(name).shape[0]
    kh, kw = conv.window.kernel
    best = kh * kw * -(-channels // lanes)
    for rows, cols in ((1, kw), (kh, kw)):
        taps = kh * kw // (rows * cols) * -(-channels * rows * cols // lanes)
        if taps < best:
            best = taps
            ways.append(fold(graph.tensor(name), conv, rows > 1 or kh == 1))
    return ways


def fold(tensor: Tensor, conv: Conv, both: bool) -> FoldedInput:
    """Fold the kernel's columns, or its rows and columns, into the channels of its input."""
    channels, height, width = tensor.shape
    window = conv.window
    (kh, kw), (top, left, bottom, right) = window.kernel, window.pads
    out_h, out_w = window.output_size(height, width)
    rows = kh if both else 1
    shape = (rows * kw * channels, out_h if both else height, out_w)
    stored = Fold(
        rows=rows,
        cols=kw,
        stride=(window.stride[0] if both else 1, window.stride[1]),
        pads=(top, left, bottom, right) if both else (0, left, 0, right),
        dilation=window.dilation,
        zero_point=tensor.zero_point,
    )
    inner = Window(
        kernel=(kh // rows, 1),
        stride=(1 if both else window.stride[0], 1),
        pads=(0, 0, 0, 0) if both else (top, 0, bottom, 0),
        dilation=(window.dilation[0], 1),
    )
    n_out = conv.weight.shape[0]
    weight = conv.weight.reshape(n_out, channels, kh // rows, rows, kw)
    weight = weight.transpose(0, 3, 4, 1, 2).reshape(n_out, shape[0], kh // rows, 1)
    return FoldedInput(
        fold=stored,
        tensor=tensor.replace(shape=shape),
        conv=conv.replace(weight=weight, window=inner),
    )
