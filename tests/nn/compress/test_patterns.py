"""Patterns of zeros: which weights count together, and how many of them stay."""

import numpy as np
import pytest

from tests.nn.compress.networks import layer
from weft.errors import ConfigError
from weft.nn.compress.masks import pruned
from weft.nn.compress.moments import moments
from weft.nn.compress.patterns import Pattern, pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", None),
        ("2:4", Pattern(kept=2, of=4)),
        ("lanes:1/2", Pattern(kept=1, of=2, lanes=8, columns=4)),
    ],
)
def test_words(text: str, expected: Pattern | None) -> None:
    found = pattern(text, 8, 4)
    assert found == expected
    assert text == "none" or str(found) == text


@pytest.mark.parametrize(
    "text", ["", "2", "0:4", "5:4", "lanes:1", "lanes:3/2", "lanes:0/2", "2:4x"]
)
def test_other_words(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pattern(text, 8, 4)
    words = "none, lanes:A/B as in lanes:1/2, or N:M as in 2:4"
    assert str(caught.value) == f"sparsity must be {words}, not {text!r}"


def masked(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """The mask [outputs, kh * kw, channels] that a random layer is given, 8 x 4."""
    own = layer(*shape)
    found = pattern(text, 8, 4)
    assert found is not None
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, own.inputs))
    problem = moments(rows, rows @ own.matrix.T, own.matrix)
    mask, weight = pruned(problem, found.classes(own))
    assert not weight[~mask].any()
    return mask.reshape(own.outputs, own.taps, own.channels)


def test_two_of_four_channels_stay() -> None:
    mask = masked("2:4", (6, 8, 3, 3))
    assert (mask.reshape(6, 9, 2, 4).sum(axis=3) == 2).all()
    assert len(np.unique(mask.reshape(6, -1), axis=0)) == 6  # each output has its own


def test_a_short_block_keeps_as_many() -> None:
    mask = masked("2:4", (4, 5, 1, 1))
    assert mask[:, 0, :4].sum(axis=1).tolist() == [2] * 4
    assert mask[:, 0, 4].all()


def test_lanes_keep_the_same_number_and_columns_share() -> None:
    mask = masked("lanes:1/2", (8, 16, 3, 3))
    for tile in (mask[:4], mask[4:]):
        assert (tile == tile[0]).all()
        lanes = tile[0].reshape(9, 2, 8).sum(axis=(0, 1))  # entries (tap, word) of each lane
        assert lanes.tolist() == [9] * 8
    assert not np.array_equal(mask[0], mask[4])


def test_pruning_keeps_what_matters() -> None:
    """An output that needs two of four inputs, which the others almost tell, keeps those two."""
    own = layer(1, 4, 1, 1)
    weight = np.array([[3.0, 0.1, -2.0, 0.05]])
    rows = np.random.default_rng(2).normal(size=(300, 4))
    problem = moments(rows, rows @ weight.T, weight)
    mask, fitted = pruned(problem, Pattern(kept=2, of=4).classes(own))
    assert mask.tolist() == [[True, False, True, False]]
    assert np.allclose(fitted[0, [0, 2]], weight[0, [0, 2]], atol=0.1)


def test_refitting_makes_up_for_zeros() -> None:
    """Inputs that move together stand in for each other, which plain cutting would not see."""
    own = layer(1, 2, 1, 1)
    first = np.random.default_rng(3).normal(size=500)
    rows = np.stack([first, first + 1e-3], axis=1)
    weight = np.array([[1.0, 0.9]])
    problem = moments(rows, rows @ weight.T, weight)
    _, fitted = pruned(problem, Pattern(kept=1, of=2).classes(own))
    assert np.isclose(fitted.sum(), 1.9, rtol=0.15)
