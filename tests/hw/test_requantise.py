"""Requantisation: both lanes equal the reference and float32, for every scale, tie and operand."""

import random
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.hw.support import SMALL, SMALL_COMPACT, simulate, small_params
from weft.engines.common.pack import BIAS_OFFSET, POINTS, encode_scaling
from weft.hw.requantise import SHIFTS, RequantiseLane
from weft.hw.serial_requantise import SerialRequantiseLane
from weft.machine.engine import SERIAL_CYCLES, Engine, Style
from weft.machine.timing import requant_latency
from weft.nn.ir.numerics import Scaling, requantise, round_scaled

CONFIGURATIONS = [(bits, style, 1) for bits in (25, 28, 32) for style in (Style.DSP, Style.LUT)]
CONFIGURATIONS += [
    (25, Style.DSP, SERIAL_CYCLES),
    (28, Style.LUT, SERIAL_CYCLES),
    (32, Style.DSP, SERIAL_CYCLES),
]

# (zero point, low, high, odd): even and odd zero points, full and clamped ranges.
OUTPUTS = [
    (0, -128, 127, False),
    (-128, -128, 127, False),
    (127, -128, 127, False),
    (-7, -7, 90, False),
    (-3, -128, 127, True),
    (127, -128, 127, True),
]


@dataclass(kw_only=True)
class Run:
    """Vectors that share a step's constants: accumulator, bias and encoded factor of each."""

    acc: np.ndarray
    factor: np.ndarray
    shift: np.ndarray
    bias: np.ndarray
    expected: np.ndarray
    zero_point: int
    low: int
    high: int
    odd: bool = False
    pair: bool = False
    multiplier: int = 0
    got: list[int] = field(default_factory=list)

    def part(self, step: int) -> "Run":
        """Every ``step``-th vector."""
        names = ("acc", "factor", "shift", "bias", "expected")
        return replace(self, **{name: getattr(self, name)[::step] for name in names})


def check(params: Engine, runs: list[Run], *, pairs: bool = True) -> None:
    """Feeds a vector every interval and compares each code ``latency`` cycles later."""
    if params.requant_interval > 1:
        check_serial(params, runs)
        return
    dut = RequantiseLane(params, pairs=pairs)
    assert dut.latency == requant_latency(params)
    names = ("zero_point", "low", "high") + ("odd", "pair", "multiplier") * pairs

    async def bench(ctx: Any) -> None:
        for run in runs:
            for name in names:
                ctx.set(getattr(dut, name), int(getattr(run, name)))
            accs, factors = run.acc.tolist(), run.factor.tolist()
            shifts, biases = run.shift.tolist(), run.bias.tolist()
            for t in range(len(accs) + dut.latency):
                if t < len(accs):
                    ctx.set(dut.acc, accs[t])
                    ctx.set(
                        dut.param, {"bias": biases[t], "shift": shifts[t], "factor": factors[t]}
                    )
                else:  # what leaves now must not depend on what enters behind it
                    ctx.set(dut.acc, -1)
                    ctx.set(dut.param, {"bias": -1, "shift": 7, "factor": -1})
                _clk, _rst, code = await ctx.tick().sample(dut.code)
                if t >= dut.latency:
                    run.got.append(code)

    simulate(dut, bench)
    compare(runs)


