"""Which steps run side by side, and the banks that this asks for."""

from dataclasses import replace

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.mapper.support import ENDLESS, compact, engine
from tests.mapper.test_allocate import random_lifetimes
from tests.mapper.test_lower import agree, dag
from weft.machine import timing
from weft.machine.plan import Plan
from weft.mapper.allocate import Lifetime, peak_live
from weft.mapper.banks import Parity, demands, follows
from weft.mapper.build import INPUTS, OUTPUTS, _place_banks, build
from weft.mapper.copies import with_copies
from weft.nn.ir.checker import check
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.add import Add
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window

SAME = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
POINT = Window(kernel=(1, 1))


def test_parity_of_a_chain() -> None:
    parity = Parity()
    assert parity.find("a") == ("a", 0)
    assert parity.link("a", "b", differ=True)
    assert parity.link("b", "c", differ=True)
    assert parity.link("a", "c", differ=False)  # what follows already
    assert not parity.link("a", "c", differ=True)
    assert not parity.link("c", "b", differ=False)
    assert parity.link("d", "c", differ=False)
    bits = {name: parity.find(name)[1] for name in "abcd"}
    assert len({parity.find(name)[0] for name in "abcd"}) == 1
    assert bits["a"] == bits["c"] == bits["d"] != bits["b"]


@pytest.mark.parametrize("seed", range(20))
def test_parity_is_a_colouring(seed: int) -> None:
    """Random demands from a hidden colouring are all met; a contradiction is found."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 2, 12)
    parity = Parity()
    for _ in range(40):
        a, b = (int(i) for i in rng.integers(0, 12, 2))
        assert parity.link(str(a), str(b), differ=bool(colour[a] != colour[b]))
    for a in range(12):
        for b in range(12):
            (root_a, bit_a), (root_b, bit_b) = parity.find(str(a)), parity.find(str(b))
            if root_a == root_b:
                assert (bit_a != bit_b) == (colour[a] != colour[b])
                assert not parity.link(str(a), str(b), differ=bool(colour[a] == colour[b]))


def layers() -> Layers:
    return Layers(rng=np.random.default_rng(0), wide_weights=False)


def made(graph: Graph, lanes: int = 4, columns: int = 4) -> Plan:
    return build(graph, ENDLESS, engine(lanes, columns, 4, 4, taps=3), 0)


def following(plan: Plan) -> list[str]:
    """Names of the steps that run beside the one before them."""
    return [step.name for step in plan.steps if step.follow]


def depthwise(net: Layers, source: Tensor, window: Window = SAME) -> Tensor:
    return net.conv(source, source.shape[0], source.shape[0], window)


def test_a_chain_of_both_units_alternates_between_the_banks() -> None:
    net = layers()
    tensor = net.input((4, 6, 6))
    for _ in range(2):
        tensor = net.conv(depthwise(net, tensor), 4, 1, POINT)
    plan = made(net.graph("chain", [tensor]))
    assert following(plan) == ["conv1", "conv2", "conv3"]
    banks = [step.read.bank for step in plan.steps]
    assert banks in ([0, 1, 0, 1], [1, 0, 1, 0])
    assert [step.write.bank for step in plan.steps] == [1 - bank for bank in banks]
    assert [step.follow.need for step in plan.steps[1:] if step.follow] == [1, 2, 1]


def test_steps_of_one_unit_do_not_overlap() -> None:
    net = layers()
    first = net.conv(net.input((4, 6, 6)), 4, 1, SAME)
    plan = made(net.graph("same", [net.conv(first, 4, 1, SAME)]))
    assert following(plan) == []


def test_a_step_follows_only_what_it_reads() -> None:
    net = layers()
    a, b = net.input((4, 6, 6)), net.input((4, 6, 6))
    first, second = net.conv(a, 4, 1, SAME), depthwise(net, b)
    assert following(made(net.graph("two", [first, second]))) == []


def test_rows_too_short_to_count_are_not_followed() -> None:
    """A row of a step that follows takes at least the cycles of the comparison for the next."""
    for width in (2, 3):
        net = layers()
        tensor = net.conv(net.input((4, 5, width)), 4, 1, SAME)
        plan = made(net.graph("short", [net.rescale(tensor)]))
        assert plan.steps[1].loops.row_cycles == width
        assert bool(following(plan)) == (width >= timing.MIN_FOLLOW_CYCLES == 3)


def test_a_row_of_padding_waits_for_all() -> None:
    """It would be issued at once, while an earlier step's results may still be written."""
    for top in (2, 3):
        net = layers()
        tensor = net.conv(net.input((4, 5, 5)), 4, 1, SAME)
        tensor = depthwise(net, tensor, Window(kernel=(3, 1), pads=(top, 0, 0, 0)))
        plan = made(net.graph("padded", [tensor]))
        assert bool(following(plan)) == (top == 2)


