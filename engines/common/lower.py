"""Operators to steps: how each operator of the graph becomes loop nests of one engine."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from weft.engines.common import pack, widths
from weft.engines.common.move import lower_move
from weft.engines.common.nest import append, append_window, loops_of, window_read, write_of
from weft.engines.common.phases import phases
from weft.engines.common.program import Program, Span
from weft.errors import ModelError
from weft.machine.engine import Unit
from weft.machine.plan import Axis, Moves, Output, Params, Read, VectorOp
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import Scaling
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.mul import Mul
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.window import Window

PAIR_SHIFT = 16
"""Bit at which a pair's second operand sits in the accumulator."""


OPERATORS = (Conv, MaxPool, AveragePool, Add, Mul, Rescale, Concat, Move)


def supports(operator: Operator) -> str | None:
    """None if ``lower`` takes the operator, else why not."""
    if isinstance(operator, OPERATORS):
        return None
    return f"{operator.type} is not an operator of the engine"


def lower(program: Program, operator: Operator) -> None:
    """Append the steps of one operator."""
    span = Span(tensor=program.graph.tensor(operator.output))
    match operator:
        case Conv():
            _lower_phases(program, operator, span)
        case MaxPool():
            _lower_max_pool(program, operator, span)
        case AveragePool():
            _lower_average_pool(program, operator, span)
        case Add():
            _lower_add(program, operator, span)
        case Mul():
            _lower_mul(program, operator, span)
        case Rescale():
            _lower_copy(program, operator, operator.input, operator.scaling, span)
        case Concat():
            begin = 0
            for part, scaling in zip(operator.parts, operator.scalings, strict=True):
                there = replace(span, **{("channel", "y0", "x0")[operator.axis]: begin})
                _lower_copy(program, operator, part, scaling, there)
                begin += program.graph.tensor(part).shape[operator.axis]
        case Move():
            zero_point = span.tensor.zero_point
            lower_move(program, operator, _shared_params(program, -zero_point, _one()))
        case _:
            raise ModelError(f"node {operator.name!r}: {supports(operator)}")


def depthwise(graph: Graph, conv: Conv) -> bool:
    """Whether a convolution is the vector unit's: each channel with a kernel of its own."""
    channels = graph.tensor(conv.input).shape[0]
    return conv.groups == channels == conv.weight.shape[0] and channels > 1


def _lower_phases(program: Program, conv: Conv, span: Span) -> None:
    """One step, or as many as the image is stretched; each writes some rows and columns."""
    _, height, width = program.graph.tensor(conv.input).shape
    y_step, x_step = conv.window.stretch
    for phase in phases(conv, height, width):
        there = replace(span, y0=phase.y0, x0=phase.x0, y_step=y_step, x_step=x_step)
        channels = _copied(program, phase.conv)
        if channels is not None:
            _lower_channels(program, phase.conv, there, channels)
        elif depthwise(program.graph, conv):
            _lower_depthwise(program, phase.conv, there)
        else:
            _lower_conv(program, phase.conv, there)


def _copied(program: Program, conv: Conv) -> range | None:
    """The channels that a convolution only copies; None where the vector unit could not, since they
    do not follow each other from the start of a word on."""
    tensor = program.graph.tensor(conv.input)
    same = tensor.zero_point == program.graph.tensor(conv.output).zero_point
    if not same or conv.groups != 1 or conv.window.kernel != (1, 1) or conv.window.stride != (1, 1):
        return None
    if not unscaled(conv):
        return None
    channels, weight = len(conv.weight), conv.weight[:, :, 0, 0]
    first = int(weight[0].argmax())
    plain = np.eye(channels, weight.shape[1], first, np.int16)
    if first % program.engine.lanes or not np.array_equal(weight, plain):
        return None
    return range(first, first + channels)


def unscaled(conv: Conv) -> bool:
    """Whether the weighted sums are the results: no bias, and all factors are 1."""
    one = conv.scaling.mantissa == 1 << 23, conv.scaling.shift == 23
    return not conv.bias.any() and all(bool(np.all(part)) for part in one)


