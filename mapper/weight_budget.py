"""What weights of few bits cost an engine, as a budget for choosing the bits of each layer.

A weight memory has one word per (tap, input word, output tile) in each of the K rows of the array,
9 bits for each of its N columns. A layer of fewer bits has 9 // bits weights in the place of one.
"""

import math
import re

from weft.errors import ConfigError, FitError
from weft.mapper.resources import block_rams
from weft.nn.compress.layers import Layer
from weft.nn.compress.precision import Budget
from weft.nn.compress.rounding import MOST_BITS

FIELD_BITS = 9  # of a column in a weight word
LUTS = {2: 15.8, 3: 27.5, 4: 38.6, 8: 92.5}
"""LUT4 equivalents of one multiplier and accumulator without a DSP, in arrays of 16 rows, as yosys
0.70 maps them for ECP5."""

WORDS = "bits=N, bits=N% of what 8 bits take, bram=N or lut=N"
_BUDGET = re.compile(r"(bits|bram|lut|cycles)=(\d{1,12})(%?)")


def budget(text: str, layers: tuple[Layer, ...], lanes: int, columns: int) -> Budget:
    """The budget that a word names, for an array of ``lanes`` x ``columns``. Raises ConfigError."""
    found = _BUDGET.fullmatch(text)
    if found is None or (found[3] and (found[1] != "bits" or int(found[2]) > 100)):
        raise ConfigError(f"a budget must be {WORDS}, not {text[:40]!r}")
    kind, number = found[1], int(found[2])
    if kind == "cycles":
        raise ConfigError(
            "a budget in cycles needs an engine that is faster with fewer bits; this version has "
            f"none: a budget can be {WORDS}"
        )
    if kind == "bram":
        return _block_rams(number, lanes, columns)
    if kind == "lut":
        return _luts(number, lanes, columns)
    if found[3]:
        number = number * sum(layer.weight.size for layer in layers) * MOST_BITS // 100
    return Budget(limit=number, unit="weight bits", cost=weight_bits)


def weight_bits(layer: Layer, bits: int) -> int:
    """Bits of all weights of a layer, zeros included."""
    return layer.weight.size * bits


def weight_words(layer: Layer, bits: int, lanes: int, columns: int) -> int:
    """Words of a layer in each row's weight memory."""
    at_once = columns * max(1, FIELD_BITS // bits)
    tiles = math.ceil(layer.outputs // layer.groups / at_once)
    return layer.groups * tiles * layer.taps * math.ceil(layer.channels / lanes)


def _block_rams(blocks: int, lanes: int, columns: int) -> Budget:
    """All layers together in ``blocks`` block RAMs."""

    def blocks_of(words: int) -> int:
        return lanes * block_rams(columns * FIELD_BITS, words, 36) if words else 0

    low, high = 0, 1
    while blocks_of(high) <= blocks and high < 1 << 24:
        high *= 2
    while high - low > 1:  # the most words that fit
        middle = (low + high) // 2
        low, high = (middle, high) if blocks_of(middle) <= blocks else (low, middle)
    return Budget(
        limit=low,
        unit=f"block RAMs for the weights of a {lanes} x {columns} array",
        cost=lambda layer, bits: weight_words(layer, bits, lanes, columns),
        shown=lambda words: blocks if words == low else blocks_of(words),
    )


def _luts(luts: int, lanes: int, columns: int) -> Budget:
    """The array's multipliers in LUTs, as wide as the layer of most bits needs them."""

    def luts_of(bits: int) -> int:
        return math.ceil(lanes * columns * LUTS[bits])

    fitting = [bits for bits in LUTS if luts_of(bits) <= luts]
    if not fitting:
        raise FitError(
            f"a budget of {luts} LUTs for the multipliers of a {lanes} x {columns} array is out of "
            f"reach: the least possible here is {luts_of(min(LUTS))}"
        )
    return Budget(limit=1 << 40, unit="LUTs", cost=weight_bits, most_bits=max(fitting))
