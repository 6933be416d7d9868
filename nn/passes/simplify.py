"""Exact simplification: a smaller network whose outputs are the same codes for every input.

Nothing here approximates: a channel is folded only where the reference, evaluated, shows that
its contribution is one number at every position. ``Graph.macs`` and ``Graph.notes`` stay as they
were; ``compare`` says what became smaller.
"""

from dataclasses import dataclass

import numpy as np

from weft.errors import counted
from weft.nn.ir.checker import check
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import Scaling
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.concat import Concat
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.max_pool import MaxPool
from weft.nn.ir.ops.rescale import Rescale
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.ranges import Range, code_ranges
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window, windows
from weft.nn.passes.equivalence import require_same
from weft.nn.passes.rewriting import Pass, bypass, drop_dead, with_operators
from weft.nn.passes.simplify_moves import merge_moves, moves_into_windows

Kept = dict[str, np.ndarray]
"""Per tensor, bool [C]: the channels that stay."""


def simplify(graph: Graph) -> Graph:
    """The graph after all simplifications, repeated until none finds anything more.

    Inputs and outputs of the network keep their shapes, and every tensor at least one channel.
    Raises InternalError where an output is not what it was (``weft.nn.passes.equivalence``).
    """
    versions = [("import", graph)]
    while True:
        before = graph
        for step in SIMPLIFICATIONS:
            graph = step(graph)
            check(graph)
            versions.append((step.__name__, graph))
        if graph == before:
            require_same(versions)
            return graph


def macs_of(graph: Graph) -> int:
    """Multiply-accumulates of all Convs, positions in the padding included (as importers count).

    Of a stretched image, each element's with all weights.
    """
    total = 0
    for operator in graph.operators:
        if isinstance(operator, Conv):
            stretched = operator.window.stretch != (1, 1)
            counted = operator.input if stretched else operator.output
            _, height, width = graph.tensor(counted).shape
            total += operator.weight.size * height * width
    return total


def weights_of(graph: Graph) -> int:
    """Number of weights of all Convs, zeros included, biases not."""
    return sum(op.weight.size for op in graph.operators if isinstance(op, Conv))


@dataclass(frozen=True, kw_only=True)
class SimplifyReport:
    """What a simplification saved. Channels are counted over all tensors."""

    operators_removed: int
    channels_removed: int
    weights_before: int
    weights_after: int
    macs_before: int
    macs_after: int

    def __str__(self) -> str:
        if not (self.operators_removed or self.channels_removed):
            return "simplified: nothing to remove"
        return (
            f"simplified: {counted(self.operators_removed, 'operator')} and "
            f"{counted(self.channels_removed, 'channel')} "
            f"removed, weights {self.weights_before:,} -> {self.weights_after:,}, "
            f"MACs {self.macs_before:,} -> {self.macs_after:,}"
        )


def compare(original: Graph, simplified: Graph) -> SimplifyReport:
    """The report of a simplification, from the graphs before and after it."""
    channels = [sum(tensor.shape[0] for tensor in g.tensors) for g in (original, simplified)]
    return SimplifyReport(
        operators_removed=len(original.operators) - len(simplified.operators),
        channels_removed=channels[0] - channels[1],
        weights_before=weights_of(original),
        weights_after=weights_of(simplified),
        macs_before=macs_of(original),
        macs_after=macs_of(simplified),
    )


def merge_clamps(graph: Graph) -> Graph:
    """An operator on single codes that at most clamps them goes into the one before, or goes."""
    names = [op.name for op in graph.operators if _is_elementwise(op)]
    ranges = code_ranges(graph) if names else {}
    for name in names:
        operator = next(op for op in graph.operators if op.name == name)
        source, target = graph.tensor(operator.inputs[0]), graph.tensor(operator.output)
        reach = ranges[source.name]
        codes = np.arange(int(reach.low.min()), int(reach.high.max()) + 1)
        clamped = np.clip(codes, operator.low, operator.high)
        tensors = {source.name: source, target.name: target}
        row = codes.astype(np.int8).reshape(1, 1, 1, -1)
        exact = np.array_equal(operator.compute(tensors, {source.name: row})[0, 0, 0], clamped)
        if not exact or source.replace(name="") != target.replace(name=""):
            continue
        if np.array_equal(clamped, codes) and not _joins_input_to_output(graph, source, target):
            graph = bypass(graph, target.name, source.name)
        else:
            graph = _clamp_producer(graph, operator, source)
    return graph


