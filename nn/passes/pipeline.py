"""Rewrites of the graph, shared by all importers, in the order in which they run.

Every pass keeps the meaning exactly; ``checker.check`` runs after each one, and the graphs before
and after all of them are compared (``equivalence``).
"""

import numpy as np

from weft.errors import ModelError
from weft.nn.ir.checker import check
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph, where_from
from weft.nn.ir.host_steps import ReshapeStep, TransposeStep
from weft.nn.ir.names import Names
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.move import Move
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN
from weft.nn.ir.window import Window
from weft.nn.passes.equivalence import require_same
from weft.nn.passes.rewriting import Pass, bypassed, drop_dead, with_operators


def run_passes(graph: Graph) -> Graph:
    """The graph after all passes.

    Raises ModelError where a Reshape is left over, InternalError where an output is not what it was
    (``weft.nn.passes.equivalence``).
    """
    check(graph)
    versions = [("import", graph)]
    for step in PASSES:
        graph = step(graph)
        check(graph)
        versions.append((step.__name__, graph))
    _refuse_reshapes(graph)
    require_same(versions)
    return graph


ONE = scaling_of(1.0)


def drop_identity_rescales(graph: Graph) -> Graph:
    """A Rescale by 1 to the same scale and zero point without a clamp does nothing.

    A LeakyRelu that sees no positive value is a Rescale by its slope, between equal scales.
    """
    same: dict[str, str] = {}
    for operator in graph.operators:
        if isinstance(operator, Rescale):
            source, target = graph.tensor(operator.input), graph.tensor(operator.output)
            equal = source.replace(name="") == target.replace(name="")
            if (
                equal
                and operator.scaling == ONE
                and (operator.low, operator.high) == (CODE_MIN, CODE_MAX)
            ):
                same[operator.output] = same.get(operator.input, operator.input)
    return bypassed(graph, same)


def reshape_behind_rescale(graph: Graph) -> Graph:
    """Reshape, Rescale becomes Rescale, Reshape."""
    names = Names(tensor.name for tensor in graph.tensors)
    operator_names = Names(operator.name for operator in graph.operators)
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    reshapes: dict[str, Reshape] = {}
    operators: list[Operator] = []
    for operator in graph.operators:
        if isinstance(operator, Rescale) and operator.input in reshapes:
            middle = names.new(f"{operator.output}_unshaped")
            moved, operator = _swapped(reshapes[operator.input], operator, middle)
            operator = operator.replace(name=operator_names.new(operator.name))
            shape = tensors[moved.input].shape
            target = tensors[operator.output]
            tensors[moved.output] = target.replace(name=moved.output, shape=shape)
            operators.append(moved)
        if isinstance(operator, Reshape):
            reshapes[operator.output] = operator
        operators.append(operator)
    return with_operators(graph, operators, tensors.values())


def _swapped(reshape: Reshape, rescale: Rescale, middle: str) -> tuple[Rescale, Reshape]:
    """The same in the other order; ``middle`` is the tensor between them."""
    behind = Reshape(
        name=f"{rescale.name}_reshape", output=rescale.output, input=middle, origins=rescale.origins
    )
    return rescale.replace(input=reshape.input, output=middle), behind


def merge_reshapes(graph: Graph) -> Graph:
    """A Reshape of a Reshape reads the first one's input; one that changes nothing goes."""
    sources: dict[str, str] = {}  # what the Reshapes so far read
    same: dict[str, str] = {}
    operators: list[Operator] = []
    for operator in graph.operators:
        if isinstance(operator, Reshape):
            source = same.get(operator.input, operator.input)
            source = sources.get(source, source)
            if graph.tensor(source).shape == graph.tensor(operator.output).shape:
                same[operator.output] = source
            else:
                sources[operator.output] = source
            operator = operator.replace(input=source)
        operators.append(operator)
    return bypassed(with_operators(graph, operators), same)


