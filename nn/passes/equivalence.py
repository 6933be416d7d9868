"""What every rewriting of a graph has to show: both graphs give the same outputs, bit for bit.

Both are run by the reference on the same random and extreme inputs. What differs is a fault of
weft, never of the network.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from weft.errors import InternalError
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import decode, encode_inputs
from weft.nn.ir.host_steps import QuantizeStep, SoftmaxStep
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import CODE_MAX, CODE_MIN

MAX_SAMPLES, MIN_SAMPLES = 32, 5
"""The fewest are the lowest and highest codes, alternating ones, and corners in two ways."""

WORK = 1 << 28  # multiply-accumulates of all samples together: about half a second
ELEMENT = 100  # multiply-accumulates that take as long as an element of a tensor
AT_ONCE = 1 << 26  # codes of all tensors that are kept at a time

Codes = dict[str, np.ndarray]


def require_same(versions: Sequence[tuple[str, Graph]]) -> None:
    """The first and the last version of a graph give the same outputs.

    versions: the graph in the order in which it was rewritten, each with the name of the step that
    made it. Raises InternalError naming the first step that changes an output.
    """
    (_, first), (_, last) = versions[0], versions[-1]
    if first == last or difference(first, last) is None:
        return
    for (_, before), (step, after) in pairwise(versions):
        found = difference(before, after)
        if found is not None:
            raise InternalError(f"network {first.name!r}: rewriting step {step} changes {found}")
    raise InternalError(f"network {first.name!r}: rewriting changes {difference(first, last)}")


def difference(before: Graph, after: Graph) -> str | None:
    """The first output that differs, in words; None where all are equal."""
    if [edge.name for edge in before.outputs] != [edge.name for edge in after.outputs]:
        return "the names of the outputs"
    for inputs in _pieces(before):
        ours, theirs = _both(before, after, inputs)
        for old, new in zip(before.outputs, after.outputs, strict=True):
            a, b = _comparable(old, ours[old.tensor]), _comparable(new, theirs[new.tensor])
            if (a.shape, a.dtype, _host_only(old)) != (b.shape, b.dtype, _host_only(new)):
                return (
                    f"output {old.name!r}: {b.dtype} {list(b.shape[1:])} instead of {a.dtype} "
                    f"{list(a.shape[1:])}"
                )
            wrong = np.argwhere(a != b)
            if len(wrong):
                place = tuple(wrong[0].tolist())
                return (
                    f"output {old.name!r}: {b[place]} instead of {a[place]} at {list(place[1:])}, "
                    f"{len(wrong)} of {a.size} values in all"
                )
    return None


def sample_count(graph: Graph) -> int:
    """How many inputs the two graphs are compared on: fewer the more work a network is."""
    sizes = {tensor.name: int(np.prod(tensor.shape)) for tensor in graph.tensors}
    work = ELEMENT * sum(sizes.values())
    for operator in graph.operators:
        if isinstance(operator, Conv):
            channels = graph.tensor(operator.output).shape[0]
            work += operator.weight.size * sizes[operator.output] // channels
    return int(np.clip(WORK // work, MIN_SAMPLES, MAX_SAMPLES))


def probes(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
    """Codes int8 [count, *shape]: lowest and highest, alternating, corners, then random ones."""
    codes = rng.integers(CODE_MIN, CODE_MAX + 1, (count, *shape)).astype(np.int8)
    corners = np.zeros(shape, bool)
    corners[np.ix_(*([0, -1] for _ in shape))] = True
    odd = np.indices(shape).sum(axis=0) % 2 == 1
    kinds = [
        np.full(shape, CODE_MIN),
        np.full(shape, CODE_MAX),
        np.where(odd, CODE_MIN, CODE_MAX),
        np.where(corners, CODE_MAX, CODE_MIN),
        np.where(corners, CODE_MIN, codes[0]),
        rng.choice([CODE_MIN, CODE_MAX], shape),
    ]
    codes[: len(kinds)] = np.array(kinds)[:count]
    return codes


def model_inputs(graph: Graph, count: int, rng: np.random.Generator) -> Codes:
    """Arrays of the model's inputs that become ``probes``, by name."""
    arrays: Codes = {}
    for edge in graph.inputs:
        if edge.name not in arrays:
            arrays[edge.name] = _encoded_as(edge, probes(edge.shape, count, rng))
    return arrays


def _encoded_as(edge: HostEdge, codes: np.ndarray) -> np.ndarray:
    """The model's array of which the host makes these codes, but for their order."""
    if edge.dtype == "int8":
        return codes
    if edge.dtype == "uint8":
        return (codes.astype(np.int16) + 128).astype(np.uint8)
    step = next(step for step in edge.steps if isinstance(step, QuantizeStep))
    offset = 128 if step.dtype == "uint8" else 0
    centred = codes.astype(np.int32) + (offset - step.zero_point)
    return centred.astype(np.float32) * np.float32(step.scale)


def _pieces(graph: Graph) -> Sequence[Codes]:
    """The inputs of all samples, in pieces whose tensors fit into memory."""
    count = sample_count(graph)
    arrays = model_inputs(graph, count, np.random.default_rng(0))
    kept = sum(int(np.prod(tensor.shape)) for tensor in graph.tensors)
    step = max(1, AT_ONCE // kept)
    return [
        {name: array[first : first + step] for name, array in arrays.items()}
        for first in range(0, count, step)
    ]


def _both(before: Graph, after: Graph, inputs: Mapping[str, np.ndarray]) -> tuple[Codes, Codes]:
    """Codes of all tensors of both graphs; what the second one has in common is not run again."""
    ours = run(before, encode_inputs(before, inputs))
    given = encode_inputs(after, {edge.name: inputs[edge.name] for edge in after.inputs})
    known = {operator.output: operator for operator in before.operators}
    old = {tensor.name: tensor for tensor in before.tensors}
    new = {tensor.name: tensor for tensor in after.tensors}
    theirs = {name: _shared(ours.get(name), codes) for name, codes in given.items()}
    for operator in after.operators:
        names = (*operator.inputs, operator.output)
        unchanged = (
            known.get(operator.output) == operator
            and all(old.get(name) == new[name] for name in names)
            and all(theirs[name] is ours.get(name) for name in operator.inputs)
        )
        result = operator.output
        if unchanged:
            theirs[result] = ours[result]
        else:
            theirs[result] = _shared(ours.get(result), operator.compute(new, theirs))
    return ours, theirs


def _shared(known: np.ndarray | None, codes: np.ndarray) -> np.ndarray:
    """The array that is known already where it is the same."""
    return codes if known is None or not np.array_equal(known, codes) else known


def _comparable(edge: HostEdge, codes: np.ndarray) -> np.ndarray:
    """An output as far as the host moves or scales it: the order of a Softmax's sum is not ours."""
    return decode(edge.replace(steps=edge.steps[: _n_exact(edge)]), codes)


def _host_only(edge: HostEdge) -> object:
    return edge.steps[_n_exact(edge) :]


def _n_exact(edge: HostEdge) -> int:
    kinds = [type(step) for step in edge.steps]
    return kinds.index(SoftmaxStep) if SoftmaxStep in kinds else len(kinds)
