"""Pools, Add, Concat, Relu and Clip: the vector unit's work."""

from dataclasses import dataclass, replace

import numpy as np

from weft.nn.builder import Builder
from weft.nn.errors import ModelError
from weft.nn.factors import add_factors, average_factor, rescale_scaling
from weft.nn.graph import Add, AveragePool, Concat, MaxPool, Operator, Tensor, Window
from weft.nn.numerics import scaling_of
from weft.nn.onnx_model import Node
from weft.nn.qdq_array import PendingConv, add_bias
from weft.nn.qdq_window import window_of
from weft.nn.reference import window_counts
from weft.nn.symbols import (
    NO_CLIP,
    Codes,
    Constant,
    Pending,
    Quantisation,
    QuantisedConstant,
    Real,
    Shape,
    Symbol,
)


@dataclass(frozen=True, kw_only=True)
class PendingAdd(Pending):
    """A sum of two tensors."""

    a: str
    b: str

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        a, b = builder.quantisations[self.a], builder.quantisations[self.b]
        clamp = self.codes_range(result)
        factors = add_factors(a, b, result, **clamp)
        if factors is None:
            raise ModelError(
                f"node {self.node!r} ({self.op}): an input's scale is 256 or more times the "
                "output's scale; less is supported"
            )
        multipliers, shift, wrong = factors
        if wrong:
            builder.notes.append(
                f"{self.node}: {wrong} of 65536 pairs of codes are added differently from "
                "ONNX Runtime"
            )
        return Add(
            name=self.node,
            output=output.name,
            a=self.a,
            b=self.b,
            multipliers=multipliers,
            shift=shift,
            **clamp,
        )


@dataclass(frozen=True, kw_only=True)
class PendingAverage(Pending):
    """A mean over a window. inside: the zero point belongs inside the rounding."""

    source: str
    window: Window
    include_pad: bool
    inside: bool

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        x = builder.quantisations[self.source]
        pool = AveragePool(
            name=self.node,
            output=output.name,
            input=self.source,
            window=self.window,
            counts=(),
            scalings=(),
            include_pad=self.include_pad,
            zero_point_inside=self.inside and bool(result.zero_point & 1),
            **self.codes_range(result),
        )
        sizes = window_counts(pool, *builder.tensors[self.source].shape[1:])
        counts = tuple(int(count) for count in np.unique(sizes))
        if counts[0] == 0:
            raise ModelError(
                f"node {self.node!r} ({self.op}): a window lies wholly in the padding; use less "
                "padding"
            )
        factors = [average_factor(x, count, result) for count in counts]
        if not all(np.isfinite(factor) for factor in factors):
            raise ModelError(
                f"node {self.node!r} ({self.op}): the scale factor s_x / s_y overflows float32"
            )
        return pool.replace(counts=counts, scalings=tuple(scaling_of(f) for f in factors))


@dataclass(frozen=True, kw_only=True)
class PendingConcat(Pending):
    """Tensors side by side along the channels."""

    parts: tuple[str, ...]

    def operator(self, builder: Builder, output: Tensor, result: Quantisation) -> Operator:
        clamp = self.codes_range(result)
        scalings = []
        for part in self.parts:
            scaling, wrong = rescale_scaling(builder.quantisations[part], result, **clamp)
            scalings.append(scaling)
            if wrong:
                builder.notes.append(
                    f"{self.node}: {wrong} of 256 codes of {part!r} are rescaled differently "
                    "from ONNX Runtime"
                )
        return Concat(
            name=self.node,
            output=output.name,
            parts=self.parts,
            scalings=tuple(scalings),
            **clamp,
        )


def relu(node: Node, builder: Builder) -> Symbol:
    """Relu becomes a clamp of the codes of the next QuantizeLinear."""
    return _clamp(node, builder, 0.0, np.inf)


def clip(node: Node, builder: Builder) -> Symbol:
    """Clip with constant bounds (Relu6 among them)."""
    if builder.opset < 11:
        low, high = node.number("min", -np.inf), node.number("max", np.inf)
    else:
        low, high = _bound(node, builder, 1, -np.inf), _bound(node, builder, 2, np.inf)
    if not low <= high:
        raise ModelError(f"{node}: min {low:g} and max {high:g}; min must not be above max")
    return _clamp(node, builder, low, high)