def reshape_to_head(graph: Graph) -> Graph:
    """A Reshape that is its input's only reader is done by the host."""
    for edge in graph.inputs:
        readers = graph.consumers(edge.tensor)
        used = any(out.tensor == edge.tensor for out in graph.outputs)
        if len(readers) != 1 or not isinstance(readers[0], Reshape) or used:
            continue
        operator = readers[0]
        shape = graph.tensor(operator.output).shape
        steps = tuple(step for step in edge.steps if not isinstance(step, ReshapeStep))
        moves = tuple(step for step in steps if isinstance(step, TransposeStep))  # first, where any
        if moves or edge.shape != shape:
            steps = (*moves, ReshapeStep(shape=shape), *steps[len(moves) :])
        moved = edge.replace(tensor=operator.output, steps=steps)
        inputs = tuple(moved if item is edge else item for item in graph.inputs)
        operators = [op for op in graph.operators if op is not operator]
        graph = with_operators(graph.replace(inputs=inputs), operators)
    return graph


def reshape_to_tail(graph: Graph) -> Graph:
    """An output that is a Reshape's result is reshaped by the host instead."""
    outputs: list[HostEdge] = []
    for edge in graph.outputs:
        operator = graph.producer(edge.tensor)
        if isinstance(operator, Reshape):
            shape = graph.tensor(operator.output).shape
            steps = edge.steps
            if not steps or not isinstance(steps[0], ReshapeStep):
                steps = (ReshapeStep(shape=shape), *steps)
            edge = edge.replace(tensor=operator.input, steps=steps)
        outputs.append(edge)
    return with_operators(graph.replace(outputs=tuple(outputs)), graph.operators)


def reshape_into_dense(graph: Graph) -> Graph:
    """Reshape of a whole image to a vector, then a 1x1 Conv: one Conv with a whole-image kernel."""
    operators: list[Operator] = []
    for operator in graph.operators:
        source = graph.producer(operator.input) if isinstance(operator, Conv) else None
        if isinstance(operator, Conv) and isinstance(source, Reshape):
            image = graph.tensor(source.input).shape
            vector = graph.tensor(source.output).shape[1:] == (1, 1)
            if vector and operator.groups == 1 and operator.window == Window(kernel=(1, 1)):
                weight = operator.weight.reshape(operator.weight.shape[0], *image)
                operator = operator.replace(
                    input=source.input,
                    weight=np.ascontiguousarray(weight),
                    window=Window(kernel=image[1:]),
                )
        operators.append(operator)
    return with_operators(graph, operators)


def reshape_as_move(graph: Graph) -> Graph:
    """A Reshape of a row to a column, or back, exchanges height and width."""
    operators: list[Operator] = []
    for operator in graph.operators:
        if isinstance(operator, Reshape):
            before, after = graph.tensor(operator.input).shape, graph.tensor(operator.output).shape
            if before == (after[0], after[2], after[1]) and 1 in before[1:]:
                operator = Move(
                    name=operator.name,
                    output=operator.output,
                    input=operator.input,
                    origins=operator.origins,
                    rows=tuple(range(after[1])),
                    cols=tuple(range(after[2])),
                    swap=True,
                )
        operators.append(operator)
    return with_operators(graph, operators)


# Order matters where a comment says so.
PASSES: tuple[Pass, ...] = (
    # First: what is not there needs no Reshape to be moved around it.
    drop_identity_rescales,
    # Before merge_reshapes: two Reshapes may meet once no Rescale stands between them.
    reshape_behind_rescale,
    # Before the three that follow, which look at one Reshape only.
    merge_reshapes,
    # Before reshape_into_dense: a vector fills the array's input lanes better than an image of few
    # channels, and the host's Reshape costs nothing.
    reshape_to_head,
    reshape_to_tail,
    reshape_into_dense,
    # After all that do without: what is left has to be done.
    reshape_as_move,
    # Last: the passes above leave operators behind that nobody reads any more.
    drop_dead,
)


def _refuse_reshapes(graph: Graph) -> None:
    for operator in graph.operators:
        if isinstance(operator, Reshape):
            before = list(graph.tensor(operator.input).shape)
            after = list(graph.tensor(operator.output).shape)
            readers = ", ".join(repr(op.name) for op in graph.consumers(operator.output))
            raise ModelError(
                f"Reshape of {where_from(operator.input, graph.operators, graph.inputs)} from "
                f"{before} to {after} (channels, height, width) in front of node {readers} is not "
                "supported; what works: a Reshape next to the model's inputs and outputs, and "
                "one to a vector in front of Gemm or MatMul"
            )
