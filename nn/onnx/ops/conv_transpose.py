"""ConvTranspose: a convolution of the stretched image, its kernel turned round."""

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.conv import PendingConv
from weft.nn.onnx.symbols import QuantisedConstant
from weft.nn.onnx.weights import add_bias, centred_weights, check_channels, constant_weights
from weft.nn.onnx.window import MAX_SIDE, pair


def conv_transpose(node: Node, builder: Builder) -> PendingConv:
    """ConvTranspose over one or two spatial dimensions."""
    x = builder.real(node, 0)
    weight = constant_weights(node, builder)
    groups = node.integer("group", 1)
    check_channels(node, x, weight, transposed=True)
    c_in, per_out = weight.shape[:2]
    per_in, c_out = c_in // groups, per_out * groups
    source = image(builder, node, x)
    height, width = builder.tensors[source].shape[1:]
    window = _window(node, weight.shape[2:], (height, width))
    codes = centred_weights(node, weight).reshape(groups, per_in, per_out, *window.kernel)
    codes = codes[..., ::-1, ::-1].swapaxes(1, 2).reshape(c_out, per_in, *window.kernel)
    builder.macs += codes.size * height * width
    out = window.output_size(height, width)
    shape = (1, c_out, *out) if len(x.shape) == 4 else (1, c_out, out[1])
    pending = PendingConv(
        origin=node.origin,
        own_shape=shape,
        shape=shape,
        source=source,
        weight=np.ascontiguousarray(codes),
        weight_scale=_scales(node, weight, groups, per_in),
        bias=np.zeros(c_out, np.int64),
        window=window,
        groups=groups,
    )
    return add_bias(node, builder, pending, 2, rounds=False)


def _scales(node: Node, weight: QuantisedConstant, groups: int, per_in: int) -> np.ndarray:
    """One scale for all, or per output channel: axis 1 holds those of one group."""
    scale = weight.scale
    if scale.size == 1:
        return scale.reshape(-1)
    if scale.ndim == weight.codes.ndim and scale.shape[1] == scale.size:
        return np.tile(scale.reshape(-1), groups)
    if scale.ndim == weight.codes.ndim and scale.shape[0] == scale.size and per_in == 1:
        return np.repeat(scale.reshape(-1), weight.shape[1])  # of input channels with own outputs
    raise ModelError(
        f"weight {node.input(1)!r} is quantised along another axis than its output channels (axis "
        "1)",
        at=node,
    )


def _window(node: Node, kernel: tuple[int, ...], size: tuple[int, int]) -> Window:
    """The window over the stretched image that gives the output's size."""
    rank = len(kernel)
    stretch, dilation = pair(node, "strides", rank), pair(node, "dilations", rank)
    kernel2 = (1, kernel[0]) if rank == 1 else (kernel[0], kernel[1])
    reach = [d * (k - 1) + 1 for k, d in zip(kernel2, dilation, strict=True)]
    extra = pair(node, "output_padding", rank, least=0)
    full = [s * (n - 1) + r + e for s, n, r, e in zip(stretch, size, reach, extra, strict=True)]
    cuts = _cuts(node, rank, full, size, stretch)
    before = [r - 1 - begin for r, (begin, _) in zip(reach, cuts, strict=True)]
    after = [r - 1 + e - end for r, e, (_, end) in zip(reach, extra, cuts, strict=True)]
    window = Window(
        kernel=kernel2,
        pads=(before[0], before[1], after[0], after[1]),
        dilation=dilation,
        stretch=stretch,
    )
    out = window.output_size(*size)
    if min(out) < 1 or max(out) > MAX_SIDE:
        raise ModelError(
            f"an output of {list(out)} (height, width)",
            remedy=f"1 to {MAX_SIDE} is supported",
            at=node,
        )
    return window


def _cuts(
    node: Node, rank: int, full: list[int], size: tuple[int, int], stretch: tuple[int, int]
) -> list[tuple[int, int]]:
    """What is cut at the beginning and at the end of (height, width); negative where it grows."""
    mode = node.text("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise ModelError(
            f"attribute 'auto_pad' is {mode!r}",
            remedy="NOTSET, SAME_UPPER, SAME_LOWER and VALID are supported",
            at=node,
        )
    wanted = node.integers("output_shape")
    if wanted is None and mode in ("NOTSET", "VALID"):
        pads = (node.integers("pads") if mode == "NOTSET" else None) or (0,) * (2 * rank)
        if len(pads) != 2 * rank or not all(0 <= pad <= MAX_SIDE for pad in pads):
            raise ModelError(
                f"attribute 'pads' is {list(pads)}",
                remedy=f"{2 * rank} numbers of 0 or more are needed",
                at=node,
            )
        cuts = list(zip(pads[:rank], pads[rank:], strict=True))
        return [(0, 0), *cuts] if rank == 1 else cuts
    if wanted is None:
        # ONNX Runtime's: it does not grow where the kernel is smaller than the stride.
        target = [min(n * s, h) for n, s, h in zip(size, stretch, full, strict=True)]
    else:
        if len(wanted) not in (rank, rank + 2):
            raise ModelError(
                f"attribute 'output_shape' is {list(wanted)}",
                remedy=f"{rank} numbers are needed",
                at=node,
            )
        target = [*([1] if rank == 1 else []), *wanted[-rank:]]
    cuts = []
    for have, want in zip(full, target, strict=True):
        small = max(have - want, 0) // 2
        large = max(have - want, 0) - small
        begin = small if mode == "SAME_UPPER" else large
        cuts.append((begin, have - want - begin))
    return cuts
