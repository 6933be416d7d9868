"""A Move as copies of the vector unit, each of outputs with equal steps between them."""

from weft.engines.common.nest import append, loops_of, write_of
from weft.engines.common.program import Program, Span
from weft.engines.common.runs import Run, runs
from weft.machine.engine import Unit
from weft.machine.plan import Axis, Moves, Output, Read, VectorOp
from weft.nn.ir.ops.move import Move


def lower_move(program: Program, move: Move, param_base: int) -> None:
    """One step for each run of rows and each run of columns."""
    _, height, width = program.graph.tensor(move.input).shape
    size = (width, height) if move.swap else (height, width)
    for row in runs(move.rows, size[0]):
        for col in runs(move.cols, size[1]):
            _copy(program, move, row, col, param_base)


def _copy(program: Program, move: Move, row: Run, col: Run, param_base: int) -> None:
    tensor, output = program.graph.tensor(move.input), program.graph.tensor(move.output)
    channels = tensor.shape[0]
    span = Span(tensor=output, y0=row.first, x0=col.first, y_step=row.step, x_step=col.step)
    write = write_of(program, span, channels, Unit.VECTOR)
    append(
        program,
        move,
        unit=Unit.VECTOR,
        vector_op=VectorOp.SUM,
        loops=loops_of(
            program,
            write,
            rows=row.count,
            cols=col.count,
            tiles=program.engine.words(channels),
            kernel=(1, 1),
            words=1,
        ),
        read=_read(program, move, row, col),
        write=write,
        output=Output(zero_point=output.zero_point, low=move.low, high=move.high, shared=True),
        weight_base=0,
        param_base=param_base,
    )


def _read(program: Program, move: Move, row: Run, col: Run) -> Read:
    """Coordinates tell fills only. They do not go backwards, and swapped rows wait for all rows."""
    tensor = program.graph.tensor(move.input)
    _, height, width = tensor.shape
    words = program.engine.words(tensor.shape[0])
    place = program.place(move.input)
    y_words, x_words = width * words, words
    if move.swap:
        y_words, x_words = x_words, y_words
    return Read(
        bank=place.bank,
        base=place.base + row.origin * y_words + col.origin * x_words,
        moves=Moves(row=row.move * y_words, col=col.move * x_words, tile=1),
        y=_axis(row, height, move.swap),
        x=_axis(col, width, move.swap),
        pad_value=move.fill,
    )


def _axis(run: Run, size: int, swap: bool) -> Axis:
    if swap or run.move < 0:
        return Axis(origin=size - 1, size=size)
    return Axis(origin=run.origin, move=run.move, size=size)
