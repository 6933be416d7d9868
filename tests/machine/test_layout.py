"""Tensors as words and back; the words of a port."""

import numpy as np
import pytest

from tests.mapper.support import codes, edge
from weft.machine.layout import (
    from_words,
    pack_inputs,
    port_words,
    to_words,
    unpack_outputs,
)
from weft.machine.plan import Port, Region

SHAPES = [(1, 1, 1), (3, 2, 5), (4, 1, 3), (5, 3, 1), (16, 2, 2), (17, 1, 2)]
LANES = [1, 2, 3, 4, 16]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip(shape: tuple[int, int, int], lanes: int) -> None:
    tensor = codes(shape, 3)
    words = to_words(tensor, lanes)
    assert words.shape == (3, port_words(Port(edge=edge("x"), shape=shape, offset=0), lanes), lanes)
    np.testing.assert_array_equal(from_words(words, shape), tensor)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("shape", SHAPES)
def test_place_of_each_code(shape: tuple[int, int, int], lanes: int) -> None:
    """Pixel by pixel along the rows, K channels to a word; lanes without a channel hold 0."""
    channels, height, width = shape
    tensor = codes(shape, 1)
    expected = []
    for y in range(height):
        for x in range(width):
            for first in range(0, channels, lanes):
                word = [tensor[0, c, y, x] for c in range(first, min(first + lanes, channels))]
                expected.append(word + [0] * (lanes - len(word)))
    np.testing.assert_array_equal(to_words(tensor, lanes)[0], expected)


def test_ports_lie_one_after_the_other() -> None:
    a = Port(edge=edge("a"), shape=(5, 1, 2), offset=0)
    b = Port(edge=edge("b"), shape=(3, 2, 1), offset=4)
    region = Region(bank=1, base=7, words=6, ports=(a, b))
    tensors = {"b": codes((3, 2, 1)), "a": codes((5, 1, 2), seed=1)}
    words = pack_inputs(region, tensors, 4)
    assert words.shape == (2, 6, 4)
    np.testing.assert_array_equal(words[:, 4:], to_words(tensors["b"], 4))
    back = unpack_outputs(region, words)
    assert list(back) == ["a", "b"]
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor)


def test_two_outputs_of_one_tensor_share_their_words() -> None:
    twice = tuple(Port(edge=edge("a").replace(name=n), shape=(2, 1, 1), offset=0) for n in "pq")
    words = np.array([[[1, 2]]], dtype=np.int8)
    back = unpack_outputs(Region(bank=0, base=0, words=1, ports=twice), words)
    assert back["a"].tolist() == [[[[1]], [[2]]]]