def check_serial(params: Engine, runs: list[Run]) -> None:
    """The same, mostly without a gap; a code must stay until the next one.

    Of many vectors it takes a quarter: they take four times the cycles.
    """
    runs = [run if len(run.acc) <= 100 else run.part(4) for run in runs]
    dut = SerialRequantiseLane(params)
    assert dut.latency == requant_latency(params)
    rng = random.Random(len(runs))

    async def bench(ctx: Any) -> None:
        for run in runs:
            for name in ("zero_point", "low", "high", "odd", "pair", "multiplier"):
                ctx.set(getattr(dut, name), int(getattr(run, name)))
            fields = (run.acc, run.bias, run.shift, run.factor)
            vectors = list(zip(*(values.tolist() for values in fields), strict=True))
            starts, t = {}, 0
            for vector in vectors:
                starts[t] = vector
                t += SERIAL_CYCLES + rng.choice((0, 0, 0, 1, 2, 3, 7))
            due = [start + dut.latency for start in starts]
            codes = []
            for cycle in range(t + dut.latency):
                junk = tuple(rng.getrandbits(n) for n in (24, 32, 3, 32))
                acc, bias, shift, factor = starts.get(cycle, junk)
                ctx.set(dut.start, cycle in starts)
                ctx.set(dut.acc, acc)
                ctx.set(dut.param, {"bias": bias, "shift": shift, "factor": factor})
                codes.append((await ctx.tick().sample(dut.code))[2])
            for first, end in pairwise([*due, len(codes)]):
                assert len(set(codes[first:end])) == 1, first
            run.got = [codes[cycle] for cycle in due]

    simulate(dut, bench, max_cycles=200_000)
    compare(runs)


def compare(runs: list[Run]) -> None:
    for run in runs:
        wrong = np.flatnonzero(np.array(run.got) != run.expected)
        assert wrong.size == 0, [
            {name: getattr(run, name)[i] for name in ("acc", "bias", "factor", "shift", "expected")}
            | {"got": run.got[i], "zero_point": run.zero_point, "odd": run.odd}
            for i in wrong[:5]
        ]


def scaled(true: np.ndarray, bias: np.ndarray, scaling: Scaling, **output: Any) -> Run:
    """A run whose sums with bias are ``true``, with the codes of the reference."""
    factor, shift = encode_scaling(scaling)
    expected = requantise(true.reshape(1, -1, 1, 1), scaling, **output).ravel()
    stored = bias + BIAS_OFFSET
    return Run(
        acc=true - bias,
        factor=factor,
        shift=shift,
        bias=stored,
        expected=expected,
        **output,
    )


def output(index: int) -> dict[str, Any]:
    return dict(zip(("zero_point", "low", "high", "odd"), OUTPUTS[index], strict=True))


def limits(bits: int) -> tuple[int, int]:
    """Lowest and highest sum: with the bias's offset it fits the accumulator."""
    return -(1 << bits - 1) - BIAS_OFFSET, (1 << bits - 1) - 1 - BIAS_OFFSET


def biases(rng: np.random.Generator, true: np.ndarray, bits: int) -> np.ndarray:
    """Biases that leave the accumulator itself in range."""
    low = np.maximum(true - ((1 << bits - 1) - 1), -(1 << 31))
    high = np.minimum(true + (1 << bits - 1), (1 << 31) - 1 - BIAS_OFFSET)
    return rng.integers(low, high + 1)


def random_vectors(rng: np.random.Generator, bits: int, n: int) -> tuple[np.ndarray, Scaling]:
    """Sums of all magnitudes; factors from below 2**-34 to above 2**9, 0 among them."""
    low, high = limits(bits)
    true = rng.integers(0, 1 << rng.integers(1, bits, n))
    true = np.clip(np.where(rng.random(n) < 0.5, -true, true), low, high)
    mantissa = rng.integers(1 << 23, 1 << 24, n)
    # Half of the factors lead into the int8 range, the others lie anywhere.
    size = np.log2(np.abs(true) + 1).astype(np.int64)
    near = 23 + size - rng.integers(-2, 9, n)
    shift = np.where(rng.random(n) < 0.5, near, rng.integers(12, 60, n))
    mantissa[:2], shift[:2] = 0, 0
    return true, Scaling(mantissa=mantissa, shift=shift)


def extreme_vectors(bits: int) -> tuple[np.ndarray, Scaling]:
    """Every power of two from 2**-35 to 2**11, one step beside it, times the extreme sums."""
    low, high = limits(bits)
    sums = [low, low + 1, -(1 << 24) + 1, -257, -1, 0, 1, 255, (1 << 24) - 1 - BIAS_OFFSET, high]
    factors = [(m, s) for s in range(12, 59) for m in (1 << 23, (1 << 23) + 1, (1 << 24) - 1)]
    grid = [(t, m, s) for t in sums if low <= t <= high for m, s in factors]
    true, mantissa, shift = np.array(grid).T
    return true, Scaling(mantissa=mantissa, shift=shift)


