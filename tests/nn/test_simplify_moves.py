"""Moves that go into their neighbours: the same codes, by fewer operators."""

import itertools

import numpy as np
import pytest

from tests.e2e.layer_choices import Clamp
from tests.e2e.layers import Layers
from weft.nn.ir.graph import Graph
from weft.nn.ir.ops.conv import Conv
from weft.nn.ir.ops.move import Move
from weft.nn.ir.reference import run
from weft.nn.ir.tensor import CODE_MAX, Tensor
from weft.nn.ir.window import Window
from weft.nn.passes.simplify import simplify


class Plain(Layers):
    """No clamps, so that they do not keep Moves where they are."""

    def clamp(self) -> Clamp:
        return {}

    def moved(self, source: Tensor, rows: list[int], cols: list[int], **rest: object) -> Tensor:
        output = self.tensor((source.shape[0], len(rows), len(cols)), source.zero_point)
        name = f"move{len(self.operators)}"
        move = Move(name=name, output=output.name, input=source.name, rows=tuple(rows),
                    cols=tuple(cols), **{"fill": source.zero_point, **rest})  # fmt: skip
        self.operators.append(move)
        return output

    def framed(self, source: Tensor) -> Tensor:
        """Padded by the zero point, or cut, or both, at each side."""
        lines = []
        for size in source.shape[1:]:
            begin, end = (int(n) for n in self.rng.integers(-2, 4, 2))
            if begin + end <= -size:
                begin = end = 1
            line = [i if 0 <= i < size else -1 for i in range(-begin, size + end)]
            if self.rng.random() < 0.2:  # what is cut is filled again
                line[0] = line[-1] = -1
            lines.append(line)
        return self.moved(source, *lines)


def kinds(graph: Graph) -> list[str]:
    return [operator.type for operator in graph.operators]


def same(graph: Graph, name: str) -> Graph:
    """The simplified graph, once it is known to give the same codes."""
    rng = np.random.default_rng(0)
    given = {
        edge.tensor: rng.integers(-128, 128, (3, *graph.tensor(edge.tensor).shape)).astype(np.int8)
        for edge in graph.inputs
    }
    simple = simplify(graph)
    assert np.array_equal(run(simple, given)[name], run(graph, given)[name])
    return simple


@pytest.mark.parametrize("stretched", [False, True])
def test_frames_go_into_windows(stretched: bool) -> None:
    gone = 0
    for seed in range(150):
        layers = Plain(rng=np.random.default_rng(seed), wide_weights=False)
        tensor = layers.conv(layers.image(3), 4, 1, Window(kernel=(1, 1)))
        framed = layers.framed(tensor)
        window = layers.stretched(framed) if stretched else layers.window(framed)
        target = layers.conv(framed, 2, int(layers.pick((1, 2))), window)
        simple = same(layers.graph("frame", [target]), target.name)
        gone += kinds(simple) == ["Conv", "Conv"]
    assert 30 < gone < 150


def test_every_cut_and_fill_of_both_sides() -> None:
    """Of rows or columns, by one Move or by two; a side with a cut and a fill stays a Move."""
    begins = itertools.product(range(3), repeat=2)
    ends = ((0, 0), (1, 0), (0, 2), (2, 1))
    ways = itertools.product((False, True), (False, True), ((1, 0), (2, 1)))
    for (cut, fill), (cut_end, fill_end), (turned, two, (stride, pad)) in itertools.product(
        begins, ends, ways
    ):
        layers = Plain(rng=np.random.default_rng(cut), wide_weights=False)
        tensor = layers.conv(layers.input((2, 6, 6)), 2, 1, Window(kernel=(1, 1)))
        kept, still = list(range(cut, 6 - cut_end)), list(range(6))
        if two:
            lines = [still, kept] if turned else [kept, still]
            tensor = layers.moved(tensor, *lines)
            kept = list(range(len(kept)))
            still = list(range(6))
        line = [-1] * fill + kept + [-1] * fill_end
        tensor = layers.moved(tensor, *([still, line] if turned else [line, still]))
        window = Window(kernel=(2, 2), stride=(stride, stride), pads=(pad, pad, pad, pad))
        target = layers.conv(tensor, 1, 1, window)
        simple = same(layers.graph("sides", [target]), target.name)
        stays = (cut and fill) or (cut_end and fill_end) or (pad and (cut or cut_end))
        assert kinds(simple) == (["Conv", "Move", "Conv"] if stays else ["Conv", "Conv"])


def test_what_was_cut_is_not_seen_again() -> None:
    layers = Plain(rng=np.random.default_rng(0), wide_weights=False)
    tensor = layers.conv(layers.input((2, 6, 6)), 2, 1, Window(kernel=(1, 1)))
    part = layers.moved(tensor, [2, 3, 4], [0, 1, 2, 3, 4, 5])
    padded = layers.conv(part, 2, 1, Window(kernel=(3, 3), pads=(1, 1, 1, 1)))
    plain = layers.conv(part, 2, 1, Window(kernel=(3, 3), pads=(0, 1, 0, 1)))
    simple = same(layers.graph("cut", [padded, plain]), padded.name)
    moves = [op for op in simple.operators if isinstance(op, Move)]
    convs = {op.output: op.input for op in simple.operators if isinstance(op, Conv)}
    assert [move.input for move in moves] == [tensor.name]
    assert (convs[padded.name], convs[plain.name]) == (part.name, tensor.name)


def test_other_numbers_and_the_inputs_of_the_network_stay() -> None:
    layers = Plain(rng=np.random.default_rng(0), wide_weights=False)
    source = layers.input((2, 4, 4))
    cut = layers.moved(source, [1, 2], [0, 1, 2, 3])
    window = Window(kernel=(2, 2))
    first = layers.conv(cut, 2, 1, window)
    filled = layers.moved(first, [-1, 0], [0, 1, 2], fill=first.zero_point % 100 + 1)
    target = layers.conv(filled, 2, 1, window)
    assert kinds(same(layers.graph("stay", [target]), target.name)) == [
        "Move", "Conv", "Move", "Conv",
    ]  # fmt: skip


def test_random_moves_merge() -> None:
    alone = 0
    for seed in range(100):
        layers = Plain(rng=np.random.default_rng(seed), wide_weights=False)
        tensor = layers.image(2)
        for _ in range(3):
            tensor = layers.move(tensor)
        simple = same(layers.graph("moves", [tensor]), tensor.name)
        alone += kinds(simple) == ["Move"]
    assert alone > 10


def test_turned_twice_is_nothing() -> None:
    layers = Plain(rng=np.random.default_rng(0), wide_weights=False)
    tensor = layers.conv(layers.input((2, 3, 4)), 2, 1, Window(kernel=(1, 1)))
    turned = layers.moved(tensor, [3, 2, 1, 0], [0, 1, 2], swap=True)
    back = layers.moved(turned, [0, 1, 2], [3, 2, 1, 0], swap=True)
    target = layers.conv(back, 2, 1, Window(kernel=(2, 2)))
    assert kinds(same(layers.graph("turned", [target]), target.name)) == ["Conv", "Conv"]


def test_a_clamp_stays() -> None:
    layers = Plain(rng=np.random.default_rng(0), wide_weights=False)
    tensor = layers.conv(layers.input((2, 3, 4)), 2, 1, Window(kernel=(1, 1)))
    clamped = layers.moved(tensor, [0, 1], [0, 1, 2, 3], low=0, high=CODE_MAX)
    target = layers.conv(clamped, 2, 1, Window(kernel=(2, 2)))
    assert kinds(same(layers.graph("clamp", [target]), target.name)) == ["Conv", "Move", "Conv"]
