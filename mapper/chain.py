"""Which steps of the array may begin while the results of the step before still drain.

All times are cycles after the last tap of the step before.
"""

from collections.abc import Iterator, Sequence

from weft.machine.engine import Engine, Unit
from weft.machine.fields import GAP_BITS
from weft.machine.plan import Axis, Step
from weft.machine.timing import ISSUE_LATENCY, LOAD_DELAY, drain_cycles, unit_latency

MIN_GAP = 2
"""The last tap's activation must have been read before its step's front part is replaced."""
FIRST_TAP = 1 + ISSUE_LATENCY
"""First tap of a step that begins after a gap of 0."""
CHANGEOVER = 2
"""From a step's last result until the output path has the next one's fields."""


def gaps(engine: Engine, steps: Sequence[Step], reads_before: Sequence[bool]) -> list[int | None]:
    """For every step, the fewest cycles between the last tap of the step before and its begin.

    None where either step is not the array's, where the step follows, or where the gap is beyond
    the engine's counter. A gap is always shorter than the wait for the last result.

    reads_before: whether a step reads what the one before writes. The addresses of both must count
    from the start of that tensor.
    """
    result: list[int | None] = [None] * len(steps)
    for i in range(1, len(steps)):
        before, step = steps[i - 1], steps[i]
        if before.unit is step.unit is Unit.ARRAY and step.follow is None:
            result[i] = _gap(engine, before, step, reads_before[i])
    return result


def _gap(engine: Engine, before: Step, step: Step, reads_before: bool) -> int | None:
    changed = drain_cycles(engine, before) + CHANGEOVER
    # The output path changes over before the strobe of the step's first tile arrives.
    strobe = FIRST_TAP + step.loops.taps - 1 + unit_latency(engine, Unit.ARRAY) - LOAD_DELAY
    gap = max(MIN_GAP, changed - strobe)
    for word, written in _late_writes(engine, before) if reads_before else ():
        soonest = written + 1 - FIRST_TAP
        read = _first_read(step, word) if soonest > gap else None
        if read is not None:
            gap = max(gap, soonest - read)
    return gap if gap < 1 << GAP_BITS else None


def _late_writes(engine: Engine, step: Step) -> Iterator[tuple[int, int]]:
    """Words that a step writes after its last tap, and when.

    Rows that wait for another step's rows are taken to be as late as rows that do not.
    """
    loops, write = step.loops, step.write
    groups_per_word = engine.lanes // engine.requant(step.unit)
    pitch = loops.taps + loops.hold
    lag = drain_cycles(engine, step) + 1 - write.groups_per_tile
    for index in reversed(range(loops.n_tiles)):
        first = (index + 1 - loops.n_tiles) * pitch + lag
        if first + write.groups_per_tile <= FIRST_TAP:
            return
        pixel, tile = divmod(index, loops.tiles)
        row, col = divmod(pixel, loops.cols)
        base = write.base + row * write.row + col * write.col
        last = tile == loops.tiles - 1
        for group in range(write.groups_last if last else write.groups_per_tile):
            place = write.group + tile * write.groups_per_tile + group
            yield base + place // groups_per_word, first + group


def _first_read(step: Step, word: int) -> int | None:
    """Cycles from a step's first tap to its first read of a word of its input; None if never."""
    loops, read = step.loops, step.read
    pixel, channels = divmod(word, loops.words)
    y, x = divmod(pixel, read.x.size)
    row = _first_position(read.y, y, loops.rows, loops.kernel_rows)
    col = _first_position(read.x, x, loops.cols, loops.kernel_cols)
    if row is None or col is None:
        return None
    tile = (row[0] * loops.cols + col[0]) * loops.tiles
    tap = (row[1] * loops.kernel_cols + col[1]) * loops.words + channels
    return tile * (loops.taps + loops.hold) + tap


def _first_position(axis: Axis, coordinate: int, n_out: int, n_taps: int) -> tuple[int, int] | None:
    """The first of ``n_out`` outputs that reads a coordinate, and at which of its taps."""
    reads = []
    for tap in range(n_taps):
        position, rest = divmod(coordinate - axis.origin - tap * axis.kernel_move, axis.move)
        if rest == 0 and 0 <= position < n_out:
            reads.append((position, tap))
    return min(reads, default=None)