def near_ties(rng: np.random.Generator, bits: int, n: int) -> tuple[np.ndarray, Scaling]:
    """Products up to three units of the factor's last place away from n + 1/2."""
    low, high = limits(bits)
    true = rng.integers(1, np.minimum(high, 1 << rng.integers(1, 25, n)), n)
    whole = rng.integers(0, 300, n)
    ratio = (whole + 0.5) / true
    fraction, exponent = np.frexp(ratio)
    mantissa = np.rint(fraction * (1 << 24)).astype(np.int64) + rng.integers(-3, 4, n)
    mantissa = np.clip(mantissa, 1 << 23, (1 << 24) - 1)
    shift = 24 - exponent.astype(np.int64)
    keep = shift < 57
    true = np.where(rng.random(n) < 0.5, -true, true)
    return np.maximum(true, low)[keep], Scaling(mantissa=mantissa[keep], shift=shift[keep])


def exact_ties() -> tuple[np.ndarray, Scaling]:
    """n + 1/2 exactly, with factors that are powers of two (average pools keep their scale)."""
    grid = [(sign * (2 * n + 1) << k, 24 + k) for n in range(140) for sign in (1, -1)
            for k in (0, 3, 8)]  # fmt: skip
    true, shift = np.array(grid).T
    return true, Scaling(mantissa=np.full(len(true), 1 << 23), shift=shift)


def half_ulp_edges() -> tuple[np.ndarray, Scaling]:
    """Products exactly half an ulp of float32 from a tie (the last to count as one), and beyond.

    In units of 2**-25: (2 n + 1) * 2**24 +- 2**bit_length(n), times one; split into sum * mantissa.
    """
    rows = []
    for n in range(300):
        for beyond in (0, 1):
            for side in (1, -1):
                value = ((2 * n + 1) << 24) + side * ((1 << n.bit_length()) + beyond)
                rows += _products(value)[:3]
    true, mantissa, shift = np.array(rows).T
    return true, Scaling(mantissa=mantissa, shift=shift)


