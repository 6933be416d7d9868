"""The systolic array against NumPy: tiles back to back, every operand at its stated cycle."""

import random
from typing import Any

import numpy as np
import pytest

from tests.hw.support import play, small_params
from weft.hw.array import SystolicArray
from weft.hw.rows.styles import ROW_PRODUCTS
from weft.machine.encode import array_chunks
from weft.machine.engine import Engine, Style, Unit
from weft.machine.images import weight_word
from weft.machine.timing import ROW_LATENCY, unit_latency, weight_issue

# (lanes, columns, weight bits, accumulator bits, multiplier)
CASES = [
    (1, 1, 8, 25, Style.DSP),
    (4, 3, 8, 25, Style.LUT),
    (3, 2, 9, 32, Style.DSP),
    (8, 5, 9, 25, Style.DSP),
    (2, 8, 8, 28, Style.LUT),
    (1, 2, 8, 25, Style.PACKED),
    (4, 6, 8, 25, Style.PACKED),
    (5, 8, 8, 32, Style.PACKED),
    (4, 2, 8, 25, Style.DUAL),
    (3, 5, 8, 28, Style.DUAL),
]
NAMES = [f"{k}x{n}-w{w}-a{a}-{style.value}" for k, n, w, a, style in CASES]


def params_of(case: tuple[int, int, int, int, Style]) -> Engine:
    lanes, columns, weight_bits, accumulator_bits, style = case
    return small_params(
        lanes=lanes,
        columns=columns,
        array_requant=1,
        vector_requant=1,
        weight_words=11,
        vector_words=40,  # whose addresses are longer
        weight_bits=weight_bits,
        accumulator_bits=accumulator_bits,
        array_multiplier=style,
    )


def weights_of(rng: np.random.Generator, p: Engine) -> np.ndarray:
    """[words, K, N]: lowest, highest, zero, one, alternating and random words."""
    low, high = p.rows.limits(p.weight_bits)
    weights = rng.integers(low, high + 1, (p.memories.weight, p.lanes, p.columns))
    for word, value in enumerate((low, high, 0, 1)):
        weights[word] = value
    weights[4, :, 0::2], weights[4, :, 1::2] = low, high
    weights[5, :, 0::2], weights[5, :, 1::2] = high, low
    return weights


def loads(dut: SystolicArray, weights: np.ndarray) -> list[tuple[Any, list[int]]]:
    """Writes of all weights, one chunk a cycle, with junk on the places of the other chunks."""
    p = dut.params
    rng = random.Random(5)
    width = len(dut.load_data)
    chunk = width // weight_word(p).chunks
    images = array_chunks(weights, p)
    assert images.shape == (*weights.shape[:2], weight_word(p).chunks)
    ports: tuple[list[int], ...] = ([], [], [], [])
    for address, row in np.ndindex(weights.shape[:2]):
        for c, data in enumerate(images[address, row].tolist()):
            mask = (1 << chunk) - 1 << c * chunk
            word = rng.getrandbits(width) & ~mask | data << c * chunk
            for port, value in zip(ports, (1 << c, row, address, word), strict=True):
                port.append(value)
    ports[0].append(0)
    signals = (dut.load_en, dut.load_row, dut.load_address, dut.load_data)
    return list(zip(signals, ports, strict=True))


def run(p: Engine, weights: np.ndarray, tiles: list[np.ndarray], words: list[list[int]],
        gaps: list[int]) -> None:  # fmt: skip
    """tiles: int8 [taps, K] each; words: weight word of each tap; gaps: idle cycles after a tile.

    Compares the sums ``unit_latency`` cycles after each tile's last tap.
    """
    dut = SystolicArray(p, ROW_PRODUCTS[p.styles.array])
    loading = loads(dut, weights)
    t = begin = len(loading[0][1])
    idle = [0x55 - 128] * p.lanes
    firsts, addresses, lanes, due = [0] * begin, [0] * (begin + weight_issue(p)), [idle] * begin, {}
    lanes += [idle] * ROW_LATENCY
    for taps, chosen, gap in zip(tiles, words, gaps, strict=True):
        firsts += [1] + [0] * (len(taps) - 1 + gap)
        addresses += [*chosen, *[1] * gap]
        lanes += [*taps.tolist(), *[idle] * gap]
        # Idle cycles are taps like any other to the array, so a tile is complete only at its end.
        due[t + len(taps) - 1 + unit_latency(p, Unit.ARRAY)] = np.einsum(
            "tk,tkn->n", taps, weights[chosen]
        )
        t += len(taps) + gap
    firsts.append(1)  # what follows a tile does not reach its sums
    inputs = [*loading, (dut.first, firsts), (dut.address, addresses), (dut.lanes, lanes)]
    rows = play(dut, inputs, [dut.sums[n] for n in range(p.columns)], max(due) + 1)
    for tile, (cycle, sums) in enumerate(due.items()):
        assert list(rows[cycle]) == sums.tolist(), f"tile {tile}"


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_random_tiles(case: tuple[int, int, int, int, Style]) -> None:
    p = params_of(case)
    rng = np.random.default_rng(3)
    weights = weights_of(rng, p)
    sizes = [1, 1, 1, 2, 1, 3, *rng.integers(1, 9, 25)]
    tiles = [rng.integers(-128, 128, (n, p.lanes)) for n in sizes]
    words = [rng.integers(p.memories.weight, size=n).tolist() for n in sizes]
    gaps = [0] * 16 + rng.integers(0, 4, len(sizes) - 16).tolist()
    run(p, weights, tiles, words, gaps)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_extreme_tiles(case: tuple[int, int, int, int, Style]) -> None:
    """All operands at their limits, up to the last sum that 25 bits hold (or 260 taps)."""
    p = params_of(case)
    weights = weights_of(np.random.default_rng(4), p)
    tiles, words = [], []
    most = ((1 << 24) - 1) // (p.lanes << p.weight_bits + 6)
    for n in (1, 2, min(most, 260)):
        for act in (-128, 127):
            for word in (0, 1, 4, 5):
                tiles.append(np.full((n, p.lanes), act))
                words.append([word] * n)
    run(p, weights, tiles, words, [0] * len(tiles))


def test_latency() -> None:
    """Six cycles to the lanes, two to four per product, one per row, one to add."""
    latencies = [unit_latency(params_of(case), Unit.ARRAY) for case in CASES]
    assert latencies == [10, 14, 12, 17, 12, 12, 15, 16, 13, 12]


def test_a_packed_pair_is_one_field() -> None:
    """The upper weight above 10 bits, and one less where the lower one is negative."""
    p = params_of((1, 2, 8, 25, Style.PACKED))
    pairs = np.array([[[3, 5]], [[-3, 5]], [[127, -127]], [[-127, -127]], [[0, -1]]])
    values = [3 + 5 * 1024, 5 * 1024 - 3, 127 - 127 * 1024, -127 - 127 * 1024, -1024]
    assert array_chunks(pairs, p).ravel().tolist() == [v & (1 << 18) - 1 for v in values]
