"""Pad with zeros, where nothing behind it can take it in: a depthwise convolution by 1.

``weft.nn.pads`` makes it part of the Conv or AveragePool behind it wherever that is possible.
"""

from dataclasses import replace

import numpy as np

from weft.nn.builder import Builder
from weft.nn.errors import ModelError
from weft.nn.graph import Conv, Window
from weft.nn.numerics import scaling_of
from weft.nn.onnx_model import Node
from weft.nn.symbols import Codes, Constant, QuantisedConstant, Real, Symbol

MAX_PADS = 1 << 10  # of one side


def pad(node: Node, builder: Builder) -> Symbol:
    """Pad of height and width with the code that means 0."""
    value = builder.symbol(node, 0)
    if node.outputs[0] not in builder.wanted:  # it is part of its readers by now
        return value
    if not isinstance(value, Codes | Real):
        value = builder.real(node, 0)
    _check_value(node, builder, value)
    top, left, bottom, right = _sides(node, builder, len(value.shape))
    if not any((top, left, bottom, right)):
        return value
    source = builder.tensors[builder.image(node, value)]
    channels, height, width = source.shape
    y, x = top + bottom, left + right
    weight = np.zeros((channels, 1, y + 1, x + 1), np.int16)
    weight[:, :, bottom, right] = 1  # as far from the end as the image moves
    low, high = builder.ranges[source.name]
    output = source.replace(
        name=f"{node.outputs[0]}_codes", shape=(channels, height + y, width + x)
    )
    operator = Conv(
        name=node.name,
        output=output.name,
        input=source.name,
        weight=weight,
        bias=np.zeros(channels, np.int64),
        scaling=scaling_of(1.0),
        window=Window(kernel=(y + 1, x + 1), pads=(y, x, y, x)),
        groups=channels,
        low=min(low, source.zero_point),
        high=max(high, source.zero_point),
    )
    builder.add(operator, output, builder.quantisations[source.name])
    rows = (height + y,) if len(value.shape) == 4 else ()
    shape = (1, channels, *rows, width + x)
    return replace(value, tensor=output.name, shape=shape, order=None)


def _check_value(node: Node, builder: Builder, value: Codes | Real) -> None:
    """Refuse what is not filled with the code that means 0."""
    mode = node.text("mode", "constant")
    if mode != "constant":
        raise ModelError(f"{node}: attribute 'mode' is {mode!r}; 'constant' is supported")
    given = np.array(node.number("value", 0.0))
    if node.input(2):
        constant = builder.symbol(node, 2)
        if isinstance(constant, QuantisedConstant):
            given = constant.real
        elif isinstance(constant, Constant):
            given = constant.array
        else:
            raise ModelError(f"{node}: its value is computed at run time; 0 is supported")
    zero = builder.quantisations[value.tensor].zero_point if isinstance(value, Codes) else 0
    clipped = isinstance(value, Real) and not value.clip.low <= 0 <= value.clip.high
    if given.size != 1 or given.reshape(-1)[0] != zero or clipped:
        what = given.reshape(-1)[0] if given.size == 1 else list(given.shape)
        raise ModelError(
            f"{node}: pads with {what}; {zero}, which is 0 in real numbers, is supported"
        )


def _sides(node: Node, builder: Builder, rank: int) -> tuple[int, int, int, int]:
    """How much is added at the top, left, bottom and right."""
    pads = node.integers("pads")
    if pads is None:
        pads = _integers(node, builder, 1)
    axes = _integers(node, builder, 3) if node.input(3) else tuple(range(rank))
    begins, ends = [0] * rank, [0] * rank
    fits = len(pads) == 2 * len(axes) and all(-rank <= axis < rank for axis in axes)
    if fits:
        for place, axis in enumerate(axes):
            begins[axis], ends[axis] = pads[place], pads[place + len(axes)]
    sides = (*begins[2:], *ends[2:])
    others = (*begins[:2], *ends[:2])
    if not fits or any(others) or not all(0 <= size <= MAX_PADS for size in sides):
        raise ModelError(
            f"{node}: pads {list(pads)} of axes {list(axes)}; up to {MAX_PADS} at each side of the "
            "height and the width are supported"
        )
    if rank == 3:
        return 0, begins[2], 0, ends[2]
    if rank == 4:
        return begins[2], begins[3], ends[2], ends[3]
    if any(sides):
        raise ModelError(f"{node}: pads {rank} dimensions; 3 and 4 are supported")
    return 0, 0, 0, 0


def _integers(node: Node, builder: Builder, index: int) -> tuple[int, ...]:
    value = builder.symbol(node, index)
    if not isinstance(value, Constant) or value.array.dtype.kind != "i":
        raise ModelError(f"{node}: input {node.input(index)!r} must be constant integers")
    return tuple(int(item) for item in value.array.reshape(-1))