def _bound(node: Node, builder: Builder, index: int, default: float) -> float:
    if not node.input(index):
        return default
    value = builder.symbol(node, index)
    match value:
        case Constant() if value.array.size == 1 and value.array.dtype.kind in "fiu":
            return float(value.array.reshape(()))
        case QuantisedConstant() if value.codes.size == 1:
            return float(np.float32(value.real.reshape(())))
        case _:
            raise ModelError(f"{node}: bound {node.input(index)!r} must be one constant number")


def _clamp(node: Node, builder: Builder, low: float, high: float) -> Symbol:
    value = builder.symbol(node, 0)
    match value:
        case Real() | Pending():
            return replace(value, clip=value.clip.then(low, high), node=_owner(node, value))
        case Codes() | Constant():
            raise ModelError(
                f"{node}: clamps integer codes or constants; this form (QCDQ) is not supported "
                "yet: export as plain QDQ with 8-bit types"
            )
        case _:
            builder.real(node, 0)  # says what is wrong with it
            raise AssertionError("unreachable")


def _owner(node: Node, value: Real | Pending) -> str:
    """A clamped operator keeps its own name; a clamped tensor takes the Relu's."""
    return node.name if isinstance(value, Real) else value.node


def add(node: Node, builder: Builder) -> Pending:
    """Add of two activations, or of a bias to a convolution or MatMul."""
    left, right = builder.symbol(node, 0), builder.symbol(node, 1)
    constants = (Constant, QuantisedConstant)
    for first, second, index in ((left, right, 1), (right, left, 0)):
        if isinstance(second, constants):
            if isinstance(first, PendingConv) and first.clip == NO_CLIP:
                return add_bias(node, builder, first, index)
            raise ModelError(
                f"{node}: adds the constant {node.input(index)!r}; that is supported directly "
                "behind Conv or MatMul only, as a bias: fuse it there before quantisation"
            )
    a, b = builder.real(node, 0), builder.real(node, 1)
    if a.shape != b.shape:
        raise ModelError(
            f"{node}: inputs of shapes {list(a.shape)} and {list(b.shape)}; broadcasting is not "
            "supported, equal shapes are"
        )
    image = _own_shape(builder, a)
    if a.tensor != b.tensor and _own_shape(builder, b) != image:
        image = a.shape
        names = builder.image(node, a), builder.image(node, b)
    else:
        names = a.tensor, b.tensor
    return PendingAdd(
        node=node.name, op=node.op, own_shape=image, shape=a.shape, a=names[0], b=names[1]
    )


def _own_shape(builder: Builder, value: Real) -> Shape:
    return (1, *builder.tensors[value.tensor].shape)


def concat(node: Node, builder: Builder) -> Symbol:
    """Concat along the channels."""
    if all(isinstance(builder.symbol(node, i), Constant) for i in range(len(node.inputs))):
        raise ModelError(f"{node}: a Concat of constants is not supported; fold it beforehand")
    values = [builder.real(node, index) for index in range(len(node.inputs))]
    first = values[0].shape
    axis = node.integer("axis", 1)
    if not -len(first) <= axis < len(first) or axis % len(first) != 1:
        raise ModelError(f"{node}: attribute 'axis' = {axis} is not supported; 1 (the channels) is")
    if any(value.shape[2:] != first[2:] or len(value.shape) != len(first) for value in values):
        shapes = ", ".join(str(list(value.shape)) for value in values)
        raise ModelError(f"{node}: inputs of shapes {shapes}; only the channels may differ")
    shape = (1, sum(value.shape[1] for value in values), *first[2:])
    parts = tuple(builder.image(node, value) for value in values)
    return PendingConcat(node=node.name, op=node.op, own_shape=shape, shape=shape, parts=parts)


def max_pool(node: Node, builder: Builder) -> Symbol:
    """MaxPool of real values or of codes: the code's order is the value's."""
    kernel = _kernel(node)
    return _max_pool(node, builder, kernel, node.integer("ceil_mode", 0) != 0)


def global_max_pool(node: Node, builder: Builder) -> Symbol:
    """GlobalMaxPool: a window of the whole image."""
    return _max_pool(node, builder, None, False)


