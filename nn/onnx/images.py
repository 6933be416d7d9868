"""Images of the graph in the shape and order that an operator wants them in.

What a view asks for (``weft.nn.onnx.views``) becomes a Reshape, a Move, a 1x1 convolution, or other
steps of the host, each made once.
"""

import zlib
from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.graph import where_from
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.origin import Origin
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.model import Node
from weft.nn.onnx.symbols import Codes, Real, chw
from weft.nn.onnx.views import Order, Picks, Shape, axes_of, channels_of, picks_of, same_order


def image(builder: Builder, node: Node, value: Real | Codes) -> str:
    """Name of a tensor with the value's [C, H, W]; inserts a Reshape where needed."""
    shape = chw(value.shape)
    if shape is None:
        raise ModelError(
            f"input of {len(value.shape)} dimensions {list(value.shape)}",
            remedy="at most 4 ([N, C, H, W]) are supported",
            at=node,
        )
    if value.order is not None:
        return _in_order(builder, node, value)
    source = builder.tensors[value.tensor]
    if source.shape == shape:
        return value.tensor
    key = (value.tensor, shape)
    if key not in builder.derived:
        wanted = f"{value.tensor}_{'x'.join(map(str, shape))}"
        reshaped = source.replace(name=builder.names.new(wanted), shape=shape)
        operator = Reshape(
            name=builder.operator_names.new(wanted), output=reshaped.name, input=value.tensor
        )
        own = builder.quantisations[value.tensor]
        builder.add(node.origin, operator, reshaped, own, builder.ranges[value.tensor])
        builder.derived[key] = reshaped.name
    return builder.derived[key]


def pick(
    builder: Builder,
    origin: Origin,
    tensor: str,
    picks: Picks,
    wanted: str,
    fill: int = 0,
    name: str | None = None,
) -> str:
    """A tensor with some channels, rows and columns of another; ``fill`` is a code.

    wanted: its name, unless that is taken; name: the operator's, its origin's where not given.
    """
    source = builder.tensors[tensor]
    _, height, width = source.shape
    size = (width, height) if picks.swap else (height, width)
    still = not picks.swap and (picks.rows, picks.cols) == tuple(tuple(range(n)) for n in size)
    if picks.channels != tuple(range(source.shape[0])):
        tensor = select(
            builder, origin, tensor, picks.channels, wanted if still else f"{wanted}_channels", fill
        )
    if still:
        return tensor
    output = builder.names.new(wanted)
    low, high = builder.ranges[tensor]
    inside = min(*picks.rows, *picks.cols) >= 0
    operator = Move(
        name=name or origin.name,
        output=output,
        input=tensor,
        rows=picks.rows,
        cols=picks.cols,
        swap=picks.swap,
        fill=fill,
        low=low if inside else min(low, fill),
        high=high if inside else max(high, fill),
    )
    shape = (len(picks.channels), len(picks.rows), len(picks.cols))
    builder.add(
        origin, operator, source.replace(name=output, shape=shape), builder.quantisations[tensor]
    )
    return output


def select(
    builder: Builder,
    origin: Origin,
    tensor: str,
    channels: tuple[int, ...],
    wanted: str,
    fill: int = 0,
) -> str:
    """A tensor with some channels of another, in that order: a 1x1 convolution by 1.

    A channel of -1 holds the code ``fill``. wanted: its name, unless that is taken.
    """
    name = builder.names.new(wanted)
    source = builder.tensors[tensor]
    there = np.array(channels)
    weight = np.zeros((len(channels), source.shape[0], 1, 1), np.int16)
    weight[there >= 0, there[there >= 0]] = 1
    low, high = builder.ranges[tensor]
    if there.min() < 0:
        low, high = min(low, fill), max(high, fill)
    operator = Conv(
        name=origin.name,
        output=name,
        input=tensor,
        weight=weight,
        bias=np.where(there < 0, fill - source.zero_point, 0).astype(np.int64),
        scaling=scaling_of(1.0),
        window=Window(kernel=(1, 1)),
        low=low,
        high=high,
    )
    copy = source.replace(name=name, shape=(len(channels), *source.shape[1:]))
    builder.add(origin, operator, copy, builder.quantisations[tensor])
    return name


def _in_order(builder: Builder, node: Node, value: Real | Codes) -> str:
    """A tensor with the elements of a transposed view: the host writes its input that way."""
    tensor, shape = value.tensor, chw(value.shape)
    assert value.order is not None
    assert shape is not None
    order = np.asarray(value.order, np.int64).tobytes()
    key = (tensor, shape, order)
    if key not in builder.derived:
        wanted = f"{tensor}_{'x'.join(map(str, shape))}_{zlib.crc32(order):08x}"
        builder.derived[key] = _ordered(builder, node, value, shape, wanted)
    return builder.derived[key]


def _ordered(
    builder: Builder, node: Node, value: Real | Codes, shape: tuple[int, int, int], wanted: str
) -> str:
    """What ``_in_order`` makes; ``wanted`` is its name, unless that is taken."""
    tensor = value.tensor
    assert value.order is not None
    own = builder.tensors[tensor].shape
    found = channels_of(value.order, own)
    if found is not None and found[1] is None and axes_of(value.order, (1, *own)) is None:
        chosen = select(builder, node.origin, tensor, found[0], wanted)  # a channel shuffle
        return image(builder, node, Codes(tensor=chosen, shape=value.shape))
    if tensor in builder.hosts:
        host = builder.hosts[tensor]
        order = value.order if host.order is None else host.order[value.order]
        moved = replace(host, shape=value.shape, order=order)
        return builder.add_input(moved, builder.quantisations[tensor], builder.names.new(wanted))
    producer = next((op for op in builder.operators if op.output == tensor), None)
    picks = picks_of(value.order.reshape(shape), own)
    if not isinstance(producer, Rescale) and picks is not None:
        return pick(builder, node.origin, tensor, picks, wanted)
    if not isinstance(producer, Rescale):
        raise ModelError(
            "its input is a Transpose that moves elements of "
            f"{where_from(tensor, builder.operators, builder.inputs)}",
            remedy="supported are Transposes that meet their inverse, the model's inputs and "
            "outputs, or a Flatten in front of Gemm or MatMul, and those that exchange height "
            "and width: export in NCHW order",
            at=node,
        )
    before = _in_order(
        builder, node, Codes(tensor=producer.input, shape=value.shape, order=value.order)
    )
    copy = builder.tensors[tensor].replace(name=builder.names.new(wanted), shape=shape)
    again = producer.replace(
        name=builder.operator_names.new(wanted), output=copy.name, input=before
    )
    builder.add(node.origin, again, copy, builder.quantisations[tensor])
    return copy.name


def together(
    node: Node, builder: Builder, a: Real, b: Real
) -> tuple[Shape, Order, tuple[str, str]]:
    """Two values of one shape as tensors of one shape, that shape, and the view's order."""
    own = _own_shape(builder, a)
    if same_order(a.order, b.order) and _own_shape(builder, b) == own:
        return own, a.order, (a.tensor, b.tensor)
    return a.shape, None, (image(builder, node, a), image(builder, node, b))


def _own_shape(builder: Builder, value: Real) -> Shape:
    return (1, *builder.tensors[value.tensor].shape)
