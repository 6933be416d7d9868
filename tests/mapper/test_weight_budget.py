"""Budgets of weights in bits, block RAMs and LUTs."""

import pytest

from tests.nn.compress.networks import layer
from weft.errors import ConfigError, FitError
from weft.mapper.weight_budget import budget, weight_words

LAYERS = (layer(32, 32, 3, 3), layer(10, 64, 1, 1))


def test_words_of_a_layer() -> None:
    assert [weight_words(item, 16, 16) for item in LAYERS] == [9 * 2 * 2, 4]
    assert weight_words(layer(128, 8, 1, 1), 8, 16) == 8
    assert weight_words(layer(32, 8, 3, 3, groups=2), 16, 8) == 2 * 2 * 9


def test_bits() -> None:
    size = 32 * 32 * 9 + 640
    assert budget("bits=5000", LAYERS, 16, 16).limit == 5000
    half = budget("bits=50%", LAYERS, 16, 16)
    assert half.limit == size * 4
    assert sum(half.cost(item, 4) for item in LAYERS) == half.limit


def test_block_rams_bound_the_bits() -> None:
    """40 words in each of 16 rows: of 16 x 8 bits, or of 16 x 4."""
    limits = {1000: 8, 64: 8, 63: 4, 32: 4}
    assert {n: budget(f"bram={n}", LAYERS, 16, 16).most_bits for n in limits} == limits
    with pytest.raises(FitError) as caught:
        budget("bram=31", LAYERS, 16, 16)
    assert str(caught.value) == (
        "a budget of 31 block RAMs for the weights of a 16 x 16 array is out of reach: the least "
        "possible here is 32"
    )


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
