"""MaxPool and the means, over windows or the whole image."""

from dataclasses import replace

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.window import Window
from weft.nn.onnx.builder import Builder
from weft.nn.onnx.images import image
from weft.nn.onnx.model import Node
from weft.nn.onnx.pending.average import PendingAverage
from weft.nn.onnx.pending.max_pool import PendingMaxPool
from weft.nn.onnx.pending.pending import Pending
from weft.nn.onnx.pending.split_mean import PendingSplitMean
from weft.nn.onnx.symbols import Codes, Constant, Real, Symbol, chw
from weft.nn.onnx.views import Shape, arrangements, transposed
from weft.nn.onnx.window import window_of


def max_pool(node: Node, builder: Builder) -> Symbol:
    """MaxPool of real values or of codes: the code's order is the value's."""
    kernel = _kernel(node)
    return _max_pool(node, builder, kernel, node.integer("ceil_mode", 0) != 0)


def global_max_pool(node: Node, builder: Builder) -> Symbol:
    """GlobalMaxPool: a window of the whole image."""
    return _max_pool(node, builder, None, False)


def _max_pool(node: Node, builder: Builder, kernel: tuple[int, ...] | None, ceil: bool) -> Symbol:
    value = builder.symbol(node, 0)
    if isinstance(value, Pending):
        return _max_of_pending(node, builder, value, kernel, ceil)
    if not isinstance(value, Codes | Real):  # a clamp may stay: the maximum of clamps is the same
        value = builder.real(node, 0)
    source, rank = _image(node, builder, value)
    window = _window(node, builder, source, kernel, ceil)
    tensor = builder.tensors[source]
    out = window.output_size(*tensor.shape[1:])
    name = builder.names.new(f"{node.outputs[0]}_codes")
    output = tensor.replace(name=name, shape=(tensor.shape[0], *out))
    operator = MaxPool(name=node.name, output=name, input=source, window=window)
    builder.add(
        node.origin, operator, output, builder.quantisations[source], builder.ranges[source]
    )
    return replace(value, tensor=name, shape=_shape(tensor.shape[0], out, rank), order=None)


def _max_of_pending(
    node: Node, builder: Builder, value: Pending, kernel: tuple[int, ...] | None, ceil: bool
) -> PendingMaxPool:
    channels, height, width = image_of(node, builder, value)
    window = Window(kernel=(height, width))
    if kernel is not None:
        window = window_of(node, kernel, (height, width), ceil)
    shape = _shape(channels, window.output_size(height, width), len(value.shape))
    return PendingMaxPool(
        origin=node.origin, own_shape=shape, shape=shape, source=value, window=window
    )


def average_pool(node: Node, builder: Builder) -> Pending:
    """AveragePool, with or without its padding in the mean."""
    pending = builder.symbol(node, 0)
    if isinstance(pending, Pending):
        size = image_of(node, builder, pending)[1:]
        return _split_mean(node, builder, pending, window_of(node, _kernel(node), size))
    value = builder.real(node, 0)
    source, rank = _image(node, builder, value)
    ceil = node.integer("ceil_mode", 0) != 0
    include_pad = node.integer("count_include_pad", 0) != 0
    window = _window(node, builder, source, _kernel(node), ceil)
    if ceil and include_pad and window != _window(node, builder, source, _kernel(node), False):
        raise ModelError(
            "attributes 'ceil_mode' and 'count_include_pad' together are supported only where no "
            "window is incomplete: set one of them to 0",
            at=node,
        )
    return _average(node, builder, source, window, rank, include_pad, inside=True)


def global_average_pool(node: Node, builder: Builder) -> Pending:
    """GlobalAveragePool: a window of the whole image."""
    pending = builder.symbol(node, 0)
    if isinstance(pending, Pending):
        size = image_of(node, builder, pending)[1:]
        return _split_mean(node, builder, pending, Window(kernel=size))
    value = builder.real(node, 0)
    source, rank = _image(node, builder, value)
    window = _window(node, builder, source, None, False)
    return _average(node, builder, source, window, rank, False, inside=False)


def reduce_mean(node: Node, builder: Builder) -> Pending:
    """ReduceMean over spatial axes: a window of the whole height, width or both."""
    value = builder.symbol(node, 0)
    if not isinstance(value, Pending):
        value = builder.real(node, 0)
    rank = len(value.shape)
    axes = sorted({axis % rank for axis in _axes(node, builder, rank)})
    perm = _channels_first(builder, value, axes)
    if perm is None or not axes:
        raise ModelError(
            f"mean over axes {axes} of {list(value.shape)}",
            remedy="the spatial axes (from 2 on) are supported",
            at=node,
        )
    shape = tuple(value.shape[axis] for axis in perm)
    spatial = tuple(perm.index(axis) for axis in axes)
    height, width = shape[-2] if rank == 4 else 1, shape[-1]
    rows, columns = rank == 4 and 2 in spatial, rank - 1 in spatial
    window = Window(kernel=(height if rows else 1, width if columns else 1))
    if isinstance(value, Pending):
        pending = _split_mean(node, builder, value, window)
    else:
        order = transposed(value.order, value.shape, perm)
        source = image(builder, node, replace(value, shape=shape, order=order))
        pending = _average(node, builder, source, window, rank, False, inside=False)
    reduced = tuple(1 if axis in spatial else size for axis, size in enumerate(shape))
    back = tuple(int(axis) for axis in np.argsort(perm))
    kept: Shape = tuple(reduced[axis] for axis in back)
    if not node.integer("keepdims", 1):
        kept = tuple(size for axis, size in enumerate(kept) if axis not in axes)
    return replace(pending, shape=kept, order=transposed(None, reduced, back))


