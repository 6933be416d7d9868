"""Simplified networks compute the same codes, for every input, and keep what they must."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.random_chains import Chain, random_chain, some_inputs
from weft.nn.ir.checker import check
from weft.nn.ir.graph import Graph
from weft.nn.ir.host import encode
from weft.nn.ir.numerics import requantise, scaling_of
from weft.nn.ir.operator import Operator
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ranges import code_ranges
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import Tensor
from weft.nn.ir.window import Window
from weft.nn.onnx.importer import import_model
from weft.nn.passes.simplify import SimplifyReport, compare, macs_of, simplify, weights_of

ModelFile = Callable[[str], Path]
SEEDS = range(300)


def assert_same_outputs(graph: Graph, simple: Graph, codes: dict[str, np.ndarray]) -> None:
    wanted = run(graph, codes)
    ours = run(simple, {edge.tensor: codes[edge.tensor] for edge in simple.inputs})
    for before, after in zip(graph.outputs, simple.outputs, strict=True):
        assert np.array_equal(ours[after.tensor], wanted[before.tensor]), before.name


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_keep_every_output_bit(seed: int) -> None:
    graph = random_chain(seed)
    check(graph)
    simple = simplify(graph)
    check(simple)
    assert_same_outputs(graph, simple, some_inputs(graph))
    assert simplify(simple) == simple
    assert (simple.macs, simple.notes) == (graph.macs, graph.notes)
    assert macs_of(simple) <= macs_of(graph)
    for edge in simple.inputs:
        assert simple.tensor(edge.tensor) == graph.tensor(edge.tensor)
    for before, after in zip(graph.outputs, simple.outputs, strict=True):
        assert simple.tensor(after.tensor).shape == graph.tensor(before.tensor).shape
    for operator in simple.operators:
        if isinstance(operator, Conv):
            (old,) = [op for op in graph.operators if op.name == operator.name]
            assert isinstance(old, Conv)
            assert accumulator_bound(operator) <= accumulator_bound(old)


def accumulator_bound(conv: Conv) -> int:
    """C4: the largest |acc| of any channel; folding must not make it larger."""
    sums = 255 * np.abs(conv.weight.astype(np.int64)).sum(axis=(1, 2, 3)) + np.abs(conv.bias)
    return int(sums.max())


def test_random_networks_shrink_in_every_way() -> None:
    narrowed: Counter[str] = Counter()
    for seed in SEEDS:
        graph = random_chain(seed)
        simple = simplify(graph)
        codes = run(graph, some_inputs(graph))
        narrowed["alive"] += any(np.ptp(codes[e.tensor], axis=0).any() for e in graph.outputs)
        shapes = {tensor.name: tensor.shape[0] for tensor in graph.tensors}
        narrowed["operators"] += len(graph.operators) - len(simple.operators)
        for op in simple.operators:
            grouped = isinstance(op, Conv) and op.groups > 1
            smaller = simple.tensor(op.output).shape[0] < shapes[op.output]
            narrowed["grouped" if grouped else op.type] += smaller
    kinds = {"Conv", "grouped", "Add", "Mul", "MaxPool", "AveragePool", "Rescale", "Concat", "Move"}
    assert set(narrowed) == kinds | {"operators", "alive"}
    assert min(narrowed.values()) >= 4, narrowed
    assert narrowed["alive"] > len(SEEDS) / 3


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_ranges_hold_every_code(seed: int) -> None:
    graph = random_chain(seed)
    ranges = code_ranges(graph)
    for name, codes in run(graph, some_inputs(graph)).items():
        assert np.all((ranges[name].low <= codes) & (codes <= ranges[name].high)), name


@pytest.mark.parametrize("odd", [False, True])
def test_c3_rounding_never_falls(odd: bool) -> None:
    """What the ranges rest on: a larger accumulator never gives a smaller code."""
    rng = np.random.default_rng(5)
    factors = np.concatenate([2.0 ** rng.uniform(-36, 9, 40), 2.0 ** np.arange(-30, 10), [0]])
    for centre in (0, 1 << 16, 1 << 24, -(1 << 24), (1 << 31) - 5000):
        acc = (centre + np.arange(-4999, 4999)).reshape(1, 1, 1, -1)
        shown = np.minimum(factors, 100 / max(1, abs(centre)))  # not saturated
        for scaling in (scaling_of(factors), scaling_of(shown), scaling_of(0.5)):
            codes = requantise(acc, scaling, 3, -128, 127, odd=odd).astype(int)
            assert np.diff(codes).min() >= 0


def make(zero_point: int = 0, channels: int = 4, size: int = 5) -> tuple[Chain, Tensor]:
    """A network under construction whose first tensor has one channel of the constant code 9."""
    chain = Chain(rng=np.random.default_rng(7), wide_weights=False)
    hidden = plain_conv(chain, chain.input((3, size, size)), channels, zero_point=zero_point)
    change(chain, -1, empty=[1], code=9)
    return chain, hidden


def plain_conv(
    chain: Chain, source: Tensor, n_out: int, groups: int = 1, zero_point: int = 0, **window: Any
) -> Tensor:
    """A Conv with no weight zero and nothing clamped."""
    kernel = window.pop("kernel", (1, 1))
    view = Window(kernel=kernel, **window)  # pyright: ignore[reportArgumentType]
    shape = (n_out, source.shape[0] // groups, *view.kernel)
    weight = chain.rng.integers(1, 9, shape) * chain.rng.choice([-1, 1], shape)
    output = chain.tensor((n_out, *view.output_size(*source.shape[1:])), zero_point)
    conv = Conv(
        name=f"conv{len(chain.operators)}",
        output=output.name,
        input=source.name,
        weight=weight.astype(np.int16),
        bias=chain.rng.integers(-99, 99, n_out),
        scaling=scaling_of(0.1),
        window=view,
        groups=groups,
    )
    chain.operators.append(conv)
    return output


def change(chain: Chain, index: int, empty: list[int], code: int = 0) -> None:
    """Make output channels of a Conv constant, all with one code."""
    conv = chain.operators[index]
    assert isinstance(conv, Conv)
    weight, bias = conv.weight.copy(), conv.bias.copy()
    weight[empty] = 0
    zero_point = next(t.zero_point for t in chain.tensors if t.name == conv.output)
    bias[empty] = (code - zero_point) * 10
    chain.operators[index] = conv.replace(weight=weight, bias=bias)


def shapes_after(chain: Chain, output: Tensor) -> dict[str, int]:
    """Channels of every tensor after simplification, which must keep the outputs."""
    graph = chain.graph("g", [output])
    simple = simplify(graph)
    assert_same_outputs(graph, simple, some_inputs(graph))
    return {tensor.name: tensor.shape[0] for tensor in simple.tensors}


@pytest.mark.parametrize(
    ("zero_point", "window", "channels"),
    [
        (0, {}, 3),  # 1x1: no padding
        (0, {"kernel": (3, 3)}, 3),
        (9, {"kernel": (3, 3), "pads": (1, 1, 1, 1)}, 3),  # the constant is the padding
        (0, {"kernel": (3, 3), "pads": (1, 1, 1, 1)}, 4),  # border and centre differ
        (0, {"kernel": (3, 3), "pads": (0, 0, 1, 0)}, 4),
        (0, {"kernel": (1, 2), "stride": (1, 7), "pads": (0, 1, 0, 0)}, 3),  # all windows alike
    ],
)
@pytest.mark.parametrize("depthwise", [False, True])
def test_a_constant_is_folded_where_padding_permits(
    depthwise: bool, zero_point: int, window: dict[str, Any], channels: int
) -> None:
    chain, hidden = make(zero_point)
    inner = plain_conv(chain, hidden, 4, groups=4 if depthwise else 1, **window)
    output = plain_conv(chain, inner, 2) if depthwise else inner
    after = shapes_after(chain, output)
    assert after[hidden.name] == channels
    if depthwise:
        assert after[inner.name] == channels


def test_a_border_that_no_code_shows_does_not_matter() -> None:
    chain, hidden = make()
    same = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}
    inner = plain_conv(chain, hidden, 4, groups=4, **same)
    conv = chain.operators[-1]
    assert isinstance(conv, Conv)
    chain.operators[-1] = conv.replace(low=5, high=5 + 60, bias=conv.bias * 0 - 99_999)
    after = shapes_after(chain, plain_conv(chain, inner, 2))
    assert after[inner.name] == 1  # all four are clamped everywhere; one stays


def test_a_border_behind_a_pool_is_a_number_again() -> None:
    chain, hidden = make()
    inner = plain_conv(chain, hidden, 4, groups=4, kernel=(3, 3), pads=(1, 1, 1, 1))
    assert not code_ranges(chain.graph("g", [inner]))[inner.name].flat.any()
    pooled = chain.average_pool(inner)
    pool = chain.operators[-1].replace(
        window=Window(kernel=(5, 5)), counts=(25,), scalings=(scaling_of(0.04),), include_pad=False
    )
    chain.operators[-1] = pool
    chain.tensors[-1] = pooled.replace(shape=(4, 1, 1))
    after = shapes_after(chain, plain_conv(chain, chain.tensors[-1], 2))
    assert [after[t.name] for t in (hidden, inner, pooled)] == [3, 3, 3]


@pytest.mark.parametrize("both", [False, True])
def test_an_add_loses_channels_that_are_constant_in_both(both: bool) -> None:
    chain, hidden = make()
    other = plain_conv(chain, hidden, 4)
    change(chain, -1, empty=[1] if both else [2], code=-5)
    total = chain.add(hidden, other)
    factors = (1 << 23, 1 << 22)
    chain.operators[-1] = chain.operators[-1].replace(
        low=-128, high=127, multipliers=factors, shift=24
    )
    after = shapes_after(chain, plain_conv(chain, total, 2))
    count = 3 if both else 4
    assert [after[t.name] for t in (hidden, other, total)] == [count] * 3


def test_a_concat_loses_the_constants_of_its_parts() -> None:
    chain, hidden = make()
    other = plain_conv(chain, hidden, 5)
    change(chain, -1, empty=[0, 4])
    joined = chain.concat([hidden, other])
    after = shapes_after(chain, plain_conv(chain, joined, 2))
    assert [after[t.name] for t in (hidden, other, joined)] == [3, 3, 6]


def test_channels_that_nobody_uses_go_and_take_what_fed_them() -> None:
    chain, hidden = make()
    inner = plain_conv(chain, hidden, 4, groups=4, kernel=(3, 3), pads=(1, 1, 1, 1))
    output = plain_conv(chain, inner, 2)
    conv = chain.operators[-1]
    assert isinstance(conv, Conv)
    weight = conv.weight.copy()
    weight[:, [1, 3]] = 0
    chain.operators[-1] = conv.replace(weight=weight)
    after = shapes_after(chain, output)
    assert [after[t.name] for t in (hidden, inner)] == [2, 2]


def test_outputs_and_one_channel_of_every_tensor_stay() -> None:
    chain, hidden = make()
    change(chain, -1, empty=[0, 1, 2, 3])
    output = plain_conv(chain, hidden, 4)
    after = shapes_after(chain, output)
    assert after == {"t0": 3, hidden.name: 1, output.name: 4}
    assert shapes_after(chain, hidden)[hidden.name] == 4


def rescale_of_one(chain: Chain, source: Tensor, low: int, high: int) -> Tensor:
    output = chain.same_scale(source)
    chain.operators[-1] = chain.operators[-1].replace(low=low, high=high)
    return output


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((-128, 127), (0, 60), (0, 60)),
        ((-20, 30), (-50, 100), (-20, 30)),  # wider: nothing is left to do
        ((-20, 30), (0, 100), (0, 30)),
        ((-20, 30), (50, 100), (50, 50)),  # apart: one code is left
    ],
)
def test_a_clamp_goes_into_the_operator_before(
    first: tuple[int, int], second: tuple[int, int], wanted: tuple[int, int]
) -> None:
    chain, hidden = make()
    chain.operators[-1] = chain.operators[-1].replace(low=first[0], high=first[1])
    clamped = rescale_of_one(chain, hidden, *second)
    graph = chain.graph("g", [clamped])
    (operator,) = simplify(graph).operators
    assert (operator.type, operator.low, operator.high) == ("Conv", *wanted)
    assert_same_outputs(graph, simplify(graph), some_inputs(graph))


def kinds_after(chain: Chain, outputs: list[Tensor]) -> list[str]:
    graph = chain.graph("g", outputs)
    simple = simplify(graph)
    assert_same_outputs(graph, simple, some_inputs(graph))
    return [operator.type for operator in simple.operators]


def test_a_clamp_stays_where_others_need_the_codes_before_it() -> None:
    chain, hidden = make()
    clamped = rescale_of_one(chain, hidden, 0, 60)
    assert kinds_after(chain, [hidden, clamped]) == ["Conv", "Rescale"]
    other = rescale_of_one(chain, hidden, -4, 127)
    assert kinds_after(chain, [clamped, other]) == ["Conv", "Rescale", "Rescale"]


def test_a_rescale_that_is_more_than_a_clamp_stays() -> None:
    chain, hidden = make()
    output = rescale_of_one(chain, hidden, -128, 127)
    moved: Operator = chain.operators[-1].replace(scaling=scaling_of(1.01))
    chain.operators[-1] = moved
    assert kinds_after(chain, [output]) == ["Conv", "Rescale"]


def test_codes_that_stay_but_mean_something_else_are_not_merged() -> None:
    chain, hidden = make()
    chain.operators[-1] = chain.operators[-1].replace(low=5, high=6)
    moved = rescale_of_one(chain, hidden, 5, 6)
    chain.tensors[-1] = moved.replace(zero_point=-5)
    chain.operators[-1] = chain.operators[-1].replace(scaling=scaling_of(1.9))
    output = plain_conv(chain, moved, 2, kernel=(3, 3), pads=(1, 1, 1, 1))
    assert kinds_after(chain, [output]) == ["Conv", "Rescale", "Conv"]


def test_an_operator_stays_between_an_input_and_an_output() -> None:
    chain = Chain(rng=np.random.default_rng(7), wide_weights=False)
    output = rescale_of_one(chain, chain.input((2, 3, 3)), -128, 127)
    assert kinds_after(chain, [output]) == ["Rescale"]


def test_report() -> None:
    chain, hidden = make()
    output = plain_conv(chain, rescale_of_one(chain, hidden, -128, 127), 2)
    graph = chain.graph("g", [output])
    report = compare(graph, simplify(graph))
    assert str(report) == (
        "simplified: 1 operator and 5 channels removed, weights 20 -> 15, MACs 500 -> 375"
    )
    assert str(compare(graph, graph)) == "simplified: nothing to remove"


def test_vww_folds_to_half(model_file: ModelFile) -> None:
    path = model_file("mlperf_tiny/vww.onnx")
    graph, simple = import_model(path, simplify=False), import_model(path)
    assert simple == simplify(graph)
    assert compare(graph, simple) == SimplifyReport(
        operators_removed=0,
        channels_removed=1_958,
        weights_before=208_112,
        weights_after=29_066,
        macs_before=7_489_664,
        macs_after=3_727_313,
    )
    assert_same_outputs(graph, simple, some_inputs(graph, n_random=20))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("mlperf_tiny/kws", "mlperf_tiny/kws_data"),
        ("mlperf_tiny/ic", "mlperf_tiny/ic_data"),
        ("mlperf_tiny/ad", ""),  # no data set comes with it: its realistic range
        ("digits/qdq_s8_cnn", "digits/qdq_s8_cnn"),
        ("digits/qdq_u8_cnn", "digits/qdq_u8_cnn"),
    ],
)
def test_other_networks_have_nothing_to_fold(model_file: ModelFile, name: str, data: str) -> None:
    path = model_file(f"{name}.onnx")
    graph, simple = import_model(path, simplify=False), import_model(path)
    assert macs_of(graph) == graph.macs == macs_of(simple)
    assert weights_of(simple) == weights_of(graph)
    x = np.random.default_rng(1).uniform(-45, 15, (100, 640)).astype(np.float32)
    if data:
        x = np.load(model_file(f"{data}.npz"))["x"][:100]
    (edge,) = graph.inputs
    assert_same_outputs(graph, simple, {edge.tensor: encode(edge, x)})