def _max_pool(node: Node, builder: Builder, kernel: tuple[int, ...] | None, ceil: bool) -> Symbol:
    value = builder.symbol(node, 0)
    if not isinstance(value, Codes):
        value = builder.real(node, 0)
    source, rank = _image(node, builder, value)
    window = _window(node, builder, source, kernel, ceil)
    tensor = builder.tensors[source]
    out = window.output_size(*tensor.shape[1:])
    name = f"{node.outputs[0]}_codes"
    output = tensor.replace(name=name, shape=(tensor.shape[0], *out))
    low, high = builder.ranges[source]
    operator = MaxPool(name=node.name, output=name, input=source, window=window)
    builder.add(operator, output, builder.quantisations[source])
    builder.ranges[name] = (low, high)
    return replace(value, tensor=name, shape=_shape(tensor.shape[0], out, rank))


def average_pool(node: Node, builder: Builder) -> PendingAverage:
    """AveragePool, with or without its padding in the mean."""
    value = builder.real(node, 0)
    source, rank = _image(node, builder, value)
    ceil = node.integer("ceil_mode", 0) != 0
    include_pad = node.integer("count_include_pad", 0) != 0
    window = _window(node, builder, source, _kernel(node), ceil)
    if ceil and include_pad and window != _window(node, builder, source, _kernel(node), False):
        raise ModelError(
            f"{node}: attributes 'ceil_mode' and 'count_include_pad' together are supported only "
            "where no window is incomplete: set one of them to 0"
        )
    return _average(node, builder, source, window, rank, include_pad, inside=True)


def global_average_pool(node: Node, builder: Builder) -> PendingAverage:
    """GlobalAveragePool: a window of the whole image."""
    value = builder.real(node, 0)
    source, rank = _image(node, builder, value)
    window = _window(node, builder, source, None, False)
    return _average(node, builder, source, window, rank, False, inside=False)


def reduce_mean(node: Node, builder: Builder) -> PendingAverage:
    """ReduceMean over spatial axes: a window of the whole height, width or both."""
    value = builder.real(node, 0)
    rank = len(value.shape)
    axes = sorted({axis % rank for axis in _axes(node, builder, rank)})
    if rank not in (3, 4) or not axes or min(axes) < 2:
        raise ModelError(
            f"{node}: mean over axes {axes} of {list(value.shape)}; the spatial axes "
            "(from 2 on) are supported"
        )
    source, _ = _image(node, builder, value)
    _, height, width = builder.tensors[source].shape
    rows = rank == 4 and 2 in axes
    columns = rank - 1 in axes
    window = Window(kernel=(height if rows else 1, width if columns else 1))
    pending = _average(node, builder, source, window, rank, False, inside=False)
    shape: Shape = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape))
    if not node.integer("keepdims", 1):
        shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    return replace(pending, shape=shape)


def _axes(node: Node, builder: Builder, rank: int) -> tuple[int, ...]:
    axes = node.integers("axes")
    if axes is None and node.input(1):
        value = builder.symbol(node, 1)
        if not isinstance(value, Constant) or value.array.dtype.kind != "i":
            raise ModelError(f"{node}: axes {node.input(1)!r} must be constant integers")
        axes = tuple(int(axis) for axis in value.array.reshape(-1))
    if not axes:
        return tuple(range(rank))
    if not all(-rank <= axis < rank for axis in axes):
        raise ModelError(f"{node}: axes {list(axes)} do not exist in {rank} dimensions")
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
        node=node.name,
        op=node.op,
        own_shape=(1, channels, *window.output_size(height, width)),
        shape=shape,
        source=source,
        window=window,
        include_pad=include_pad,
        inside=inside,
    )


def _kernel(node: Node) -> tuple[int, ...]:
    kernel = node.integers("kernel_shape")
    if kernel is None:
        raise ModelError(f"{node}: attribute 'kernel_shape' is missing")
    return kernel


def _image(node: Node, builder: Builder, value: Real | Codes) -> tuple[str, int]:
    rank = len(value.shape)
    if rank not in (3, 4):
        raise ModelError(
            f"{node}: input of shape {list(value.shape)}; one or two spatial dimensions "
            "are supported"
        )
    return builder.image(node, value), rank


def _window(
    node: Node, builder: Builder, source: str, kernel: tuple[int, ...] | None, ceil: bool
) -> Window:
    height, width = builder.tensors[source].shape[1:]
    if kernel is None:
        return Window(kernel=(height, width))
    return window_of(node, kernel, (height, width), ceil)


def _shape(channels: int, out: tuple[int, int], rank: int) -> Shape:
    return (1, channels, *out) if rank == 4 else (1, channels, out[1])
