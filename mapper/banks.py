"""Which bank each buffer lies in, and which steps may run beside the step before them.

Two steps that run at the same time read different banks and write different banks. A step that
follows reads what the step before it writes, so the tensors along a chain of such steps lie in
alternating banks. Both operands of an Add or a Mul lie in one bank.
"""

from collections.abc import Sequence

from weft.machine.plan import Rows, Step
from weft.machine.timing import MIN_FOLLOW_CYCLES, issue_cycles
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.add import Add
from weft.nn.ir.ops.mul import Mul


class Parity:
    """Names that must lie in equal or in different banks (a union-find with one bit per link)."""

    def __init__(self) -> None:
        self._parent: dict[str, tuple[str, int]] = {}

    def find(self, name: str) -> tuple[str, int]:
        """The representative of a name, and whether the two lie in different banks."""
        path = []
        root, bit = name, 0
        while root in self._parent:
            path.append(root)
            root, more = self._parent[root]
            bit ^= more
        found = root, bit
        for passed in path:  # all of them are next to the root from now on
            parent_bit = self._parent[passed][1]
            self._parent[passed] = root, bit
            bit ^= parent_bit
        return found

    def link(self, a: str, b: str, differ: bool) -> bool:
        """Demand that a and b lie in equal or different banks; False if that cannot be."""
        (root_a, bit_a), (root_b, bit_b) = self.find(a), self.find(b)
        if root_a == root_b:
            return bit_a ^ bit_b == int(differ)
        self._parent[root_a] = (root_b, bit_a ^ bit_b ^ int(differ))
        return True


def demands(graph: Graph, region_of: dict[str, str], single_port: bool) -> Parity:
    """What the operators demand of the banks; with single-ported memories, also that each reads one
    bank and writes the other, which ``copies.with_copies`` has made possible.
    """
    parity = Parity()

    def link(a: str, b: str, differ: bool) -> None:
        possible = parity.link(region_of.get(a, a), region_of.get(b, b), differ)
        assert possible, f"{a!r} and {b!r} cannot lie in banks as they should"

    for operator in graph.operators:
        if isinstance(operator, Add | Mul):
            link(operator.a, operator.b, differ=False)
        if single_port:
            for name in operator.inputs:
                link(name, operator.output, differ=True)
    return parity


def follows(
    graph: Graph,
    steps: Sequence[Step],
    spans: dict[str, tuple[int, int]],
    region_of: dict[str, str],
    parity: Parity,
) -> dict[int, Rows]:
    """Steps that run beside the one before them, the most worthwhile first.

    spans: first and last step of each operator by its output; region_of: tensors that lie in a
    buffer of another name. ``parity`` gains the demands on the banks.
    """

    def buffer(name: str) -> str:
        return region_of.get(name, name)

    found = {}
    for gain, index, before, operator in sorted(_candidates(graph, steps, spans), reverse=True):
        del gain
        first, second = graph.producer(before), graph.producer(operator)
        assert first is not None
        assert second is not None
        middle = buffer(first.output)
        reads = {buffer(name) for name in first.inputs}
        if middle in reads or buffer(second.output) in (middle, *reads):
            continue
        trial = [(name, middle) for name in (*reads, buffer(second.output))]
        possible = all(_can_differ(parity, a, b) for a, b in trial)
        if possible and all(parity.link(a, b, differ=True) for a, b in trial):
            found[index] = Rows(step=index - 1, need=_need(steps[index]))
    return found


def _can_differ(parity: Parity, a: str, b: str) -> bool:
    (root_a, bit_a), (root_b, bit_b) = parity.find(a), parity.find(b)
    return root_a != root_b or bit_a != bit_b


def _candidates(graph: Graph, steps: Sequence[Step], spans: dict[str, tuple[int, int]]):
    """(cycles gained at most, step, output before, output) where one single step reads the last."""
    for first, second in zip(graph.operators, graph.operators[1:], strict=False):
        a, b = spans[first.output], spans[second.output]
        if a[0] != a[1] or b[0] != b[1] or first.output not in second.inputs:
            continue
        before, after = steps[a[0]], steps[b[0]]
        if before.unit is after.unit or after.loops.row_cycles < MIN_FOLLOW_CYCLES:
            continue
        if _need(after) < 1:  # a first row of padding only would not wait for the step before
            continue
        gain = min(issue_cycles(before), issue_cycles(after))
        yield gain, b[0], first.output, second.output


def _need(step: Step) -> int:
    """Rows of its input that a step's first output row reads."""
    y = step.read.y
    return y.origin + (step.loops.kernel_rows - 1) * y.kernel_move + 1
