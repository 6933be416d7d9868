"""Operators to steps: how each operator of the graph becomes loop nests of one engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from weft.mapper import pack
from weft.mapper.plan import (
    Axis,
    Engine,
    Images,
    Loops,
    Output,
    Read,
    Step,
    Unit,
    VectorOp,
    Write,
)
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
    Tensor,
    Window,
)

MAX_COUNT = 4095
"""Largest loop count and image size of the engine's 12-bit counters."""

PAIR_SHIFT = 16
"""Bit at which a pair's second operand sits in the accumulator."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where an operator writes: a tensor's buffer, from one of its channels on."""

    tensor: Tensor
    channel: int = 0


@dataclass
class Program:
    """Steps and images as they grow; addresses are filled in when the buffers have theirs."""

    graph: Graph
    engine: Engine
    base: Callable[[str], int]  # word address of a tensor's buffer
    steps: list[Step] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    vector: list[np.ndarray] = field(default_factory=list)
    params: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    weight_words: int = 0
    vector_words: int = 0
    param_words: int = 0
    accumulator_bits: int = 25
    weight_bits: int = 8

    def add_weights(self, words: np.ndarray) -> int:
        """Append array weight words; returns the address of the first."""
        self.weights.append(words)
        self.weight_words += len(words)
        self._fit_weights(words)
        return self.weight_words - len(words)

    def add_vector(self, words: np.ndarray) -> int:
        """Append vector weight words; returns the address of the first."""
        self.vector.append(words)
        self.vector_words += len(words)
        self._fit_weights(words)
        return self.vector_words - len(words)

    def add_params(self, bias: np.ndarray, scaling: Scaling, first: int = 0) -> int:
        """Append parameter words of consecutive channels; returns the address of the first."""
        words = pack.param_groups(bias, scaling, first, self.engine.requant_lanes)
        self.params.append(words)
        self.param_words += len(words[0])
        return self.param_words - len(words[0])

    def _fit_weights(self, words: np.ndarray) -> None:
        if words.size and (words.min() < -128 or words.max() > 127):
            self.weight_bits = 9

    def images(self) -> Images:
        """All memories' contents, concatenated."""
        k, n, r = self.engine.lanes, self.engine.columns, self.engine.requant_lanes
        columns = list(zip(*self.params, strict=True)) or [[], [], []]
        bias, factor, shift = (np.concatenate([np.zeros((0, r), np.int64), *c]) for c in columns)
        return Images(
            weights=np.concatenate([np.zeros((0, k, n), np.int16), *self.weights]),
            vector=np.concatenate([np.zeros((0, k), np.int16), *self.vector]),
            bias=bias,
            factor=factor,
            shift=shift.astype(np.int8),
        )


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
    weight = pack.dense(conv.weight, conv.groups) if conv.groups > 1 else conv.weight
    n_out = weight.shape[0]
    bias = conv.bias - tensor.zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    program.accumulator_bits = max(program.accumulator_bits, pack.accumulator_range(weight, bias))
    first = span.channel % engine.requant_lanes
    words = engine.words(tensor.shape[0])
    write = _write(program, span, n_out, Unit.ARRAY)
    height, width = conv.window.output_size(*tensor.shape[1:])
    loops = _loops(
        write,
        rows=height,
        cols=width,
        tiles=-(-(first + n_out) // engine.columns),
        kernel=conv.window.kernel,
        words=words,
    )
    _append(
        program,
        conv,
        unit=Unit.ARRAY,
        vector_op=VectorOp.MAC,
        loops=loops,
        read=_window_read(program, tensor, conv.window, tensor.zero_point, tile_move=0),
        write=write,
        output=Output(zero_point=span.tensor.zero_point, low=conv.low, high=conv.high),
        weight_base=program.add_weights(
            pack.array_weights(weight, engine.lanes, engine.columns, first)
        ),
        param_base=program.add_params(bias, conv.scaling, first),
    )


def _lower_depthwise(program: Program, conv: Conv, span: Span) -> None:
    tensor = program.graph.tensor(conv.input)
    bias = conv.bias - tensor.zero_point * conv.weight.astype(np.int64).sum(axis=(1, 2, 3))
    program.accumulator_bits = max(
        program.accumulator_bits, pack.accumulator_range(conv.weight, bias)
    )
    _append_window(
        program,
        conv,
        span,
        tensor=tensor,
        vector_op=VectorOp.MAC,
        window=conv.window,
        pad_value=tensor.zero_point,
        shared=False,
        weight_base=program.add_vector(pack.vector_weights(conv.weight, program.engine.lanes)),
        param_base=program.add_params(bias, conv.scaling),
    )


def _lower_max_pool(program: Program, pool: MaxPool, span: Span) -> None:
    tensor = program.graph.tensor(pool.input)
    _append_window(
        program,
        pool,
        span,
        tensor=tensor,
        vector_op=VectorOp.MAX,
        window=pool.window,
        pad_value=-128,
        shared=True,
        param_base=_shared_params(program, -tensor.zero_point, _one()),
    )


def _lower_average_pool(program: Program, pool: AveragePool, span: Span) -> None:
    """One step for each rectangle of outputs that average the same number of elements."""
    tensor = program.graph.tensor(pool.input)
    window = pool.window
    kh, kw = window.kernel
    bias = -tensor.zero_point * kh * kw
    program.accumulator_bits = max(
        program.accumulator_bits,
        pack.signed_bits(bias - 128 * kh * kw, bias + 127 * kh * kw + pack.BIAS_OFFSET),
    )
    bases = {
        count: _shared_params(program, bias, scaling)
        for count, scaling in zip(pool.counts, pool.scalings, strict=True)
    }
    axes = (0, 1)
    runs = [list(_runs(window, axis, tensor.shape[1 + axis], pool.include_pad)) for axis in axes]
    for y0, rows, y_count in runs[0]:
        for x0, cols, x_count in runs[1]:
            _append_window(
                program,
                pool,
                span,
                tensor=tensor,
                vector_op=VectorOp.SUM,
                window=window,
                pad_value=tensor.zero_point,
                shared=True,
                param_base=bases[y_count * x_count],
                part=(y0, x0, rows, cols),
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
    a, b = program.graph.tensor(add.a), program.graph.tensor(add.b)
    base_a, base_b = program.base(add.a), program.base(add.b)
    words = program.engine.words(a.shape[0])
    write = _write(program, span, a.shape[0], Unit.VECTOR)
    zero_points = -a.zero_point - (b.zero_point << PAIR_SHIFT)
    code = pack.POINTS.index(add.shift)
    values = np.array([zero_points + pack.BIAS_OFFSET]), np.array([add.multipliers[0]]), code
    program.params.append(
        tuple(  # type: ignore[arg-type]
            np.broadcast_to(v, (1, program.engine.requant_lanes)).astype(np.int64) for v in values
        )
    )
    program.param_words += 1
    _append(
        program,
        add,
        unit=Unit.VECTOR,
        vector_op=VectorOp.PAIR,
        loops=_loops(write, rows=a.shape[1], cols=a.shape[2], tiles=words, kernel=(1, 2), words=1),
        read=Read(
            base=base_a,
            moves=(a.shape[2] * words, words, 1, 0, base_b - base_a, 0),
            y=Axis(),
            x=Axis(),
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
        param_base=program.param_words - 1,
    )


def _lower_copy(
    program: Program, operator: Operator, name: str, scaling: Scaling, span: Span
) -> None:
    """A tensor rescaled into (part of) another one."""
    tensor = program.graph.tensor(name)
    if span.channel % program.engine.requant_lanes == 0:
        _append_window(
            program,
            operator,
            span,
            tensor=tensor,
            vector_op=VectorOp.SUM,
            window=Window(kernel=(1, 1)),
            pad_value=0,
            shared=True,
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
    lanes = program.engine.requant_lanes
    return program.add_params(np.full(lanes, bias, dtype=np.int64), scaling)


def _append_window(
    program: Program,
    operator: Operator,
    span: Span,
    *,
    tensor: Tensor,
    vector_op: VectorOp,
    window: Window,
    pad_value: int,
    shared: bool,
    param_base: int,
    weight_base: int = 0,
    part: tuple[int, int, int, int] | None = None,
    odd: bool = False,
) -> None:
    """A step of the vector unit: every channel slides its own window over the image."""
    words = program.engine.words(tensor.shape[0])
    y0, x0, rows, cols = part or (0, 0, *window.output_size(*tensor.shape[1:]))
    write = _write(program, span, tensor.shape[0], Unit.VECTOR)
    write = write.replace(base=write.base + y0 * write.row + x0 * write.col)
    read = _window_read(program, tensor, window, pad_value, tile_move=1)
    y_shift, x_shift = y0 * read.y.move, x0 * read.x.move
    read = read.replace(
        base=read.base + (y_shift * tensor.shape[2] + x_shift) * words,
        y=read.y.replace(origin=read.y.origin + y_shift),
        x=read.x.replace(origin=read.x.origin + x_shift),
    )
    _append(
        program,
        operator,
        unit=Unit.VECTOR,
        vector_op=vector_op,
        loops=_loops(write, rows=rows, cols=cols, tiles=words, kernel=window.kernel, words=1),
        read=read,
        write=write,
        output=Output(
            zero_point=span.tensor.zero_point,
            low=operator.low,
            high=operator.high,
            shared=shared,
            odd=odd,
        ),
        weight_base=weight_base,
        param_base=param_base,
    )


def _append(
    program: Program, operator: Operator, *, loops: Loops, read: Read, write: Write, **parts
) -> None:
    sizes = [*loops.counts, write.groups_per_pixel]
    sizes += _extents(read.y, loops.rows, loops.kernel_rows)
    sizes += _extents(read.x, loops.cols, loops.kernel_cols)
    if max(sizes) > MAX_COUNT:
        raise ModelError(
            f"node {operator.name!r} ({operator.type}): a size of {max(sizes)} is beyond the "
            f"engine's limit of {MAX_COUNT}; use more lanes, or a smaller image or kernel"
        )
    step = Step(
        name=operator.name,
        operator=operator.type,
        loops=loops,
        read=read,
        write=write,
        **parts,
    )
    program.steps.append(step)


def _extents(axis: Axis, positions: int, taps: int) -> tuple[int, ...]:
    """Numbers that the engine's counters and coordinates must hold: sizes, moves, padding."""
    last = axis.origin + (positions - 1) * axis.move + (taps - 1) * axis.kernel_move
    return axis.size, axis.move, axis.kernel_move, -axis.origin, last - axis.size


def _loops(
    write: Write, *, rows: int, cols: int, tiles: int, kernel: tuple[int, int], words: int
) -> Loops:
    """The nest, with idle cycles where a tile's results take longer to leave than its taps."""
    taps = kernel[0] * kernel[1] * words
    return Loops(
        rows=rows,
        cols=cols,
        tiles=tiles,
        kernel_rows=kernel[0],
        kernel_cols=kernel[1],
        words=words,
        hold=max(0, write.groups_per_tile - taps),
    )


def _window_read(
    program: Program, tensor: Tensor, window: Window, pad_value: int, *, tile_move: int
) -> Read:
    """Reading a window: all words of a tap in one tile (array), or one word per tile (vector)."""
    _, height, width = tensor.shape
    words = program.engine.words(tensor.shape[0])
    (sy, sx), (dy, dx) = window.stride, window.dilation
    top, left = window.pads[:2]
    return Read(
        base=program.base(tensor.name) - (top * width + left) * words,
        moves=(
            sy * width * words,
            sx * words,
            tile_move,
            dy * width * words,
            dx * words,
            1 - tile_move,
        ),
        y=Axis(origin=-top, move=sy, kernel_move=dy, size=height),
        x=Axis(origin=-left, move=sx, kernel_move=dx, size=width),
        pad_value=pad_value,
    )


def _write(program: Program, span: Span, channels: int, unit: Unit) -> Write:
    """Where ``channels`` results per pixel go, from the span's first channel on."""
    engine = program.engine
    lanes = engine.requant_lanes
    words = engine.words(span.tensor.shape[0])
    first = span.channel % lanes
    groups = -(-(first + channels) // lanes)
    tile = engine.columns if unit is Unit.ARRAY else engine.lanes
    return Write(
        base=program.base(span.tensor.name) + span.channel // engine.lanes,
        group=span.channel % engine.lanes // lanes,
        col=words,
        row=span.tensor.shape[2] * words,
        groups_per_pixel=groups,
        groups_per_tile=min(tile // lanes, groups),
        first_lanes=(1 << lanes) - (1 << first),
    )
