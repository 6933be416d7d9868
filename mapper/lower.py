"""Operators to steps: how each operator of the graph becomes loop nests of one engine."""

from collections.abc import Iterator

import numpy as np

from weft.mapper import pack, widths
from weft.mapper.nest import Part, append, append_window, loops_of, window_read, write_of
from weft.mapper.plan import Axis, Moves, Output, Params, Read, Unit, VectorOp
from weft.mapper.program import Program, Span
from weft.nn.errors import ModelError
from weft.nn.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Graph,
    MaxPool,
    Operator,
    Rescale,
    Scaling,
    Window,
)

PAIR_SHIFT = 16
"""Bit at which a pair's second operand sits in the accumulator."""


def lower(program: Program, operator: Operator) -> None:
    """Append the steps of one operator."""
    span = Span(tensor=program.graph.tensor(operator.output))
    match operator:
        case Conv() if _depthwise(program.graph, operator):
            _lower_depthwise(program, operator, span)
        case Conv():
            _lower_conv(program, operator, span)
        case MaxPool():
            _lower_max_pool(program, operator, span)
        case AveragePool():
            _lower_average_pool(program, operator, span)
        case Add():
            _lower_add(program, operator, span)
        case Rescale():
            _lower_copy(program, operator, operator.input, operator.scaling, span)
        case Concat():
            channel = 0
            for part, scaling in zip(operator.parts, operator.scalings, strict=True):
                _lower_copy(
                    program, operator, part, scaling, Span(tensor=span.tensor, channel=channel)
                )
                channel += program.graph.tensor(part).shape[0]
        case _:
            raise ModelError(
                f"node {operator.name!r}: {operator.type} is not an operator of the engine"
            )


def _depthwise(graph: Graph, conv: Conv) -> bool:
    channels = graph.tensor(conv.input).shape[0]
    return conv.groups == channels == conv.weight.shape[0] and channels > 1