def _is_elementwise(operator: Operator) -> bool:
    """Whether every output code depends on the one input code at its place, by one table."""
    match operator:
        case Rescale():
            return True
        case Concat() if operator.axis == 0:
            return len(operator.parts) == 1
        case MaxPool() | AveragePool():
            return operator.window == Window(kernel=(1, 1))
        case _:
            return False


def _joins_input_to_output(graph: Graph, source: Tensor, target: Tensor) -> bool:
    """Whether a network input would be a network output without the operator between them."""
    return any(edge.tensor == source.name for edge in graph.inputs) and any(
        edge.tensor == target.name for edge in graph.outputs
    )


def _clamp_producer(graph: Graph, operator: Operator, source: Tensor) -> Graph:
    """The operator's clamp done by the source's producer, where nobody else reads the source."""
    producer = next((op for op in graph.operators if op.output == source.name), None)
    readers = graph.consumers(source.name)
    shown = any(edge.tensor == source.name for edge in graph.outputs)
    if producer is None or isinstance(producer, Reshape) or len(readers) > 1 or shown:
        return graph
    low, high = (min(max(x, operator.low), operator.high) for x in (producer.low, producer.high))
    origins = producer.origins + operator.origins
    merged = producer.replace(output=operator.output, low=low, high=high, origins=origins)
    operators = [merged if op is producer else op for op in graph.operators if op is not operator]
    return with_operators(graph, operators)


def fold_constants(graph: Graph) -> Graph:
    """Weights on known channels become bias where every position agrees; so do whole channels.

    A folded channel is left with zero weights: ``drop_channels`` removes it.
    """
    ranges = code_ranges(graph)
    operators: list[Operator] = []
    for operator in graph.operators:
        if isinstance(operator, Conv):
            zero_point = graph.tensor(operator.input).zero_point
            source = ranges[operator.input]
            operator = _fold_outputs(operator, zero_point, source, ranges[operator.output])
            operator = _fold_inputs(operator, zero_point, source)
        operators.append(operator)
    return with_operators(graph, operators)


def _fold_outputs(operator: Conv, zero_point: int, source: Range, target: Range) -> Conv:
    """Output channels of one flat code: no weights, and as bias an accumulator that occurs.

    |bias| stays within the channel's old bound 255 * sum|w| + |bias|.
    """
    weight = operator.weight.astype(np.int64)
    used = target.flat & weight.any(axis=(1, 2, 3))
    if not used.any():
        return operator
    centred = source.low[None].astype(np.int64) - zero_point
    corner = windows(centred, operator.window, 0)[0, :, 0, 0]
    grouped = weight.reshape(operator.groups, -1, *weight.shape[1:])
    read = corner.reshape(operator.groups, 1, *weight.shape[1:])
    acc = operator.bias + (grouped * read).sum(axis=(2, 3, 4)).reshape(-1)
    return operator.replace(
        weight=np.where(used[:, None, None, None], 0, operator.weight).astype(np.int16),
        bias=np.where(used, acc, operator.bias),
    )