def _lower_channels(program: Program, conv: Conv, span: Span, channels: range) -> None:
    """Some channels of a tensor, as they are."""
    tensor = program.graph.tensor(conv.input)
    append_window(
        program,
        conv,
        span,
        tensor=tensor,
        vector_op=VectorOp.SUM,
        window=conv.window,
        pad_value=tensor.zero_point,
        param_base=_shared_params(program, -tensor.zero_point, _one()),
        channels=channels,
    )


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
    for y0, y_pads, y_count in runs[0]:
        for x0, x_pads, x_count in runs[1]:
            append_window(
                program,
                pool,
                replace(span, y0=y0, x0=x0),
                tensor=tensor,
                vector_op=VectorOp.SUM,
                window=window.replace(pads=(y_pads[0], x_pads[0], y_pads[1], x_pads[1])),
                pad_value=tensor.zero_point,
                param_base=bases[y_count * x_count],
                odd=pool.zero_point_inside and bool(span.tensor.zero_point % 2),
            )


def _runs(
    window: Window, axis: int, size: int, include_pad: bool
) -> Iterator[tuple[int, tuple[int, int], int]]:
    """(first output, pads of the window over all of them, elements averaged) of equal neighbours
    on one axis."""
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
            begin = before - first * stride
            reach = (out - first - 1) * stride + dilation * (kernel - 1) + 1
            yield first, (begin, reach - size - begin), counts[first]
            first = out


def _lower_add(program: Program, add: Add, span: Span) -> None:
    """Both operands of a word are read one after the other into the halves of the accumulator."""
    output = Output(
        zero_point=span.tensor.zero_point,
        low=add.low,
        high=add.high,
        shared=True,
        pair=True,
        odd=add.zero_point_inside and bool(span.tensor.zero_point % 2),
        minus=add.multipliers[1] < 0,
        multiplier=abs(add.multipliers[1]),
    )
    params = program.append_params(Unit.VECTOR, 1, lambda: _pair_params(program, add))
    _append_two(program, add, span, VectorOp.PAIR, output, params)


def _lower_mul(program: Program, mul: Mul, span: Span) -> None:
    """Both factors of a word are read one after the other; a gate's word first."""
    zeros = [program.graph.tensor(name).zero_point for name in mul.inputs]
    gate = program.graph.tensor(mul.b).shape != span.tensor.shape
    output = Output(
        zero_point=span.tensor.zero_point,
        low=mul.low,
        high=mul.high,
        shared=True,
        odd=bool(span.tensor.zero_point % 2),
        zeros=(zeros[1], zeros[0]) if gate else (zeros[0], zeros[1]),
    )
    params = _shared_params(program, 0, mul.scaling)
    _append_two(program, mul, span, VectorOp.PRODUCT, output, params, gate=gate)


def _append_two(
    program: Program,
    operator: Add | Mul,
    span: Span,
    vector_op: VectorOp,
    output: Output,
    param_base: int,
    *,
    gate: bool = False,
) -> None:
    """A step that reads a word of either operand for each of the output's.

    gate: the second operand has one pixel, whose words are read before the first one's.
    """
    place_a, place_b = program.place(operator.a), program.place(operator.b)
    assert place_a.bank == place_b.bank
    channels, height, width = span.tensor.shape
    words = program.engine.words(channels)
    write = write_of(program, span, channels, Unit.VECTOR)
    apart = 0 if gate else place_b.base - place_a.base
    append(
        program,
        operator,
        unit=Unit.VECTOR,
        vector_op=vector_op,
        loops=loops_of(
            program, write, rows=height, cols=width, tiles=words, kernel=(1, 2), words=1
        ),
        read=Read(
            bank=place_a.bank,
            base=place_a.base,
            moves=Moves(row=width * words, col=words, tile=1, kernel_col=apart),
            y=Axis(move=1, size=height),
            x=Axis(move=1, size=width),
            pad_value=0,
            stay=place_b.base if gate else None,
        ),
        write=write,
        output=output,
        weight_base=0,
        param_base=param_base,
    )


def _pair_params(program: Program, add: Add) -> Params:
    """The first operand's factor, and both zero points at their places in the accumulator.

    A second one that is subtracted comes as ``-code - 1``.
    """
    a, b = program.graph.tensor(add.a), program.graph.tensor(add.b)
    above = -b.zero_point if add.multipliers[1] >= 0 else b.zero_point + 1
    bias = pack.BIAS_OFFSET - a.zero_point + (above << PAIR_SHIFT)
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
        origins=operator.origins,
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
