"""The vector unit against NumPy: every operation, tiles back to back."""

import random
from typing import Any

import numpy as np
import pytest

from tests.hw.support import pack, play, small_params
from weft.hw.params import ROW_LATENCY, EngineParams, Multiplier
from weft.hw.step import VectorOp
from weft.hw.vector import PAIR_SHIFT, VectorUnit

# (lanes, weight bits, accumulator bits, multiplier)
CASES = [
    (1, 8, 25, Multiplier.DSP),
    (4, 8, 32, Multiplier.LUT),
    (3, 9, 28, Multiplier.DSP),
    (8, 9, 25, Multiplier.LUT),
]
NAMES = [f"{k}-w{w}-a{a}-{style.value}" for k, w, a, style in CASES]
Case = tuple[int, int, int, Multiplier]


def params_of(case: Case) -> EngineParams:
    lanes, weight_bits, accumulator_bits, style = case
    return small_params(
        lanes=lanes,
        requant_lanes=1,
        vector_words=13,
        weight_bits=weight_bits,
        accumulator_bits=accumulator_bits,
        vector_multiplier=style,
    )


def weights_of(rng: np.random.Generator, p: EngineParams) -> np.ndarray:
    """[words, K]: lowest, highest, zero, and random words."""
    half = 1 << p.weight_bits - 1
    weights = rng.integers(-half, half, (p.vector_words, p.lanes))
    for word, value in enumerate((-half, half - 1, 0)):
        weights[word] = value
    return weights


def loads(dut: VectorUnit, weights: np.ndarray) -> list[tuple[Any, list[int]]]:
    """Writes of all weights, one chunk a cycle, with junk on the places of the other chunks."""
    p = dut.params
    rng = random.Random(5)
    width = p.lanes * p.weight_bits
    chunk = width // p.vector_chunks
    enables, addresses, data = [], [], []
    for address, values in enumerate(weights.tolist()):
        for c in range(p.vector_chunks):
            mask = (1 << chunk) - 1 << c * chunk
            enables.append(1 << c)
            addresses.append(address)
            data.append(pack(values, p.weight_bits) & mask | rng.getrandbits(width) & ~mask)
    return [(dut.load_en, [*enables, 0]), (dut.load_address, addresses), (dut.load_data, data)]


def results(op: VectorOp, taps: np.ndarray, weights: np.ndarray) -> list[int]:
    """What a tile leaves in the accumulators; taps and their weights [taps, K]."""
    match op:
        case VectorOp.MAC:
            return (taps * weights).sum(axis=0).tolist()
        case VectorOp.SUM:
            return taps.sum(axis=0).tolist()
        case VectorOp.MAX:
            return taps.max(axis=0).tolist()
        case VectorOp.PAIR:
            return (taps[0] + (taps[1] << 16)).tolist()


def run(p: EngineParams, op: VectorOp, tiles: list[np.ndarray], rng: np.random.Generator,
        words: list[list[int]] | None = None, gaps: list[int] | None = None) -> None:  # fmt: skip
    dut = VectorUnit(p)
    weights = weights_of(rng, p)
    loading = loads(dut, weights)
    t = begin = len(loading[0][1])
    idle = [99] * p.lanes
    firsts, addresses, lanes, due = [0] * begin, [0] * (begin + 1), [idle] * begin, {}
    lanes += [idle] * ROW_LATENCY
    words = words or [rng.integers(p.vector_words, size=len(taps)).tolist() for taps in tiles]
    for taps, chosen, gap in zip(tiles, words, gaps or [0] * len(tiles), strict=True):
        firsts += [1] + [0] * (len(taps) - 1 + gap)
        addresses += [*chosen, *[1] * gap]
        lanes += [*taps.tolist(), *[idle] * gap]
        due[t + len(taps) - 1 + p.vector_latency] = results(op, taps, weights[chosen])
        t += len(taps) + gap
    firsts.append(1)
    inputs = [*loading, (dut.op, [op]), (dut.first, firsts)]
    inputs += [(dut.address, addresses), (dut.lanes, lanes)]
    rows = play(dut, inputs, [dut.sums[k] for k in range(p.lanes)], max(due) + 1)
    for tile, (cycle, sums) in enumerate(due.items()):
        assert list(rows[cycle]) == sums, f"tile {tile}"


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("op", VectorOp)
def test_random_tiles(op: VectorOp, case: Case) -> None:
    p = params_of(case)
    rng = np.random.default_rng(3)
    sizes = [2] * 30 if op is VectorOp.PAIR else [1, 1, 1, 2, 1, 3, *rng.integers(1, 10, 25)]
    tiles = [rng.integers(-128, 128, (n, p.lanes)) for n in sizes]
    gaps = [0] * 16 + rng.integers(0, 4, len(sizes) - 16).tolist()
    run(p, op, tiles, rng, gaps=gaps)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("op", VectorOp)
def test_extreme_tiles(op: VectorOp, case: Case) -> None:
    p = params_of(case)
    limits = (-128, 127, 0, -1)
    if op is VectorOp.PAIR:
        tiles = [np.array([[a] * p.lanes, [b] * p.lanes]) for a in limits for b in limits]
    else:
        # 511 products of -256 * -128 are the most that 25 bits hold.
        tiles = [np.full((n, p.lanes), act) for n in (1, 2, 511) for act in limits]
    words = [[i % 2] * len(taps) for i, taps in enumerate(tiles)]
    run(p, op, tiles, np.random.default_rng(4), words)
    if op is VectorOp.MAX:  # the largest first, last and in between, and a tile behind a larger one
        order = [[127, -128, 0], [-128, 0, 127], [-5, 6, -7], [-128], [-127, -128], [-128, -128]]
        tiles = [np.array([[v] * p.lanes for v in taps]) for taps in order]
        run(p, op, tiles, np.random.default_rng(5))


def test_latency() -> None:
    """Three cycles to the lanes, two (DSP) or four (LUT) per product, one to add."""
    assert [params_of(case).vector_latency for case in CASES] == [6, 8, 6, 8]


def test_pairs_meet_in_the_middle_of_the_requantiser() -> None:
    assert PAIR_SHIFT == 16
