"""The vector unit against NumPy: every operation and rolling sums, tiles back to back."""

import random
from typing import Any

import numpy as np
import pytest

from tests.hw.support import play, small_params
from weft.engines.common.pack import rolling_weights, vector_weights
from weft.hw.step import PRODUCT, VectorOp
from weft.hw.vector import PAIR_SHIFT, VectorUnit
from weft.machine.encode import weight_chunks
from weft.machine.engine import Engine, Style, Unit
from weft.machine.images import vector_word
from weft.machine.timing import ROW_LATENCY, unit_latency, weight_issue

# (lanes, taps, weight bits, accumulator bits, multiplier)
CASES = [
    (1, 1, 8, 25, Style.DSP),
    (4, 2, 8, 32, Style.LUT),
    (3, 3, 9, 28, Style.DSP),
    (8, 1, 9, 25, Style.LUT),
    (3, 1, 8, 25, Style.DUAL),
    (4, 3, 8, 28, Style.DUAL),
]
NAMES = [f"k{k}-t{t}-w{w}-a{a}-{style.value}" for k, t, w, a, style in CASES]
Case = tuple[int, int, int, int, Style]


def params_of(case: Case, **changes: Any) -> Engine:
    lanes, taps, weight_bits, accumulator_bits, style = case
    values = {
        "lanes": lanes,
        "array_requant": 1,
        "vector_requant": 1,
        "vector_taps": taps,
        "vector_words": 13,
        "weight_bits": weight_bits,
        "accumulator_bits": accumulator_bits,
        "vector_multiplier": style,
    }
    return small_params(**{**values, **changes})


def weights_of(rng: np.random.Generator, p: Engine) -> np.ndarray:
    """[words, T, K]: lowest, highest, zero, and random words."""
    half = 1 << p.weight_bits - 1
    weights = rng.integers(-half, half, (p.memories.vector, p.vector_taps, p.lanes))
    for word, value in enumerate((-half, half - 1, 0)):
        weights[word] = value
    return weights


def loads(dut: VectorUnit, weights: np.ndarray) -> list[tuple[Any, list[int]]]:
    """Writes of all weights, one chunk a cycle, with junk on the places of the other chunks."""
    p = dut.params
    rng = random.Random(5)
    width = len(dut.load_data)
    chunk = width // vector_word(p).chunks
    enables, addresses, data = [], [], []
    for address, chunks in enumerate(weight_chunks(weights, vector_word(p)).tolist()):
        assert len(chunks) == vector_word(p).chunks
        for c, value in enumerate(chunks):
            mask = (1 << chunk) - 1 << c * chunk
            enables.append(1 << c)
            addresses.append(address)
            data.append(rng.getrandbits(width) & ~mask | value << c * chunk)
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


def run(p: Engine, op: VectorOp, tiles: list[np.ndarray], weights: np.ndarray,
        words: list[list[int]], due: list[list[int] | None], *, gaps: list[int] | None = None,
        fresh: list[int] | None = None, rolling: int = 0,
        zeros: tuple[int, int] | None = None) -> None:  # fmt: skip
    """tiles: int8 [taps, K] each; words: weight word of each tap; due: sums, None for any.

    weights: [words, T * K]. gaps: idle cycles after a tile; fresh: flag of each tile's taps.
    zeros: zero points of the factors of a product.
    """
    dut = VectorUnit(p)
    loading = loads(dut, weights)
    t = begin = len(loading[0][1])
    idle = [99] * p.lanes
    firsts, news, lanes = [0] * begin, [0] * begin, [idle] * begin
    addresses = [0] * (begin + weight_issue(p))
    actives = [0] * begin
    lanes += [idle] * ROW_LATENCY
    cycles = {}
    gaps = gaps or [0] * len(tiles)
    rng = random.Random(3)
    for i, (taps, chosen, gap) in enumerate(zip(tiles, words, gaps, strict=True)):
        firsts += [1] + [0] * (len(taps) - 1) + [1] * gap  # as the sequencer has it
        actives += [1] * len(taps) + [0] * gap
        # Where nothing rolls, the flag means nothing.
        new = fresh[i] if fresh else rng.getrandbits(1)
        news += [new] * len(taps) + [rng.getrandbits(1)] * gap
        addresses += [*chosen, *[1] * gap]
        lanes += [*taps.tolist(), *[idle] * gap]
        if due[i] is not None:
            cycles[t + len(taps) - 1 + unit_latency(p, Unit.VECTOR)] = i
        t += len(taps) + gap
    firsts.append(1)
    actives.append(1)
    inputs = [*loading, (dut.op, [op]), (dut.rolling, [rolling]), (dut.first, firsts)]
    inputs += [
        (dut.active, actives),
        (dut.fresh, news),
        (dut.address, addresses),
        (dut.lanes, lanes),
    ]
    if p.products:
        first, second = zeros or (-77, 99)  # where nothing is multiplied, they mean nothing
        inputs += [(dut.product, [int(zeros is not None)])]
        inputs += [(dut.zero_first, [first]), (dut.zero_second, [second])]
    rows = play(dut, inputs, [dut.sums[k] for k in range(p.lanes)], max(cycles) + 1)
    for cycle, tile in cycles.items():
        assert list(rows[cycle]) == due[tile], f"tile {tile}"


