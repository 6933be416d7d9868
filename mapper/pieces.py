"""Operators lowered once for all engines that lower them alike: what a search needs."""

from dataclasses import dataclass

from weft.engines.common.lower import depthwise, unscaled
from weft.engines.common.program import Place, Program
from weft.engines.kinds import kind_of
from weft.machine import timing
from weft.machine.engine import Engine, Unit
from weft.machine.plan import Content, Step
from weft.nn.ir.graph import Graph
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.mul import Mul

ARRAY = ("lanes", "columns", "array_requant")
VECTOR = ("lanes", "vector_requant")
ROLLING = (*VECTOR, "vector_taps")
EITHER = (*ARRAY, "vector_requant")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One operator's steps, with addresses from 0 on, the memory words that they read, and the
    cycles in which they keep each unit busy."""

    steps: tuple[Step, ...]
    words: dict[Content, int]
    busy: dict[Unit, int]


class Pieces:
    """A graph, operator by operator, on engine after engine."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._reads = [_reads(graph, operator) for operator in graph.operators]
        self._made: dict[tuple[object, ...], Piece] = {}

    def on(self, engine: Engine) -> list[Piece]:
        """Each operator's piece. Raises ModelError as ``lower`` does."""
        sizes = {
            fields: tuple(getattr(engine, field) for field in fields) for fields in set(self._reads)
        }
        pieces = []
        for i, fields in enumerate(self._reads):
            key = i, engine.kind, sizes[fields]
            if key not in self._made:
                self._made[key] = _piece(self._graph, self._graph.operators[i], engine)
            pieces.append(self._made[key])
        return pieces


def busy_cycles(engine: Engine, pieces: list[Piece]) -> int:
    """Fewest cycles that a program of these can take."""
    array, vector = (sum(piece.busy[unit] for piece in pieces) for unit in Unit)
    return kind_of(engine).busy(array, vector)


def _reads(graph: Graph, operator: Operator) -> tuple[str, ...]:
    """The engine's fields that decide how an operator is lowered."""
    match operator:
        case Conv() if depthwise(graph, operator):
            return ROLLING
        case Conv() if not unscaled(operator):  # else the vector unit may copy its channels
            return ARRAY
        case MaxPool() | AveragePool() | Add() | Mul() | Move():
            return VECTOR
        case _:
            return EITHER


def _piece(graph: Graph, operator: Operator, engine: Engine) -> Piece:
    program = Program(graph=graph, engine=engine, place=lambda name: Place())
    kind_of(engine).lower(program, operator)
    busy = dict.fromkeys(Unit, 0)
    for step in program.steps:
        busy[step.unit] += timing.issue_cycles(step)
    return Piece(steps=tuple(program.steps), words=program.segments[0].words, busy=busy)