def _products(value: int) -> list[tuple[int, int, int]]:
    """(sum, mantissa, shift) with sum * mantissa * 2**-shift == value * 2**-25."""
    found = []
    for divisor in range(1, 1 << 12):
        if value % divisor == 0 and value // divisor < 1 << 24:
            places = 24 - (value // divisor).bit_length()
            found.append((divisor, (value // divisor) << places, 25 + places))
    return found


def lane_params(bits: int, style: Style, interval: int) -> Engine:
    return small_params(
        SMALL_COMPACT if interval > 1 else SMALL,
        array_requant=1,
        vector_requant=1,
        accumulator_bits=bits,
        requant_multiplier=style,
    )


@pytest.mark.parametrize(("bits", "style", "interval"), CONFIGURATIONS)
def test_equals_reference(bits: int, style: Style, interval: int) -> None:
    rng = np.random.default_rng(bits)
    params = lane_params(bits, style, interval)
    runs = []
    for i in range(len(OUTPUTS)):
        for true, scaling in (random_vectors(rng, bits, 150), near_ties(rng, bits, 100)):
            runs.append(scaled(true, biases(rng, true, bits), scaling, **output(i)))
    for i, (true, scaling) in enumerate((extreme_vectors(bits), exact_ties(), half_ulp_edges())):
        if style is Style.DSP:  # behind the product both styles are the same
            for odd in (i, i + 3):
                runs.append(scaled(true, biases(rng, true, bits), scaling, **output(odd)))
    check(params, runs)
    if interval == 1:  # the array's lanes
        plain = [replace(run, got=[]) for run in runs if not run.odd]
        check(params, plain, pairs=False)


def test_half_ulp_edges_are_edges() -> None:
    """The vectors above do fall on both sides: without them a wrong comparison goes unseen."""
    true, scaling = half_ulp_edges()
    product = true * scaling.mantissa
    distance = np.abs(product - ((product >> scaling.shift) << scaling.shift)
                      - (1 << scaling.shift - 1))  # fmt: skip
    exact = np.rint(np.float64(product) * 2.0**-scaling.shift)
    rounded = round_scaled(product, scaling.shift)
    assert np.count_nonzero(exact != rounded) > 50
    assert np.count_nonzero((exact == rounded) & (distance > 0)) > 50


@pytest.mark.parametrize("interval", [1, SERIAL_CYCLES])
@pytest.mark.parametrize("odd", [False, True])
def test_equals_float32(odd: bool, interval: int) -> None:
    rng = np.random.default_rng(7)
    bits = 28
    cases = [
        random_vectors(rng, 24, 1200),
        near_ties(rng, 24, 1200),
        half_ulp_edges(),
        exact_ties(),
    ]
    runs = []
    for i, (true, scaling) in enumerate(cases):
        zero_point, low, high, _ = OUTPUTS[i]
        acc = true.astype(np.float32)
        factor = scaling.mantissa.astype(np.float32) * np.exp2(-scaling.shift).astype(np.float32)
        product = acc * factor
        floor = np.floor(product)
        result = np.rint(product)
        if odd:
            tie = product - floor == 0.5
            result = np.where(tie, floor + (floor % 2 == 0), result)
        result = np.clip(result, -1000, 1000).astype(np.int64)
        run = scaled(true, biases(rng, true, bits), scaling, zero_point=zero_point, low=low,
                     high=high, odd=odd)  # fmt: skip
        runs.append(replace(run, expected=np.clip(result + zero_point, low, high)))
    check(lane_params(bits, Style.DSP, interval), runs)


CORNERS = (-128, -127, -1, 0, 1, 127)
FACTORS = (0, 1, 0xFFFF, 0x10000, 0x5A82_799A, 0x8000_0000, 0xFFFF_FFFF)


def pair_run(
    a: np.ndarray, b: np.ndarray, zeros: tuple[int, int], factors: tuple[int, int], code: int,
    zero_point: int,
) -> Run:  # fmt: skip
    """Both operands in one accumulator, as the vector unit and ``lower`` lay them out."""
    product = (a - zeros[0]) * factors[0] + (b - zeros[1]) * factors[1]
    odd = bool(zero_point & 1)
    rounded = round_scaled(product, np.int64(POINTS[code]), odd)
    same = np.ones(len(a), dtype=np.int64)
    return Run(
        acc=a + (b << 16),
        bias=same * (BIAS_OFFSET - zeros[0] - (zeros[1] << 16)),
        factor=same * factors[0],
        shift=same * code,
        expected=np.clip(rounded + zero_point, -128, 127),
        zero_point=zero_point,
        low=-128,
        high=127,
        odd=odd,
        pair=True,
        multiplier=factors[1],
    )


@pytest.mark.parametrize(("bits", "style", "interval"), CONFIGURATIONS)
def test_pairs(bits: int, style: Style, interval: int) -> None:
    rng = np.random.default_rng(bits)
    a, b = (grid.ravel() for grid in np.meshgrid(CORNERS, CORNERS))
    runs = []
    zero_points = ((-128, 127), (127, -128), (-128, -128), (127, 127), (0, 0), (3, -5))
    for i, zeros in enumerate(zero_points):
        code = i % len(POINTS)
        factors = (int(rng.choice(FACTORS)), int(rng.choice(FACTORS)))
        runs.append(pair_run(a, b, zeros, factors, code, int(rng.integers(-128, 128))))
    for zero_point in (-128, 127, 0, -3):  # results in range, ties and near-ties among them
        code = int(rng.integers(len(POINTS)))
        one = 1 << POINTS[code]
        halves = int(rng.choice([one >> 1, one >> 2, (one >> 1) + 1, (one >> 1) - 1]))
        factors = tuple(min(f, (1 << 32) - 1) for f in (halves, int(rng.integers(one))))
        a, b = rng.integers(-128, 128, (2, 100))
        runs.append(pair_run(a, b, (1, -2), (factors[0], factors[1]), code, zero_point))
    check(lane_params(bits, style, interval), runs)


def test_shift_codes_are_those_of_the_images() -> None:
    assert SHIFTS == POINTS