def test_a_residual_block_keeps_both_operands_of_the_add_in_one_bank() -> None:
    """The Add may follow: what its producer reads lies in the other bank."""
    net = layers()
    source = net.input((4, 6, 6))
    stem = net.conv(source, 4, 1, SAME)
    inner = depthwise(net, stem)
    last = net.conv(inner, 4, 1, SAME)
    total = net.add(stem, last)
    plan = made(net.graph("residual", [total]))
    banks = {x.tensor: x.bank for x in plan.buffers}
    assert banks[stem.name] == banks[last.name]
    # stem | inner differ and inner | last differ: both can be.
    assert following(plan) == ["conv1", "conv2", "add3"]
    assert banks[INPUTS] == banks[inner.name] == banks[OUTPUTS] != banks[stem.name]


def test_the_add_may_forbid_what_its_operands_want() -> None:
    """The Add reads its producer's input, too: they lie in one bank, so it cannot follow."""
    net = layers()
    source = depthwise(net, net.input((4, 6, 6)))
    last = net.conv(source, 4, 1, SAME)
    plan = made(net.graph("short-cut", [net.add(source, last)]))
    banks = {x.tensor: x.bank for x in plan.buffers}
    assert banks[source.name] == banks[last.name]
    assert following(plan) == []


def test_greedy_by_gain() -> None:
    """Two overlaps that exclude each other: the one that saves more is taken."""
    net = layers()
    source = net.input((4, 6, 6))
    first = net.conv(source, 4, 1, POINT)  # 36 cycles
    second = depthwise(net, first, Window(kernel=(5, 5), pads=(2, 2, 2, 2)))
    third = net.conv(second, 4, 1, SAME)  # 324 cycles
    graph = net.graph("gain", [third])
    engine_ = engine(4, 4, 4, 4)
    rough = build(graph, ENDLESS, engine_, 0)
    spans = {tensor.name: (i, i) for i, tensor in enumerate((first, second, third))}
    for forced, expected in (
        ((source.name, third.name, True), [1, 2]),  # the chain: input and third differ
        ((source.name, third.name, False), [2]),  # only one: the pair of the two long steps
    ):
        parity = Parity()
        assert parity.link(*forced)
        found = follows(graph, rough.steps, spans, {}, parity)
        assert sorted(found) == expected


def test_regions_count_as_one_buffer() -> None:
    """All inputs lie in one bank; a step that writes an output beside its reader, in another."""
    net = layers()
    first = net.conv(net.input((4, 6, 6)), 4, 1, SAME)
    second = depthwise(net, first)
    plan = made(net.graph("both", [first, second]))
    assert following(plan) == []  # both are outputs: one region, which cannot differ from itself


def test_add_operands_in_one_bank_without_any_overlap() -> None:
    net = layers()
    a, b = net.input((4, 2, 1)), net.input((4, 2, 1))
    left = net.conv(a, 4, 1, POINT)
    plan = made(net.graph("add", [net.add(left, b)]))
    (add,) = (op for op in net.operators if isinstance(op, Add))
    banks = {x.tensor: x.bank for x in plan.buffers}
    assert add.a == left.name
    assert banks[left.name] == banks[INPUTS]


def residual(n_convs: int) -> Graph:
    """A block of so many convolutions around which its input is added."""
    net = layers()
    source = net.conv(net.input((4, 5, 5)), 4, 1, SAME)
    branch = source
    for _ in range(n_convs):
        branch = net.conv(branch, 4, 1, SAME)
    return net.graph("residual", [net.add(source, branch)])


