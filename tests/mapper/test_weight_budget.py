"""Budgets of weights in bits, block RAMs and LUTs."""

import pytest

from tests.nn.compress.networks import layer
from weft.errors import ConfigError, FitError
from weft.mapper.resources import block_rams
from weft.mapper.weight_budget import budget, weight_words

LAYERS = (layer(32, 32, 3, 3), layer(10, 64, 1, 1))


@pytest.mark.parametrize(
    ("bits", "words"),
    [(8, 9 * 2 * 2), (5, 9 * 2 * 2), (4, 9 * 2), (3, 9 * 2), (2, 9 * 2)],
)
def test_words_of_a_layer(bits: int, words: int) -> None:
    assert weight_words(LAYERS[0], bits, 16, 16) == words


def test_words_of_a_wide_layer() -> None:
    wide = layer(128, 8, 1, 1)
    assert [weight_words(wide, bits, 8, 16) for bits in (8, 4, 3, 2)] == [8, 4, 3, 2]


def test_bits() -> None:
    size = 32 * 32 * 9 + 640
    assert budget("bits=5000", LAYERS, 16, 16).limit == 5000
    half = budget("bits=50%", LAYERS, 16, 16)
    assert half.limit == size * 4
    assert sum(half.cost(item, 4) for item in LAYERS) == half.limit


def test_block_rams_hold_as_many_words_as_fit() -> None:
    found = budget("bram=64", LAYERS, 16, 16)
    assert 16 * block_rams(144, found.limit, 36) == 64
    assert 16 * block_rams(144, found.limit + 1, 36) > 64
    assert found.cost(LAYERS[0], 4) == 18
    assert found.shown(found.limit) == 64
    assert found.shown(found.limit + 1) > 64


def test_luts_bound_the_bits() -> None:
    limits = {24_000: 8, 9_900: 4, 7_100: 3, 4_100: 2}
    assert {n: budget(f"lut={n}", LAYERS, 16, 16).most_bits for n in limits} == limits
    with pytest.raises(FitError) as caught:
        budget("lut=4000", LAYERS, 16, 16)
    assert str(caught.value) == (
        "a budget of 4000 LUTs for the multipliers of a 16 x 16 array is out of reach: the least "
        "possible here is 4045"
    )


@pytest.mark.parametrize("text", ["", "bits", "bits=", "bits=x", "dsp=3", "bits=101%", "bram=5%"])
def test_other_words(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        budget(text, LAYERS, 16, 16)
    words = "bits=N, bits=N% of what 8 bits take, bram=N or lut=N"
    assert str(caught.value) == f"a budget must be {words}, not {text!r}"


def test_cycles() -> None:
    with pytest.raises(ConfigError) as caught:
        budget("cycles=1000", LAYERS, 16, 16)
    assert str(caught.value) == (
        "a budget in cycles needs an engine that is faster with fewer bits; this version has none: "
        "a budget can be bits=N, bits=N% of what 8 bits take, bram=N or lut=N"
    )
