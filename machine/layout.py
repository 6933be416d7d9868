"""Tensors in activation memory: [H][W][word], K channels to a word; and the words of a port."""

import numpy as np

from weft.machine.plan import Fold, Port, Region
from weft.nn.ir.window import Window


def to_words(codes: np.ndarray, lanes: int) -> np.ndarray:
    """int8 [N, C, H, W] as words [N, H * W * ceil(C / K), K]; unused lanes are 0."""
    n, channels, height, width = codes.shape
    words = -(-channels // lanes)
    padded = np.zeros((n, words * lanes, height, width), dtype=codes.dtype)
    padded[:, :channels] = codes
    split = padded.reshape(n, words, lanes, height, width)
    return split.transpose(0, 3, 4, 1, 2).reshape(n, -1, lanes)


def from_words(words: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The inverse of ``to_words`` for a tensor of shape [C, H, W]."""
    n, _, lanes = words.shape
    channels, height, width = shape
    split = words.reshape(n, height, width, -1, lanes).transpose(0, 3, 4, 1, 2)
    return np.ascontiguousarray(split.reshape(n, -1, height, width)[:, :channels])


def pack_inputs(region: Region, codes: dict[str, np.ndarray], lanes: int) -> np.ndarray:
    """The words [N, region.words, K] that the host sends for input codes by tensor name."""
    parts = []
    for port in region.ports:
        tensor = codes[port.edge.tensor]
        stored = fold_codes(port.fold, tensor) if port.fold else tensor
        parts.append(to_words(stored, lanes))
    return np.concatenate(parts, axis=1)


def unpack_outputs(region: Region, words: np.ndarray) -> dict[str, np.ndarray]:
    """Output codes int8 [N, C, H, W] by tensor name from the words [N, region.words, K]."""
    outputs = {}
    for port in region.ports:
        n_words = port_words(port, words.shape[2])
        span = words[:, port.offset : port.offset + n_words]
        outputs[port.edge.tensor] = from_words(span, port.shape)
    return outputs


def port_words(port: Port, lanes: int) -> int:
    """Words of a port's tensor."""
    channels, height, width = port.shape
    return height * width * -(-channels // lanes)


def fold_codes(fold: Fold, codes: np.ndarray) -> np.ndarray:
    """Input codes int8 [N, C, H, W] as the folded tensor [N, rows * cols * C, H', W']."""
    n, channels, height, width = codes.shape
    top, left, bottom, right = fold.pads
    window = Window(
        kernel=(fold.rows, fold.cols),
        stride=fold.stride,
        pads=fold.pads,
        dilation=fold.dilation,
    )
    out_h, out_w = window.output_size(height, width)
    padded = np.full(
        (n, channels, height + top + bottom, width + left + right), fold.zero_point, codes.dtype
    )
    padded[:, :, top : top + height, left : left + width] = codes
    taps = []
    for row in range(fold.rows):
        for col in range(fold.cols):
            y, x = row * fold.dilation[0], col * fold.dilation[1]
            ys = slice(y, y + (out_h - 1) * fold.stride[0] + 1, fold.stride[0])
            xs = slice(x, x + (out_w - 1) * fold.stride[1] + 1, fold.stride[1])
            taps.append(padded[:, :, ys, xs])
    return np.concatenate(taps, axis=1)