def run_op(
    p: Engine,
    op: VectorOp,
    tiles: list[np.ndarray],
    rng: np.random.Generator,
    words: list[list[int]] | None = None,
    gaps: list[int] | None = None,
) -> None:
    """Tiles of an operation that does not roll: only the first of the T weights counts."""
    weights = weights_of(rng, p)
    words = words or [rng.integers(p.memories.vector, size=len(taps)).tolist() for taps in tiles]
    due: list[list[int] | None] = [
        results(op, taps, weights[chosen, 0]) for taps, chosen in zip(tiles, words, strict=True)
    ]
    run(p, op, tiles, weights.reshape(p.memories.vector, -1), words, due, gaps=gaps)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("op", VectorOp)
def test_random_tiles(op: VectorOp, case: Case) -> None:
    p = params_of(case)
    rng = np.random.default_rng(3)
    sizes = [2] * 30 if op is VectorOp.PAIR else [1, 1, 1, 2, 1, 3, *rng.integers(1, 10, 25)]
    tiles = [rng.integers(-128, 128, (n, p.lanes)) for n in sizes]
    gaps = [0] * 16 + rng.integers(0, 4, len(sizes) - 16).tolist()
    run_op(p, op, tiles, rng, gaps=gaps)


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
    run_op(p, op, tiles, np.random.default_rng(4), words)
    if op is VectorOp.MAX:  # the largest first, last and in between, and a tile behind a larger one
        order = [[127, -128, 0], [-128, 0, 127], [-5, 6, -7], [-128], [-127, -128], [-128, -128]]
        tiles = [np.array([[v] * p.lanes for v in taps]) for taps in order]
        run_op(p, op, tiles, np.random.default_rng(5))


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("zeros", [(-128, 127), (127, -128), (0, 0), (-128, -128), (5, -18)])
def test_products(zeros: tuple[int, int], case: Case) -> None:
    """Two words less a zero point each, of up to 9 bits, back to back and with gaps."""
    p = params_of(case, products=True)
    rng = np.random.default_rng(6)
    limits = (-128, 127, 0, -1, 1, 126)
    tiles = [np.array([[a] * p.lanes, [b] * p.lanes]) for a in limits for b in limits]
    tiles += [rng.integers(-128, 128, (2, p.lanes)) for _ in range(60)]
    gaps = [0] * 60 + rng.integers(0, 4, len(tiles) - 60).tolist()
    words = [rng.integers(p.memories.vector, size=2).tolist() for _ in tiles]
    due: list[list[int] | None] = [
        np.prod(tile - np.array(zeros)[:, None], axis=0).tolist() for tile in tiles
    ]
    weights = weights_of(rng, p).reshape(p.memories.vector, -1)
    run(p, PRODUCT, tiles, weights, words, due, gaps=gaps, zeros=zeros)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_pairs_with_an_inverted_second_word(case: Case) -> None:
    p = params_of(case, products=True)
    rng = np.random.default_rng(7)
    limits = (-128, 127, 0, -1)
    tiles = [np.array([[a] * p.lanes, [b] * p.lanes]) for a in limits for b in limits]
    tiles += [rng.integers(-128, 128, (2, p.lanes)) for _ in range(20)]
    due: list[list[int] | None] = [(a + (~b << 16)).tolist() for a, b in tiles]
    weights = weights_of(rng, p).reshape(p.memories.vector, -1)
    run(p, VectorOp.PAIR, tiles, weights, [[0, 1]] * len(tiles), due, zeros=(3, -5))


@pytest.mark.parametrize("case", CASES, ids=NAMES)
@pytest.mark.parametrize("op", VectorOp)
def test_the_other_operations_of_a_unit_with_products(op: VectorOp, case: Case) -> None:
    p = params_of(case, products=True)
    rng = np.random.default_rng(8)
    tiles = [rng.integers(-128, 128, (2, p.lanes)) for _ in range(20)]
    run_op(p, op, tiles, rng)


