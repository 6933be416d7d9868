"""Whole plans, executed step by step by the interpreter, against the reference."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.e2e.layers import Layers
from tests.e2e.random_networks import KINDS, random_network
from tests.mapper.support import ENDLESS, codes, compact, conv_graph, edge, engine
from weft.errors import ModelError
from weft.gen.data import random_inputs
from weft.machine.check.execute import execute
from weft.machine.check.fault import PlanFault
from weft.machine.engine import Unit
from weft.machine.plan import Plan
from weft.mapper.build import FOLD_LEVELS, build
from weft.mapper.search import plan
from weft.nn.ir.checker import check
from weft.nn.ir.graph import Graph
from weft.nn.ir.numerics import scaling_of
from weft.nn.ir.ops.average_pool import AveragePool
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.reshape import Reshape
from weft.nn.ir.reference import run
from weft.nn.ir.window import Window

Sizes = tuple[int, ...]
"""Lanes, columns, results of the array and of the vector unit per cycle, taps."""

# Powers of two and none, from one result per cycle up to as many as lanes and columns.
ENGINES: list[Sizes] = [
    (1, 1, 1, 1, 1),
    (4, 4, 2, 1, 3),
    (3, 6, 3, 1, 2),
    (6, 12, 6, 3, 3),
    (5, 3, 1, 5, 1),
    (12, 3, 3, 4, 4),
    (6, 4, 2, 6, 2),
    (16, 8, 4, 8, 3),
    (8, 8, 8, 8, 3),
    (4, 1, 1, 2, 3),
    (1, 12, 1, 1, 3),
]


def made(graph: Graph, sizes: Sizes, level: int = 2) -> Plan:
    """The plan on a pinned engine; odd depths, so that no address is a power of two by chance."""
    return build(graph, ENDLESS, engine(*sizes), level)


def agree(graph: Graph, made: Plan, samples: int = 2, seed: int = 0) -> None:
    """The executed plan and the reference give the same outputs."""
    given = random_inputs(graph, samples, seed)
    expected, actual = run(graph, given), execute(made, given, seed)
    originals = {
        port.edge.tensor: edge.tensor
        for port, edge in zip(made.outputs.ports, graph.outputs, strict=True)
    }
    wanted = set(originals)
    assert set(actual) == wanted
    for name in wanted:
        np.testing.assert_array_equal(
            actual[name], expected[originals[name]], f"{graph.name}: {name}"
        )


@pytest.mark.parametrize("sizes", ENGINES, ids=str)
@pytest.mark.parametrize("kind", range(len(KINDS)), ids=lambda i: f"{KINDS[i]}-{i}")
def test_random_layers(kind: int, sizes: Sizes) -> None:
    for seed in range(kind, 3 * len(KINDS), len(KINDS)):
        graph = random_network(seed + 100 * ENGINES.index(sizes) * len(KINDS))
        check_counts(graph)
        agree(graph, made(graph, sizes), seed=seed)


COMPACT = [(2, 6, True, True), (3, 5, False, True), (4, 4, True, False), (5, 2, False, False)]


@pytest.mark.parametrize("shape", COMPACT, ids=str)
@pytest.mark.parametrize("kind", range(len(KINDS)), ids=lambda i: f"{KINDS[i]}-{i}")
def test_random_layers_on_compact_engines(kind: int, shape: tuple[int, int, bool, bool]) -> None:
    lanes, columns, single_port, streamed = shape
    machine = compact(lanes, columns, single_port=single_port, streamed=streamed)
    for seed in range(kind, 2 * len(KINDS), len(KINDS)):
        graph = random_network(seed)
        made = build(graph, ENDLESS, machine, seed % 3)
        assert bool(made.engine.memories.store) == streamed
        agree(graph, made, seed=seed)


def check_counts(graph: Graph) -> None:
    """Random average pools name more counts than they have; all other rules hold."""
    if not any(isinstance(op, AveragePool) and len(op.counts) > 1 for op in graph.operators):
        check(graph)


@pytest.mark.parametrize("kind", range(6), ids=lambda i: f"{KINDS[i]}-{i}")
def test_weights_of_nine_bits(kind: int) -> None:
    for seed in range(kind + len(KINDS), 100, len(KINDS)):
        graph = random_network(seed, wide_weights=True)
        wide = made(graph, (4, 4, 2, 4, 3))
        assert wide.engine.weight_bits == 9
        agree(graph, wide, seed=seed)


@pytest.mark.parametrize("sizes", [(4, 4, 2, 1), (6, 3, 3, 2), (16, 16, 1, 4)], ids=str)
@pytest.mark.parametrize("level", FOLD_LEVELS)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_folded_inputs(channels: int, level: int, sizes: Sizes) -> None:
    window = Window(kernel=(3, 2), stride=(2, 1), pads=(1, 0, 2, 1), dilation=(1, 2))
    graph = conv_graph((channels, 7, 9), 5, window)
    agree(graph, made(graph, sizes, level))


def dag(seed: int) -> Graph:
    """A network of up to a dozen operators, several inputs and outputs, tensors read repeatedly."""
    rng = np.random.default_rng(seed)
    layers = Layers(rng=rng, wide_weights=False)
    height, width = (int(n) for n in rng.integers(3, 7, 2))
    pool = [layers.input((int(layers.pick((1, 3, 5, 8))), height, width)) for _ in range(2)]
    same = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    for _ in range(int(rng.integers(4, 11))):
        a, b = layers.pick(pool), layers.pick(pool)
        match int(rng.integers(0, 6)):
            case 0:
                pool.append(layers.conv(a, int(layers.pick((2, 5, 8))), 1, same))
            case 1:
                pool.append(layers.conv(a, a.shape[0], a.shape[0], same))
            case 2:
                pool.append(layers.concat([a, b, a]))
            case 3:
                pool.append(layers.add(a, b if b.shape == a.shape else a))
            case 4:
                pool.append(layers.rescale(a))
            case 5:
                pool.append(layers.conv(a, b.shape[0], 1, Window(kernel=(1, 1))))
    ends = [pool[-1], layers.pick(pool), layers.pick(pool), layers.max_pool(pool[-1])]
    return layers.graph(f"dag-{seed}", [*ends, ends[0]])


@pytest.mark.parametrize("seed", range(24))
def test_random_graphs(seed: int) -> None:
    """Outputs that are consumed, outputs that are inputs, outputs given twice."""
    graph = dag(seed)
    check(graph)
    agree(graph, made(graph, ENGINES[seed % len(ENGINES)]), seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_the_chosen_engine(seed: int) -> None:
    graph = dag(seed)
    agree(graph, plan(graph, ENDLESS.replace(dsp=60)))


def test_concat_at_unaligned_channels_goes_through_the_array() -> None:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    parts = [layers.input((channels, 2, 3)) for channels in (3, 4, 1, 9)]
    graph = layers.graph("concat", [layers.concat(parts)])
    steps = made(graph, (8, 8, 2, 4)).steps
    # Parts begin at channels 0, 3, 7 and 8; 0 and 8 are multiples of the vector unit's R = 4, and
    # the array masks its groups of 2.
    assert [step.unit for step in steps] == [Unit.VECTOR, Unit.ARRAY, Unit.ARRAY, Unit.VECTOR]
    assert [step.write.first_lanes for step in steps] == [0b1111, 0b10, 0b10, 0b1111]
    assert [step.write.group for step in steps] == [0, 1, 3, 0]
    agree(graph, made(graph, (8, 8, 2, 4)))


@pytest.mark.parametrize("zero_point", [-7, 4])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4, 8, 4, 2)], ids=str)
def test_average_pool_ties(sizes: Sizes, inside: bool, zero_point: int) -> None:
    """Means of two codes are full of ties, which go to even with or without the zero point."""
    layers = Layers(rng=np.random.default_rng(1), wide_weights=False)
    source = layers.input((5, 2, 40))
    pool = layers.average_pool(source)
    window = Window(kernel=(2, 1))
    layers.tensors[-1] = pool.replace(shape=(5, 1, 40), zero_point=zero_point)
    (operator,) = layers.operators
    assert isinstance(operator, AveragePool)
    layers.operators[0] = operator.replace(
        window=window,
        counts=(2,),
        scalings=(scaling_of(0.5),),
        include_pad=False,
        zero_point_inside=inside,
        low=-128,
        high=127,
    )
    graph = layers.graph("ties", [layers.tensors[-1]])
    check(graph)
    agree(graph, made(graph, sizes), samples=4)


@pytest.mark.parametrize("sizes", [(4, 4, 2, 2), (3, 3, 1, 3)], ids=str)
def test_average_pool_of_the_elements_inside(sizes: Sizes) -> None:
    """Padding that does not count: one step per rectangle of equal counts."""
    layers = Layers(rng=np.random.default_rng(2), wide_weights=False)
    source = layers.input((5, 6, 7))
    layers.average_pool(source)
    counts = (4, 6, 9)
    window = Window(kernel=(3, 3), pads=(1, 1, 1, 1))
    layers.tensors[-1] = layers.tensors[-1].replace(shape=(5, 6, 7))
    operator = layers.operators[0]
    assert isinstance(operator, AveragePool)
    layers.operators[0] = operator.replace(
        window=window,
        counts=counts,
        scalings=tuple(scaling_of(1.3 / count) for count in counts),
        include_pad=False,
    )
    graph = layers.graph("inside", [layers.tensors[-1]])
    check(graph)
    plan_ = made(graph, sizes)
    assert len(plan_.steps) == 9
    agree(graph, plan_)


def test_add_of_a_tensor_with_itself() -> None:
    layers = Layers(rng=np.random.default_rng(3), wide_weights=False)
    source = layers.input((5, 3, 2))
    graph = layers.graph("twice", [layers.add(source, source)])
    agree(graph, made(graph, (4, 4, 1)), samples=8)


def test_an_input_as_output_is_copied() -> None:
    graph = conv_graph((3, 4, 4), 2, Window(kernel=(3, 3)))
    graph = graph.replace(outputs=(edge("x"), *graph.outputs, edge("x").replace(name="again")))
    copied = made(graph, (4, 4, 2))
    assert [port.edge.tensor for port in copied.outputs.ports] == ["x/copy", "y", "x/copy"]
    assert copied.outputs.ports[0].offset == copied.outputs.ports[2].offset
    agree(graph, copied)


def test_a_copy_takes_no_name_that_is_there() -> None:
    layers = Layers(rng=np.random.default_rng(6), wide_weights=False)
    source = layers.input((3, 2, 2))
    for name in ("copy", "copy_2"):
        layers.rescale(source)
        layers.tensors[-1] = layers.tensors[-1].replace(name=f"{source.name}/{name}")
        layers.operators[-1] = layers.operators[-1].replace(output=layers.tensors[-1].name)
    graph = layers.graph("names", [source, *layers.tensors[1:]])
    copied = made(graph, (4, 4))
    t = source.name
    assert [port.edge.tensor for port in copied.outputs.ports] == [
        f"{t}/copy_3",
        f"{t}/copy",
        f"{t}/copy_2",
    ]
    agree(graph, copied)


def test_inputs_in_any_order_of_use() -> None:
    layers = Layers(rng=np.random.default_rng(4), wide_weights=False)
    first, second = layers.input((3, 2, 2)), layers.input((5, 2, 2))
    graph = layers.graph("two", [layers.concat([second, first])])
    both = made(graph, (2, 2, 1))
    assert [port.edge.tensor for port in both.inputs.ports] == [first.name, second.name]
    agree(graph, both)


def test_reshape_is_refused() -> None:
    layers = Layers(rng=np.random.default_rng(5), wide_weights=False)
    source = layers.input((2, 2, 2))
    output = layers.tensor((8, 1, 1), source.zero_point)
    layers.operators.append(Reshape(name="flat", output=output.name, input=source.name))
    with pytest.raises(ModelError) as caught:
        made(layers.graph("r", [output]), (2, 2, 1))
    assert str(caught.value) == "node 'flat': Reshape is not an operator of the engine"


def test_sums_beyond_the_accumulator() -> None:
    graph = conv_graph((4, 1, 1), 2, Window(kernel=(1, 1)))
    conv = graph.operators[0].replace(bias=np.array([1 << 33, 0]))
    with pytest.raises(ModelError) as caught:
        made(graph.replace(operators=(conv,)), (4, 4, 1))
    assert str(caught.value) == "one-conv: sums of 35 bits exceed the 32-bit accumulators"


def test_the_interpreter_sees_a_wrong_plan() -> None:
    """Any one number of a step is wrong: the result is, or the interpreter refuses the plan."""
    graph = conv_graph((5, 6, 6), 7, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    right = made(graph, (4, 4, 2), level=0)
    (step,) = right.steps
    given = {"x": codes((5, 6, 6))}
    expected = execute(right, given)["y"]
    read, write = step.read, step.write
    for wrong in (
        step.replace(read=read.replace(base=read.base + 1)),
        step.replace(read=read.replace(pad_value=read.pad_value + 1)),
        step.replace(read=read.replace(y=read.y.replace(size=5))),
        step.replace(read=read.replace(x=read.x.replace(kernel_move=2))),
        step.replace(read=read.replace(moves=read.moves.replace(word=2))),
        step.replace(read=read.replace(moves=read.moves.replace(row=read.moves.row + 2))),
        step.replace(read=read.replace(bank=1 - read.bank)),
        step.replace(write=write.replace(bank=1 - write.bank)),
        step.replace(write=write.replace(groups_last=1)),
        step.replace(loops=step.loops.replace(lead=1)),
        step.replace(write=write.replace(col=write.col + 1)),
        step.replace(write=write.replace(first_lanes=0b10)),
        step.replace(write=write.replace(group=1)),
        step.replace(output=step.output.replace(odd=True, zero_point=9)),
        step.replace(param_base=1),
        step.replace(weight_base=1),
    ):
        try:
            actual = execute(right.replace(steps=(wrong,)), given)["y"]
        except PlanFault:
            continue
        assert not np.array_equal(actual, expected), wrong


@pytest.mark.parametrize(
    ("channels", "unit"),
    [
        (range(8, 13), Unit.VECTOR),
        (range(4), Unit.VECTOR),
        (range(16, 17), Unit.VECTOR),
        (range(3, 8), Unit.ARRAY),  # not from the start of a word on
        ((0, 1, 3), Unit.ARRAY),
        ((0, 0), Unit.ARRAY),
    ],
)
def test_channels_from_the_start_of_a_word_on_are_copied(
    channels: Sequence[int], unit: Unit
) -> None:
    layers = Layers(rng=np.random.default_rng(0), wide_weights=False)
    source = layers.input((17, 3, 4))
    weight = np.zeros((len(channels), 17, 1, 1), np.int16)
    weight[np.arange(len(channels)), channels] = 1
    picked = layers.tensor((len(channels), 3, 4), source.zero_point)
    layers.operators.append(
        Conv(
            name="pick",
            output=picked.name,
            input=source.name,
            weight=weight,
            bias=np.zeros(len(channels), np.int64),
            scaling=scaling_of(1.0),
            window=Window(kernel=(1, 1)),
        )
    )
    graph = layers.graph("pick", [picked])
    plan = made(graph, (4, 4, 2, 2, 1))
    assert [step.unit for step in plan.steps] == [unit]
    agree(graph, plan)