def _fold_inputs(operator: Conv, zero_point: int, source: Range) -> Conv:
    """Weights on known input channels, each moved to the bias where it adds one number everywhere.

    It does where the code is the zero point, where no window meets the padding, or where the
    taps happen to agree. |bias| + 255 * sum|w| does not grow.
    """
    weight, bias = operator.weight.astype(np.int64), operator.bias.copy()
    n_in, n_out = weight.shape[1], weight.shape[0] // operator.groups
    for channel in np.flatnonzero(source.known):
        group, index = divmod(int(channel), n_in)
        rows = slice(group * n_out, (group + 1) * n_out)
        taps = weight[rows, index]
        if not taps.any():
            continue
        centred = source.low[None, channel : channel + 1].astype(np.int64) - zero_point
        read = windows(centred, operator.window, 0)[0, 0]
        adds = np.tensordot(taps, read, axes=((1, 2), (2, 3)))
        same = (adds == adds[:, :1, :1]).all(axis=(1, 2))
        bias[rows] += np.where(same, adds[:, 0, 0], 0)
        taps[same] = 0
    return operator.replace(weight=weight.astype(np.int16), bias=bias)


def drop_channels(graph: Graph) -> Graph:
    """Channels that no output of the network depends on, taken out of producers and readers."""
    kept = _kept_channels(graph)
    tensors = tuple(
        tensor.replace(shape=(int(kept[tensor.name].sum()), *tensor.shape[1:]))
        for tensor in graph.tensors
    )
    operators = [_narrowed(operator, kept) for operator in graph.operators]
    return with_operators(graph, operators, tensors)


def _kept_channels(graph: Graph) -> Kept:
    """All channels of inputs and outputs, what those depend on, and one of every tensor."""
    kept = {tensor.name: np.zeros(tensor.shape[0], dtype=bool) for tensor in graph.tensors}
    for edge in (*graph.inputs, *graph.outputs):
        kept[edge.tensor][:] = True
    while True:
        before = sum(int(mask.sum()) for mask in kept.values())
        for operator in reversed(graph.operators):
            _keep_together(operator, kept)
        if sum(int(mask.sum()) for mask in kept.values()) > before:
            continue
        empty = next((mask for mask in kept.values() if not mask.any()), None)
        if empty is None:
            return kept
        empty[0] = True


def _keep_together(operator: Operator, kept: Kept) -> None:
    """Add to ``kept`` what one operator needs, and what it cannot help computing: one round.

    A Conv of one group may pick its channels freely. Every other operator has its input and
    output channels tied to each other, in grouped Convs by whole groups.
    """
    output = kept[operator.output]
    match operator:
        case Conv() if operator.groups == 1:
            kept[operator.input] |= operator.weight[output].any(axis=(0, 2, 3))
        case Conv():
            source = kept[operator.input].reshape(operator.groups, -1)
            target = output.reshape(operator.groups, -1)
            source |= target.any(axis=1, keepdims=True)
            target |= source.any(axis=1, keepdims=True)
        case Concat() if operator.axis == 0:
            first = 0
            for part in operator.parts:
                _tie(kept[part], output[first : first + kept[part].size])
                first += kept[part].size
        case Reshape():
            kept[operator.input][:] = output[:] = True
        case _:
            for name in operator.inputs:
                _tie(kept[name], output)


def _tie(a: np.ndarray, b: np.ndarray) -> None:
    a |= b
    b |= a


def _narrowed(operator: Operator, kept: Kept) -> Operator:
    """The operator on the kept channels of its tensors."""
    if not isinstance(operator, Conv):
        return operator
    source, output = kept[operator.input], kept[operator.output]
    weight, groups = operator.weight[output], operator.groups
    if groups == 1:
        weight = weight[:, source]
    else:
        groups = int(source.reshape(groups, -1).any(axis=1).sum())
    scaling = operator.scaling
    if scaling.mantissa.size > 1:
        scaling = Scaling(mantissa=scaling.mantissa[output], shift=scaling.shift[output])
    bias = operator.bias[output]
    return operator.replace(weight=weight, bias=bias, scaling=scaling, groups=groups)


# Order matters where a comment says so.
SIMPLIFICATIONS: tuple[Pass, ...] = (
    # First: what nobody needs must not count as a reader.
    drop_dead,
    merge_clamps,
    # Before moves_into_windows: two Moves may together be one that only pads or cuts.
    merge_moves,
    moves_into_windows,
    # Before drop_channels: a folded channel is one without readers.
    fold_constants,
    drop_channels,
)
