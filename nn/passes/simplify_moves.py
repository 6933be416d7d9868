"""Moves that others do on their way: by the Move behind them, or as pads of a Conv's window."""

from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ranges import Range, code_ranges
from weft.nn.ir.window import Window
from weft.nn.passes.rewriting import bypass, with_operators


def merge_moves(graph: Graph) -> Graph:
    """A Move of a Move reads what the first one reads; one that changes nothing goes."""
    ranges = code_ranges(graph) if _moves(graph) else {}
    made = {move.output: move for move in _moves(graph) if _only_moves(move, ranges[move.input])}
    operators: list[Operator] = []
    for operator in graph.operators:
        first = made.get(operator.inputs[0])
        if isinstance(operator, Move) and first is not None:
            operator = _merged(first, operator) or operator
        if operator.output in made and isinstance(operator, Move):
            made[operator.output] = operator
        operators.append(operator)
    graph = with_operators(graph, operators)
    shown = {edge.tensor for edge in graph.outputs}
    for move in [move for move in _moves(graph) if move.output in made]:
        source = graph.tensor(move.input)
        still = tuple(range(source.shape[1])), tuple(range(source.shape[2]))
        if not move.swap and (move.rows, move.cols) == still and move.output not in shown:
            graph = bypass(graph, move.output, move.input)
    return graph


def moves_into_windows(graph: Graph) -> Graph:
    """A Conv pads, or cuts, what a Move padded by the zero point or cut before it."""
    ranges = code_ranges(graph) if _moves(graph) else {}
    given = {edge.tensor for edge in graph.inputs}
    made: dict[str, tuple[Move, tuple[int, int, int, int]]] = {}
    for move in _moves(graph):
        pads = _pads(graph, move) if _only_moves(move, ranges[move.input]) else None
        # An input that is cut could not be folded any more (``weft.mapper.fold``).
        if pads is not None and (move.input not in given or min(pads) >= 0):
            made[move.output] = move, pads
    operators: list[Operator] = []
    for operator in graph.operators:
        if isinstance(operator, Conv) and operator.input in made:
            move, pads = made[operator.input]
            window = _padded(operator.window, pads)
            if window is not None:
                operator = operator.replace(input=move.input, window=window)
        operators.append(operator)
    return with_operators(graph, operators)


def _moves(graph: Graph) -> list[Move]:
    return [operator for operator in graph.operators if isinstance(operator, Move)]


def _only_moves(move: Move, source: Range) -> bool:
    """Whether its clamp changes nothing."""
    low, high = int(source.low.min()), int(source.high.max())
    if min(*move.rows, *move.cols) < 0:
        low, high = min(low, move.fill), max(high, move.fill)
    return move.low <= low and high <= move.high


def _merged(first: Move, second: Move) -> Move | None:
    """Both in one; None where one swaps and the other fills, or they fill in two ways."""
    rows, cols = (first.cols, first.rows) if second.swap else (first.rows, first.cols)
    swap = first.swap != second.swap
    fills = {move.fill for move in (first, second) if min(*move.rows, *move.cols) < 0}
    if len(fills) > 1 or (fills and (first.swap or second.swap)):
        return None
    return second.replace(
        input=first.input,
        rows=tuple(rows[place] if place >= 0 else -1 for place in second.rows),
        cols=tuple(cols[place] if place >= 0 else -1 for place in second.cols),
        fill=fills.pop() if fills else second.fill,
        swap=swap,
        origins=second.origins + first.origins,
    )


def _pads(graph: Graph, move: Move) -> tuple[int, int, int, int] | None:
    """What is added, or cut (below 0), at each side; None where that is not all."""
    source = graph.tensor(move.input)
    filled = min(*move.rows, *move.cols) < 0
    if move.swap or (filled and move.fill != source.zero_point):
        return None
    sides = [
        _ends(places, size)
        for places, size in zip((move.rows, move.cols), source.shape[1:], strict=True)
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _padded(window: Window, pads: tuple[int, int, int, int]) -> Window | None:
    """The window before the image was padded or cut; None where it would see what was cut."""
    (top, left, bottom, right), (y, x) = pads, window.stretch
    for own, more, stretch in zip(window.pads, pads, (y, x, y, x), strict=True):
        if more < 0 and own >= stretch:
            return None
    a, b, c, d = window.pads
    return window.replace(pads=(a + top * y, b + left * x, c + bottom * y, d + right * x))


def _ends(places: tuple[int, ...], size: int) -> tuple[int, int] | None:
    """How many places are added, or cut (below 0), before and after an axis of that size.

    None where that is not all. A side that is cut and then filled is neither: the fill stands where
    the cut places were, which a window would see again.
    """
    there = [i for i, place in enumerate(places) if place >= 0]
    if not there:
        return None
    first, last = places[there[0]], places[there[-1]]
    if places[there[0] : there[-1] + 1] != tuple(range(first, last + 1)):
        return None
    filled, cut = (there[0], len(places) - 1 - there[-1]), (first, size - 1 - last)
    if any(more and less for more, less in zip(filled, cut, strict=True)):
        return None
    return filled[0] - cut[0], filled[1] - cut[1]
