"""What weights of few bits cost an engine, as a budget for choosing the bits of each layer.

An engine has one word per (tap, input word, output tile) in the weight memory of each row of its
array, as wide as the widest layer needs it: only what all layers have in common makes it smaller.
"""

import math
import re

from weft.engines.overlapped.spec import OverlappedSpec
from weft.engines.w4.spec import W4Spec
from weft.errors import ConfigError, FitError
from weft.machine.family import USUAL
from weft.machine.fields import CHUNK_BITS
from weft.machine.images import weight_word
from weft.machine.parts import Ram
from weft.nn.compress.layers import Layer
from weft.nn.compress.precision import Budget
from weft.nn.compress.rounding import MOST_BITS

KINDS = {8: OverlappedSpec, 4: W4Spec}
"""Bits of the widest layer, and the engine that serves it."""

LUTS = {2: 15.8, 3: 27.5, 4: 38.6, 8: 92.5}
"""LUT4 equivalents of one multiplier and accumulator without a DSP, in arrays of 16 rows, as yosys
0.70 maps them for the usual family."""

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
        return _block_rams(number, layers, lanes, columns)
    if kind == "lut":
        return _luts(number, lanes, columns)
    if found[3]:
        number = number * sum(layer.weight.size for layer in layers) * MOST_BITS // 100
    return Budget(limit=number, unit="weight bits", cost=weight_bits)


def weight_bits(layer: Layer, bits: int) -> int:
    """Bits of all weights of a layer, zeros included."""
    return layer.weight.size * bits


def weight_words(layer: Layer, lanes: int, columns: int) -> int:
    """Words of a layer in each row's weight memory."""
    tiles = math.ceil(layer.outputs // layer.groups / columns)
    return layer.groups * tiles * layer.taps * math.ceil(layer.channels / lanes)


def _block_rams(blocks: int, layers: tuple[Layer, ...], lanes: int, columns: int) -> Budget:
    """The weights of all layers in the usual family's block RAMs."""
    depth = sum(weight_words(layer, lanes, columns) for layer in layers)

    def blocks_of(bits: int) -> int:
        width = weight_word(KINDS[bits](lanes=lanes, columns=columns)).width
        ram = Ram(width=width, depth=depth, grain=CHUNK_BITS)
        return lanes * USUAL.block_ram.blocks(ram)[0]

    needs = {bits: blocks_of(bits) for bits in KINDS}
    return _widest(blocks, needs, f"block RAMs for the weights of a {lanes} x {columns} array")


def _luts(luts: int, lanes: int, columns: int) -> Budget:
    """The array's multipliers in LUTs."""
    needs = {bits: math.ceil(lanes * columns * each) for bits, each in LUTS.items()}
    return _widest(luts, needs, f"LUTs for the multipliers of a {lanes} x {columns} array")


def _widest(number: int, needs: dict[int, int], unit: str) -> Budget:
    """A budget that bounds the widest layer. needs: by its bits. Raises FitError."""
    fitting = [bits for bits, count in needs.items() if count <= number]
    if not fitting:
        raise FitError(
            f"a budget of {number} {unit} is out of reach: the least possible here is "
            f"{min(needs.values())}"
        )
    return Budget(limit=1 << 40, unit="weight bits", cost=weight_bits, most_bits=max(fitting))