def depthwise_row(image: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """One output row [cols, K] from an image [rows, width, K] as high as the kernel."""
    kernel = weight.shape[3]
    cols = (image.shape[1] - kernel) // stride + 1
    taps = weight[:, 0].transpose(1, 2, 0)  # [kernel rows, kernel cols, K]
    windows = [image[:, c * stride : c * stride + kernel] for c in range(cols)]
    return np.array([(window * taps).sum(axis=(0, 1)) for window in windows])


# (T, kernel rows, kernel columns, stride): the outputs of a column are at most T.
ROLLS = [
    (taps, kernel_rows, kernel, stride)
    for taps in (1, 2, 3, 4)
    for kernel_rows, kernel in ((1, 2), (3, 3), (2, 4), (1, 1))
    for stride in (1, 2)
    if -(-kernel // stride) <= taps and stride <= kernel
]


@pytest.mark.parametrize(("taps", "kernel_rows", "kernel", "stride"), ROLLS)
@pytest.mark.parametrize("style", [Style.DSP, Style.LUT, Style.DUAL])
@pytest.mark.parametrize("most", [0, 4])
def test_rolling(
    taps: int, kernel_rows: int, kernel: int, stride: int, style: Style, most: int
) -> None:
    """A depthwise convolution along rows, one after the other; each column is read once.

    The lead tiles of a row see columns left of its first window, which must not count; nor do up to
    ``most`` idle cycles after a tile, nor what is left of a row of a wider kernel, for which all T
    sums are in use.
    """
    rng = np.random.default_rng(taps * 100 + kernel * 10 + stride)
    shapes = ((1, taps * stride), (kernel_rows, kernel))
    kernels = [rng.integers(-127, 128, (3, 1, *shape)).astype(np.int16) for shape in shapes]
    kernels[1][0] = 127
    words = [rolling_weights(weight, 3, taps, stride) for weight in kernels]
    assert [len(part) for part in words] == [stride, kernel_rows * stride]
    tiles: list[np.ndarray] = []
    due: list[list[int] | None] = []
    fresh, chosen = [], []
    for cols, which in ((1, 1), (2, 1), (3, 0), (5, 1), (1, 0), (1, 1), (4, 1)):
        n_rows, width = shapes[which]
        lead = -(-width // stride) - 1
        before = lead * stride + stride - width  # columns read before the first window
        image = rng.integers(-128, 128, (n_rows, before + (cols - 1) * stride + width, 3))
        if cols == 5:
            image[:] = -128
        sums = depthwise_row(image[:, before:], kernels[which], stride)
        base = len(words[0]) if which else 0
        for tile in range(lead + cols):
            columns = image[:, tile * stride : (tile + 1) * stride]
            tiles.append(columns.reshape(-1, 3))
            fresh.append(int(tile == 0))
            chosen.append(list(range(base, base + n_rows * stride)))
            due.append(sums[tile - lead].tolist() if tile >= lead else None)
    memory = np.concatenate(words)
    p = params_of((3, taps, 8, 25, style), vector_words=len(memory))
    gaps = rng.integers(0, most + 1, len(tiles)).tolist()
    run(p, VectorOp.MAC, tiles, memory, chosen, due, gaps=gaps, fresh=fresh, rolling=1)


@pytest.mark.parametrize("taps", [1, 2, 3])
def test_rolling_uses_the_first_weights_only_where_it_does_not_roll(taps: int) -> None:
    """A step after a rolling one starts anew with every tile: windows instead of columns."""
    case = (2, taps, 9, 28, Style.DSP)
    rng = np.random.default_rng(taps)
    weight = rng.integers(-255, 256, (2, 1, 2, 3)).astype(np.int16)
    words = vector_weights(weight, 2, taps)
    assert words.shape == (6, 2 * taps)
    p = params_of(case, vector_words=6)
    tiles = [rng.integers(-128, 128, (6, 2)) for _ in range(8)]
    flat = weight[:, 0].reshape(2, 6).T
    due: list[list[int] | None] = [(tile * flat).sum(axis=0).tolist() for tile in tiles]
    run(p, VectorOp.MAC, tiles, words, [list(range(6))] * 8, due)


def test_latency() -> None:
    """Six cycles to the lanes, two (DSP, dual) or three (LUT) per product, one to add."""
    assert [unit_latency(params_of(case), Unit.VECTOR) for case in CASES] == [9, 10, 9, 10, 9, 9]


def test_pairs_meet_in_the_middle_of_the_requantiser() -> None:
    assert PAIR_SHIFT == 16