def test_single_ported_banks_alternate() -> None:
    graph = residual(2)
    parity = demands(graph, {}, single_port=True)
    for operator in graph.operators:
        for name in operator.inputs:
            (root, bit), (other_root, other_bit) = parity.find(name), parity.find(operator.output)
            assert root == other_root
            assert bit != other_bit


@pytest.mark.parametrize(("n_convs", "n_copies"), [(1, 1), (2, 0), (3, 1)])
def test_a_single_port_takes_a_copy_where_paths_differ(n_convs: int, n_copies: int) -> None:
    """An Add reads both operands from one bank; a block of one convolution puts them in two."""
    graph = residual(n_convs)
    found = with_copies(graph, {})
    check(found)
    assert len(found.operators) - len(graph.operators) == n_copies
    demands(found, {}, single_port=True)
    plan = build(graph, ENDLESS, compact(4, 4, single_port=True, streamed=False), 0)
    agree(graph, plan)
    assert len(plan.steps) == len(found.operators)


@pytest.mark.parametrize("seed", range(30))
def test_a_single_port_serves_every_network(seed: int) -> None:
    graph = dag(seed)
    plan = build(graph, ENDLESS, compact(3, 4, single_port=True, streamed=seed % 2 == 0), 0)
    agree(graph, plan, seed=seed)


class Groups:
    """What a Parity says, by going through all links that were made."""

    def __init__(self) -> None:
        self.links: list[tuple[str, str, bool]] = []

    def of(self, name: str) -> dict[str, bool]:
        """Everything tied to a name, and whether it lies in the other bank."""
        found = {name: False}
        while True:
            before = len(found)
            for a, b, differ in self.links:
                for x, y in ((a, b), (b, a)):
                    if x in found:
                        found.setdefault(y, found[x] ^ differ)
            if len(found) == before:
                return found


@pytest.mark.parametrize("seed", range(10))
def test_parity_is_what_its_links_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parity, groups = Parity(), Groups()
    for _ in range(60):
        a, b = (f"t{i}" for i in rng.integers(0, 25, 2))
        differ = bool(rng.integers(2))
        tied = groups.of(a)
        possible = b not in tied or tied[b] == differ
        assert parity.link(a, b, differ) == possible
        if possible:
            groups.links.append((a, b, differ))
        for other, apart in groups.of(a).items():
            (root_a, bit_a), (root_b, bit_b) = parity.find(a), parity.find(other)
            assert (root_a, bool(bit_a ^ bit_b)) == (root_b, apart)


def test_long_chains_of_links() -> None:
    parity = Parity()
    for i in range(5000):  # each time the whole chain hangs below a new name
        assert parity.link(f"t{i}", f"t{i + 1}", differ=True)
    assert parity.find("t0")[1] == parity.find("t5000")[1] == 0
    assert parity.find("t1")[1] == 1


def placed_by_both_ways(given: list[Lifetime], parity: Parity) -> list[Lifetime]:
    """Each group, the largest first, as it is or exchanged: whichever makes the lower peaks."""
    groups: dict[str, list[tuple[Lifetime, int]]] = {}
    for lifetime in given:
        root, bit = parity.find(lifetime.tensor)
        groups.setdefault(root, []).append((lifetime, bit))
    placed: list[Lifetime] = []
    for members in sorted(groups.values(), key=lambda g: -sum(x.words for x, _ in g)):
        ways = [[*placed, *(replace(x, bank=bit ^ flip) for x, bit in members)] for flip in (0, 1)]
        peaks = [
            sum(peak_live([x for x in way if x.bank == bank]) for bank in (0, 1)) for way in ways
        ]
        placed = ways[peaks[1] < peaks[0]]
    return placed


@pytest.mark.parametrize("seed", range(30))
def test_groups_lie_where_they_add_least(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given, parity = random_lifetimes(seed, 30), Parity()
    for _ in range(12):
        a, b = rng.integers(0, len(given), 2)
        parity.link(given[a].tensor, given[b].tensor, bool(rng.integers(2)))
    assert _place_banks(given, parity) == placed_by_both_ways(given, parity)
