"""Where a network does not fit a board: whether any board that weft knows is large enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from weft.boards.board import list_boards, load_board
from weft.boards.target import target_of
from weft.engines.kind import LARGER
from weft.errors import FitError, WeftError
from weft.machine.target import Target
from weft.mapper.search import search
from weft.nn.ir.graph import Graph

OUTSIDE = "weft check --external-memory says what memory outside the chip would have to give"


@contextmanager
def judged(graph: Graph, target: Target, sizes: dict[str, Any]) -> Iterator[None]:
    """Says of a FitError in the block which larger board would do, or that none does.

    sizes: what ``mapper.search.search`` is asked for.
    """
    try:
        yield
    except FitError as error:
        if LARGER not in error.remedies:
            raise
        larger = _larger(graph, target, sizes)
        remedies = tuple(larger if remedy == LARGER else remedy for remedy in error.remedies)
        raise FitError(error.why, at=error.at, remedy=remedies) from error


def _larger(graph: Graph, target: Target, sizes: dict[str, Any]) -> str:
    """What to try instead of the target."""
    boards = (target_of(load_board(name)) for name in list_boards())
    largest = max(boards, key=lambda board: board.lut)
    none = f"no board that weft knows is {'fast' if sizes.get('cycles') else 'large'} enough"
    if target.lut < largest.lut:
        try:
            search(graph, largest, **sizes)
        except FitError as error:
            none += f" (on {largest.name}, the largest, {error.why})"
        except WeftError:  # the sizes asked for, or an operator, are beyond that board's engines
            pass
        else:
            return f"{LARGER}, such as {largest.name}"
    return none if sizes.get("external_memory") or sizes.get("cycles") else f"{none}; {OUTSIDE}"