def _lower_conv(program: Program, conv: Conv, span: Span) -> None:
    engine = program.engine
    tensor = program.graph.tensor(conv.input)
    n_out = conv.weight.shape[0]
    first = span.channel % engine.array_requant
    words = engine.words(tensor.shape[0])
    write = write_of(program, span, n_out, Unit.ARRAY)
    height, width = conv.window.output_size(*tensor.shape[1:])
    loops = loops_of(
        program,
        write,
        rows=height,
        cols=width,
        tiles=-(-(first + n_out) // engine.columns),
        kernel=conv.window.kernel,
        words=words,
    )
    append(
        program,
        conv,
        unit=Unit.ARRAY,
        vector_op=VectorOp.MAC,
        loops=loops,
        read=window_read(program, tensor, conv.window, tensor.zero_point, Unit.ARRAY),
        write=write,
        output=Output(zero_point=span.tensor.zero_point, low=conv.low, high=conv.high),
        weight_base=program.add_weights(
            loops.tiles * loops.taps,
            lambda: pack.array_weights(
                pack.dense(conv.weight, conv.groups), engine.lanes, engine.columns, first
            ),
        ),
        param_base=program.add_params(
            Unit.ARRAY, n_out, lambda: widths.bias_of(conv, tensor), conv.scaling, first
        ),
    )


def _lower_depthwise(program: Program, conv: Conv, span: Span) -> None:
    tensor = program.graph.tensor(conv.input)
    append_window(
        program,
        conv,
        span,
        tensor=tensor,
        vector_op=VectorOp.MAC,
        window=conv.window,
        pad_value=tensor.zero_point,
        weight=conv.weight,
        param_base=program.add_params(
            Unit.VECTOR, len(conv.bias), lambda: widths.bias_of(conv, tensor), conv.scaling, 0
        ),
    )


def _lower_max_pool(program: Program, pool: MaxPool, span: Span) -> None:
    tensor = program.graph.tensor(pool.input)
    append_window(
        program,
        pool,
        span,
        tensor=tensor,
        vector_op=VectorOp.MAX,
        window=pool.window,
        pad_value=-128,
        param_base=_shared_params(program, -tensor.zero_point, _one()),
    )


def _lower_average_pool(program: Program, pool: AveragePool, span: Span) -> None:
    """One step for each rectangle of outputs that average the same number of elements."""
    tensor = program.graph.tensor(pool.input)
    window = pool.window
    kh, kw = window.kernel
    bias = -tensor.zero_point * kh * kw
    bases = {
        count: _shared_params(program, bias, scaling)
        for count, scaling in zip(pool.counts, pool.scalings, strict=True)
    }
    axes = (0, 1)
    runs = [list(_runs(window, axis, tensor.shape[1 + axis], pool.include_pad)) for axis in axes]
    for y0, rows, y_count in runs[0]:
        for x0, cols, x_count in runs[1]:
            append_window(
                program,
                pool,
                span,
                tensor=tensor,
                vector_op=VectorOp.SUM,
                window=window,
                pad_value=tensor.zero_point,
                param_base=bases[y_count * x_count],
                part=Part(y0=y0, x0=x0, rows=rows, cols=cols),
                odd=pool.zero_point_inside and bool(span.tensor.zero_point % 2),
            )


def _runs(
    window: Window, axis: int, size: int, include_pad: bool
) -> Iterator[tuple[int, int, int]]:
    """(first output, number of outputs, elements averaged) of equal neighbours on one axis."""
    kernel, stride = window.kernel[axis], window.stride[axis]
    before, dilation = window.pads[axis], window.dilation[axis]
    n_out = window.output_size(size, size)[axis]
    counts = []
    for out in range(n_out):
        taps = [out * stride - before + tap * dilation for tap in range(kernel)]
        inside = sum(0 <= position < size for position in taps)
        counts.append(kernel if include_pad else inside)
    first = 0
    for out in range(1, n_out + 1):
        if out == n_out or counts[out] != counts[first]:
            yield first, out - first, counts[first]
            first = out


def _lower_add(program: Program, add: Add, span: Span) -> None:
    """Both operands of a word are read one after the other into the halves of the accumulator."""
    place_a, place_b = program.place(add.a), program.place(add.b)
    assert place_a.bank == place_b.bank
    channels, height, width = span.tensor.shape
    words = program.engine.words(channels)
    write = write_of(program, span, channels, Unit.VECTOR)
    append(
        program,
        add,
        unit=Unit.VECTOR,
        vector_op=VectorOp.PAIR,
        loops=loops_of(
            program, write, rows=height, cols=width, tiles=words, kernel=(1, 2), words=1
        ),
        read=Read(
            bank=place_a.bank,
            base=place_a.base,
            moves=Moves(
                row=width * words, col=words, tile=1, kernel_col=place_b.base - place_a.base
            ),
            y=Axis(move=1, size=height),
            x=Axis(move=1, size=width),
            pad_value=0,
        ),
        write=write,
        output=Output(
            zero_point=span.tensor.zero_point,
            low=add.low,
            high=add.high,
            shared=True,
            pair=True,
            odd=bool(span.tensor.zero_point % 2),
            multiplier=add.multipliers[1],
        ),
        weight_base=0,
        param_base=program.append_params(Unit.VECTOR, 1, lambda: _pair_params(program, add)),
    )


def _pair_params(program: Program, add: Add) -> Params:
    """The first operand's factor, and both zero points at their places in the accumulator."""
    a, b = program.graph.tensor(add.a), program.graph.tensor(add.b)
    bias = pack.BIAS_OFFSET - a.zero_point - (b.zero_point << PAIR_SHIFT)
    shape = (1, program.engine.vector_requant)
    return Params(
        bias=np.full(shape, bias, np.int64),
        factor=np.full(shape, add.multipliers[0], np.int64),
        shift=np.full(shape, pack.POINTS.index(add.shift), np.int64),
    )


def _lower_copy(
    program: Program, operator: Operator, name: str, scaling: Scaling, span: Span
) -> None:
    """A tensor rescaled into (part of) another one."""
    tensor = program.graph.tensor(name)
    if span.channel % program.engine.vector_requant == 0:
        append_window(
            program,
            operator,
            span,
            tensor=tensor,
            vector_op=VectorOp.SUM,
            window=Window(kernel=(1, 1)),
            pad_value=0,
            param_base=_shared_params(program, -tensor.zero_point, scaling),
        )
        return
    # The array can move channels to any lane: a 1x1 convolution whose weights are the identity.
    channels = tensor.shape[0]
    identity = np.eye(channels, dtype=np.int16).reshape(channels, channels, 1, 1)
    conv = Conv(
        name=operator.name,
        output=operator.output,
        low=operator.low,
        high=operator.high,
        input=name,
        weight=identity,
        bias=np.zeros(channels, dtype=np.int64),
        scaling=scaling,
        window=Window(kernel=(1, 1)),
    )
    _lower_conv(program, conv, span)


def _one() -> Scaling:
    return Scaling(mantissa=np.array([1 << 23]), shift=np.array([23]))


def _shared_params(program: Program, bias: int, scaling: Scaling) -> int:
    """Parameters that all channels share: one word of R equal entries."""
    lanes = program.engine.vector_requant
    return program.add_params(
        Unit.VECTOR, lanes, lambda: np.full(lanes, bias, dtype=np.int64), scaling, 0
    )
