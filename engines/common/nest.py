"""Loop nests: how a window over an image becomes the counts, moves and places of a step."""

from functools import partial

import numpy as np

from weft.engines.common import pack
from weft.engines.common.program import Program, Span
from weft.errors import ModelError
from weft.machine.engine import Unit
from weft.machine.plan import MAX_COUNT, Axis, Loops, Moves, Output, Read, Step, VectorOp, Write
from weft.nn.ir.operator import Operator
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window


def append_window(
    program: Program,
    operator: Operator,
    span: Span,
    *,
    tensor: Tensor,
    vector_op: VectorOp,
    window: Window,
    pad_value: int,
    param_base: int,
    weight: np.ndarray | None = None,
    odd: bool = False,
    channels: range | None = None,
) -> None:
    """A step of the vector unit: every channel slides its own window over the image.

    Without ``weight`` (depthwise [C, 1, kh, kw]) all channels share their parameters. channels: of
    the tensor, from the start of a word on; all by default.
    """
    engine = program.engine
    words = engine.words(tensor.shape[0])
    channels = channels or range(tensor.shape[0])
    height, width = window.output_size(*tensor.shape[1:])
    write = write_of(program, span, len(channels), Unit.VECTOR)
    read = window_read(program, tensor, window, pad_value, Unit.VECTOR)
    read = read.replace(base=read.base + channels.start // engine.lanes)
    loops = loops_of(
        program,
        write,
        rows=height,
        cols=width,
        tiles=engine.words(len(channels)),
        kernel=window.kernel,
        words=1,
    )
    lead = _rolls(window, width, engine.vector_taps) if weight is not None else None
    weight_base = 0
    if weight is not None and lead is None:
        weight_base = program.add_vector(
            loops.tiles * loops.taps,
            partial(pack.vector_weights, weight, engine.lanes, engine.vector_taps),
        )
    elif weight is not None and lead is not None:
        loops, read = _roll(program, write, loops, read, window, lead, words)
        weight_base = program.add_vector(
            loops.tiles * loops.taps,
            partial(
                pack.rolling_weights, weight, engine.lanes, engine.vector_taps, window.stride[1]
            ),
        )
    append(
        program,
        operator,
        unit=Unit.VECTOR,
        vector_op=vector_op,
        loops=loops,
        read=read,
        write=write,
        output=Output(
            zero_point=span.tensor.zero_point,
            low=operator.low,
            high=operator.high,
            shared=weight is None,
            odd=odd,
            rolling=lead is not None,
        ),
        weight_base=weight_base,
        param_base=param_base,
    )


def _rolls(window: Window, width: int, taps: int) -> int | None:
    """Tiles before a row's first result when sums roll along it, or None where that cannot help."""
    kernel, stride = window.kernel[1], window.stride[1]
    outputs = -(-kernel // stride)  # that a column belongs to
    lead = outputs - 1
    cycles = stride * (width + lead)
    if window.dilation[1] > 1 or outputs > taps or stride > kernel or cycles >= kernel * width:
        return None
    return lead


def _roll(
    program: Program, write: Write, loops: Loops, read: Read, window: Window, lead: int, words: int
) -> tuple[Loops, Read]:
    """The nest of a rolling step: a tile brings ``stride`` new columns, not a whole window."""
    stride = window.stride[1]
    rolled = loops_of(
        program,
        write,
        rows=loops.rows,
        cols=loops.cols + lead,
        tiles=loops.tiles,
        kernel=(loops.kernel_rows, stride),
        words=1,
    )
    shift = window.kernel[1] - stride - lead * stride
    return rolled.replace(lead=lead), read.replace(
        base=read.base + shift * words, x=read.x.replace(origin=read.x.origin + shift)
    )


def append(
    program: Program, operator: Operator, *, loops: Loops, read: Read, write: Write, **parts
) -> None:
    """Append a step. Raises ModelError where the engine's counters cannot hold it."""
    step = Step(
        name=operator.name,
        origins=operator.origins,
        operator=operator.type,
        loops=loops,
        read=read,
        write=write,
        **parts,
    )
    largest = max(extents(step))
    if largest > MAX_COUNT:
        raise ModelError(
            f"node {operator.name!r} ({operator.type}): a size of {largest} is beyond the "
            f"engine's limit of {MAX_COUNT}; use more lanes, or a smaller image or kernel"
        )
    program.steps.append(step)


def extents(step: Step) -> list[int]:
    """Numbers that the engine's counters and coordinates must hold: counts, sizes, padding."""
    loops, read = step.loops, step.read
    return [
        *loops.counts,
        *_reach(read.y, loops.rows, loops.kernel_rows),
        *_reach(read.x, loops.cols, loops.kernel_cols),
    ]


def _reach(axis: Axis, positions: int, taps: int) -> tuple[int, ...]:
    last = axis.origin + (positions - 1) * axis.move + (taps - 1) * axis.kernel_move
    return axis.size, axis.move, axis.kernel_move, -axis.origin, last - axis.size


def loops_of(
    program: Program,
    write: Write,
    *,
    rows: int,
    cols: int,
    tiles: int,
    kernel: tuple[int, int],
    words: int,
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
        hold=max(0, write.groups_per_tile * program.engine.requant_interval - taps),
    )


def window_read(
    program: Program, tensor: Tensor, window: Window, pad_value: int, unit: Unit
) -> Read:
    """Reading a window: all words of a tap in one tile (array), or one word per tile (vector)."""
    _, height, width = tensor.shape
    words = program.engine.words(tensor.shape[0])
    (sy, sx), (dy, dx) = window.stride, window.dilation
    top, left = window.pads[:2]
    place = program.place(tensor.name)
    return Read(
        bank=place.bank,
        base=place.base - (top * width + left) * words,
        moves=Moves(
            row=sy * width * words,
            col=sx * words,
            tile=int(unit is Unit.VECTOR),
            kernel_row=dy * width * words,
            kernel_col=dx * words,
            word=int(unit is Unit.ARRAY),
        ),
        y=Axis(origin=-top, move=sy, kernel_move=dy, size=height),
        x=Axis(origin=-left, move=sx, kernel_move=dx, size=width),
        pad_value=pad_value,
    )


def write_of(program: Program, span: Span, channels: int, unit: Unit) -> Write:
    """Where ``channels`` results per pixel go, from the span's first channel on."""
    engine = program.engine
    lanes = engine.requant(unit)
    words = engine.words(span.tensor.shape[0])
    first = span.channel % lanes
    groups = -(-(first + channels) // lanes)
    place = program.place(span.tensor.name)
    per_tile = min(engine.tile_lanes(unit) // lanes, groups)
    row = span.tensor.shape[2] * words
    return Write(
        bank=place.bank,
        base=place.base + span.y0 * row + span.x0 * words + span.channel // engine.lanes,
        group=span.channel % engine.lanes // lanes,
        col=span.x_step * words,
        row=span.y_step * row,
        groups_per_tile=per_tile,
        groups_last=(groups - 1) % per_tile + 1,
        first_lanes=(1 << lanes) - (1 << first),
    )
