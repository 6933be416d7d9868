"""Kernel, strides, pads, dilations of Conv and the pools, as ONNX's attributes give them."""

from weft.errors import ModelError
from weft.nn.ir.window import Window
from weft.nn.onnx.model import Node

MAX_SIDE = 1 << 16


def window_of(
    node: Node, kernel: tuple[int, ...], size: tuple[int, int], ceil: bool = False
) -> Window:
    """The window of a node over an image of ``size``; one spatial dimension is the width.

    ceil: with ceil_mode, incomplete windows at the end count; they become more padding.
    """
    rank = len(kernel)
    strides = pair(node, "strides", rank)
    dilation = pair(node, "dilations", rank)
    if rank not in (1, 2) or not all(1 <= k <= MAX_SIDE for k in kernel):
        raise ModelError(
            f"kernel {list(kernel)}", remedy="one or two sizes of 1 or more are supported", at=node
        )
    kernel2 = (1, kernel[0]) if rank == 1 else (kernel[0], kernel[1])
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel2, dilation, strict=True))
    begin, end = _pads(node, rank, size, reach, strides)
    if ceil:
        end = _ceil_end(size, begin, end, reach, strides)
    window = Window(kernel=kernel2, stride=strides, dilation=dilation, pads=(*begin, *end))
    if min(window.output_size(*size)) < 1:
        raise ModelError(
            f"kernel {list(kernel2)} is larger than the padded image {list(size)}", at=node
        )
    return window


def pair(node: Node, name: str, rank: int, least: int = 1) -> tuple[int, int]:
    """An attribute of one number per spatial dimension, ``least`` where it is not there."""
    values = node.integers(name) or (least,) * rank
    if len(values) != rank or not all(least <= value <= MAX_SIDE for value in values):
        raise ModelError(
            f"attribute {name!r} is {list(values)}",
            remedy=f"{rank} numbers of {least} or more are needed",
            at=node,
        )
    return (least, values[0]) if rank == 1 else (values[0], values[1])


def _pads(
    node: Node,
    rank: int,
    size: tuple[int, int],
    reach: tuple[int, ...],
    strides: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding at the beginning and at the end, (height, width) each."""
    mode = node.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = [], []
        for length, r, stride in zip(size, reach, strides, strict=True):
            total = max((-(-length // stride) - 1) * stride + r - length, 0)
            small, large = total // 2, total - total // 2
            begin.append(small if mode == "SAME_UPPER" else large)
            end.append(large if mode == "SAME_UPPER" else small)
        return (begin[0], begin[1]), (end[0], end[1])
    if mode == "VALID":
        return (0, 0), (0, 0)
    if mode != "NOTSET":
        raise ModelError(
            f"attribute 'auto_pad' is {mode!r}",
            remedy="NOTSET, SAME_UPPER, SAME_LOWER and VALID are supported",
            at=node,
        )
    pads = node.integers("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank or not all(0 <= pad <= MAX_SIDE for pad in pads):
        raise ModelError(
            f"attribute 'pads' is {list(pads)}",
            remedy=f"{2 * rank} numbers of 0 or more are needed",
            at=node,
        )
    if rank == 1:
        return (0, pads[0]), (0, pads[1])
    return (pads[0], pads[1]), (pads[2], pads[3])


def _ceil_end(
    size: tuple[int, int],
    begin: tuple[int, int],
    end: tuple[int, int],
    reach: tuple[int, ...],
    strides: tuple[int, int],
) -> tuple[int, int]:
    """End padding that gives ceil_mode's output size; no window starts in the end padding."""
    result = []
    for length, b, e, r, stride in zip(size, begin, end, reach, strides, strict=True):
        count = -(-(length + b + e - r) // stride) + 1
        if (count - 1) * stride >= length + b:
            count -= 1
        result.append(max((count - 1) * stride + r - length - b, e))
    return result[0], result[1]