def _channels_first(
    builder: Builder, value: Real | Pending, axes: list[int]
) -> tuple[int, ...] | None:
    """A permutation of the view with its channels, which no mean may take in, on the second place.

    First choice is the one that brings the tensor's own order back.
    """
    rank = len(value.shape)
    if rank not in (3, 4):
        return None
    choices: list[tuple[int, ...]] = [tuple(range(rank))]
    if isinstance(value, Real):
        own = (1, *builder.tensors[value.tensor].shape)
        found = [perm for perm in arrangements(value.order, value.shape, own) if 1 in perm]
        choices[:0] = [tuple(int(axis) for axis in np.argsort(perm)) for perm in found]
        if value.order is not None or value.tensor in builder.hosts:  # the host may turn it
            others = [axis for axis in range(2, rank) if axis not in axes]
            choices += [(0, c, *(a for a in range(1, rank) if a != c)) for c in others]
    elif value.order is not None:
        return None
    return next((perm for perm in choices if perm[1] not in axes and 0 not in axes), None)


def _axes(node: Node, builder: Builder, rank: int) -> tuple[int, ...]:
    axes = node.integers("axes")
    if axes is None and node.input(1):
        value = builder.symbol(node, 1)
        if not isinstance(value, Constant) or value.array.dtype.kind != "i":
            raise ModelError(f"axes {node.input(1)!r} must be constant integers", at=node)
        axes = tuple(int(axis) for axis in value.array.reshape(-1))
    if not axes:
        return tuple(range(rank))
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"axes {list(axes)} do not exist in {rank} dimensions", at=node)
    return axes


def _average(
    node: Node,
    builder: Builder,
    source: str,
    window: Window,
    rank: int,
    include_pad: bool,
    inside: bool,
) -> PendingAverage:
    channels, height, width = builder.tensors[source].shape
    shape = _shape(channels, window.output_size(height, width), rank)
    return PendingAverage(
        origin=node.origin,
        own_shape=(1, channels, *window.output_size(height, width)),
        shape=shape,
        source=source,
        window=window,
        include_pad=include_pad,
        inside=inside,
    )


def _split_mean(node: Node, builder: Builder, value: Pending, window: Window) -> Pending:
    """A mean of values that are not quantised."""
    channels, height, width = image_of(node, builder, value)
    if any(window.pads):
        raise ModelError(
            "a mean with padding of values that are not quantised",
            remedy=f"put QuantizeLinear and DequantizeLinear between node {value.origin.name!r} "
            "and this one",
            at=node,
        )
    shape = _shape(channels, window.output_size(height, width), len(value.shape))
    return PendingSplitMean(
        origin=node.origin, own_shape=shape, shape=shape, source=value, window=window
    )


def image_of(node: Node, builder: Builder, value: Pending) -> tuple[int, int, int]:
    """[C, H, W] of a value that is not quantised yet. Raises ModelError for a view of one."""
    image = chw(value.own_shape)
    if value.order is not None or value.shape != value.own_shape or image is None:
        raise ModelError(
            f"input {node.input(0)!r} is reshaped or transposed without being quantised: put "
            f"QuantizeLinear and DequantizeLinear between node {value.origin.name!r} and this one",
            at=node,
        )
    return image


def _kernel(node: Node) -> tuple[int, ...]:
    kernel = node.integers("kernel_shape")
    if kernel is None:
        raise ModelError("attribute 'kernel_shape' is missing", at=node)
    return kernel


def _image(node: Node, builder: Builder, value: Real | Codes) -> tuple[str, int]:
    rank = len(value.shape)
    if rank not in (3, 4):
        raise ModelError(
            f"input of shape {list(value.shape)}",
            remedy="one or two spatial dimensions are supported",
            at=node,
        )
    return image(builder, node, value), rank


def _window(
    node: Node, builder: Builder, source: str, kernel: tuple[int, ...] | None, ceil: bool
) -> Window:
    height, width = builder.tensors[source].shape[1:]
    if kernel is None:
        return Window(kernel=(height, width))
    return window_of(node, kernel, (height, width), ceil)


def _shape(channels: int, out: tuple[int, int], rank: int) -> Shape:
    return (1, channels, *out) if rank == 4 else (1, channels, out[1])
