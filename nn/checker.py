"""Rules that every graph keeps; run after every pass. A broken rule is a bug of weft's own."""

from collections import Counter
from collections.abc import Mapping

from weft.nn.graph import (
    CODE_MAX,
    CODE_MIN,
    Add,
    AveragePool,
    Concat,
    Conv,
    Graph,
    MaxPool,
    Move,
    Mul,
    Operator,
    Rescale,
    Reshape,
    Scaling,
    Tensor,
    Window,
)
from weft.nn.reference import window_counts

Tensors = Mapping[str, Tensor]
ADD_SHIFTS = (24, 32, 40, 48, 56)


def check(graph: Graph) -> None:
    """Raise ValueError where the graph breaks a rule."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    _unique("tensor", [tensor.name for tensor in graph.tensors])
    _unique("operator", [operator.name for operator in graph.operators])
    _need(bool(graph.inputs) and bool(graph.outputs), "a graph has inputs and outputs")
    written = {edge.tensor for edge in graph.inputs}
    _need(len(written) == len(graph.inputs), "each input edge has a tensor of its own")
    for operator in graph.operators:
        for name in operator.inputs:
            _need(name in written, f"{operator.name!r} reads {name!r} before it is written")
        _need(operator.output in tensors, f"{operator.name!r} writes an unknown tensor")
        _need(operator.output not in written, f"{operator.output!r} is written twice")
        written.add(operator.output)
        _check_operator(operator, tensors)
    _need(written == set(tensors), f"tensors nobody writes: {sorted(set(tensors) - written)}")
    for edge in graph.outputs:
        _need(edge.tensor in written, f"output {edge.name!r} reads unknown {edge.tensor!r}")


def _need(condition: bool, rule: str) -> None:
    if not condition:
        raise ValueError(rule)


def _unique(kind: str, names: list[str]) -> None:
    for name, count in Counter(names).items():
        _need(count == 1, f"{kind} name {name!r} is not unique")


def _check_operator(operator: Operator, tensors: Tensors) -> None:
    name, output = operator.name, tensors[operator.output]
    low, high = operator.low, operator.high
    _need(CODE_MIN <= low <= high <= CODE_MAX, f"{name!r}: clamp {low}..{high}")
    match operator:
        case Conv():
            _check_conv(operator, tensors)
        case Add():
            _need(
                tensors[operator.a].shape == tensors[operator.b].shape == output.shape,
                f"{name!r}: shapes of an Add differ",
            )
            _need(operator.shift in ADD_SHIFTS, f"{name!r}: shift {operator.shift}")
            first, second = operator.multipliers
            _need(0 <= first < 1 << 32 and abs(second) < 1 << 32, f"{name!r}: multipliers")
        case Mul():
            a, b = tensors[operator.a].shape, tensors[operator.b].shape
            _need(a == output.shape, f"{name!r}: shapes of a Mul differ")
            _need(b in (a, (a[0], 1, 1)), f"{name!r}: shapes of a Mul's factors")
            _check_scaling(name, operator.scaling, 1)
        case MaxPool():
            source = tensors[operator.input]
            same = (source.scale, source.zero_point) == (output.scale, output.zero_point)
            _need(same, f"{name!r}: a MaxPool keeps scale and zero point")
            _check_pool(name, operator.window, source, output)
        case AveragePool():
            _check_average(operator, tensors)
        case Rescale():
            _need(tensors[operator.input].shape == output.shape, f"{name!r}: shapes differ")
            _check_scaling(name, operator.scaling, 1)
        case Concat():
            _check_concat(operator, tensors)
        case Move():
            _check_move(operator, tensors)
        case Reshape():
            source = tensors[operator.input]
            _need(
                source.replace(name="", shape=output.shape) == output.replace(name=""),
                f"{name!r}: a Reshape keeps scale and zero point",
            )
            _need(_size(source) == _size(output), f"{name!r}: a Reshape keeps the elements")
            _need((low, high) == (CODE_MIN, CODE_MAX), f"{name!r}: a Reshape does not clamp")
        case _:
            raise ValueError(f"{name!r}: unknown operator {operator.type}")


def _check_conv(operator: Conv, tensors: Tensors) -> None:
    name, source, output = operator.name, tensors[operator.input], tensors[operator.output]
    c_out, per_group, kh, kw = operator.weight.shape
    _need(operator.weight.dtype == "int16", f"{name!r}: weights must be int16")
    _need(abs(operator.weight.astype(int)).max() <= 255, f"{name!r}: weights beyond 9 bits")
    _need(operator.bias.dtype == "int64" and operator.bias.shape == (c_out,), f"{name!r}: bias")
    _need(
        operator.groups >= 1
        and c_out % operator.groups == 0
        and source.shape[0] == per_group * operator.groups,
        f"{name!r}: channels and groups do not fit",
    )
    _need(operator.window.kernel == (kh, kw), f"{name!r}: kernel and weights differ")
    _need(output.shape[0] == c_out, f"{name!r}: output channels")
    plain = operator.window.stretch == (1, 1) or operator.window.stride == (1, 1)
    _need(plain, f"{name!r}: a window both stretched and with strides")
    _check_window(
        name, operator.window, source.replace(shape=output.shape[:1] + source.shape[1:]), output
    )
    _check_scaling(name, operator.scaling, c_out)


def _check_average(operator: AveragePool, tensors: Tensors) -> None:
    name, source, output = operator.name, tensors[operator.input], tensors[operator.output]
    _check_pool(name, operator.window, source, output)
    _need(len(operator.counts) == len(operator.scalings) > 0, f"{name!r}: one scaling per count")
    for scaling in operator.scalings:
        _check_scaling(name, scaling, 1)
    counts = set(window_counts(operator, *source.shape[1:]).reshape(-1).tolist())
    _need(counts == set(operator.counts) and 0 not in counts, f"{name!r}: counts {counts}")


def _check_concat(operator: Concat, tensors: Tensors) -> None:
    name, output = operator.name, tensors[operator.output]
    parts = [tensors[part] for part in operator.parts]
    _need(len(parts) == len(operator.scalings) > 0, f"{name!r}: one scaling per part")
    for scaling in operator.scalings:
        _check_scaling(name, scaling, 1)
    axis = operator.axis
    _need(axis in (0, 1, 2), f"{name!r}: axis {axis}")
    others = {part.shape[:axis] + part.shape[axis + 1 :] for part in (*parts, output)}
    _need(len(others) == 1, f"{name!r}: sizes beside the axis")
    total = sum(part.shape[axis] for part in parts)
    _need(total == output.shape[axis], f"{name!r}: sizes along the axis")


def _check_move(operator: Move, tensors: Tensors) -> None:
    name, source, output = operator.name, tensors[operator.input], tensors[operator.output]
    size = source.shape[:0:-1] if operator.swap else source.shape[1:]
    same = (source.scale, source.zero_point) == (output.scale, output.zero_point)
    _need(same, f"{name!r}: a Move keeps scale and zero point")
    shape = (source.shape[0], len(operator.rows), len(operator.cols))
    _need(output.shape == shape, f"{name!r}: shape {output.shape}, rows and columns give {shape}")
    for places, length in zip((operator.rows, operator.cols), size, strict=True):
        inside = all(-1 <= place < length for place in places)
        _need(inside, f"{name!r}: rows or columns outside the image")
    _need(CODE_MIN <= operator.fill <= CODE_MAX, f"{name!r}: fill {operator.fill}")
    filled = min(*operator.rows, *operator.cols) < 0
    _need(not (operator.swap and filled), f"{name!r}: both swaps and fills")


def _check_pool(name: str, window: Window, source: Tensor, output: Tensor) -> None:
    plain = window.stretch == (1, 1) and min(window.pads) >= 0
    _need(plain, f"{name!r}: a pool neither stretches nor cuts")
    _check_window(name, window, source, output)


def _check_window(name: str, window: Window, source: Tensor, output: Tensor) -> None:
    expected = (source.shape[0], *window.output_size(*source.shape[1:]))
    _need(expected == output.shape, f"{name!r}: shape {output.shape}, window gives {expected}")


def _check_scaling(name: str, scaling: Scaling, channels: int) -> None:
    _need(scaling.mantissa.size in (1, channels), f"{name!r}: {scaling.mantissa.size} scalings")


def _size(tensor: Tensor) -> int:
    channels, height, width = tensor.shape
    return channels * height * width
