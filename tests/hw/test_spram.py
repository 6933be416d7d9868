"""Single-ported memories: as ``Ram``, but for reads in the cycle of a write."""

import random

import pytest

from tests.hw.support import play
from weft.hw.spram import Spram
from weft.machine.timing import READ_LATENCY

N_CYCLES = 400

# (width, depth, grain)
CASES = [(8, 16, 8), (16, 64, 8), (64, 33, 8), (48, 5, 16), (24, 7, 24), (16, 1, 8)]


@pytest.mark.parametrize(("width", "depth", "grain"), CASES)
def test_reads_what_was_written(width: int, depth: int, grain: int) -> None:
    dut = Spram(width=width, depth=depth, grain=grain)
    rng = random.Random(width)
    n_grains = width // grain
    words: dict[int, int] = {}
    enables, addresses, values, reads, expected = [], [], [], [], []
    for t in range(N_CYCLES):
        fill = t < depth  # nothing is known about the contents at start
        choices = [0, (1 << n_grains) - 1, rng.getrandbits(n_grains)]
        enable = (1 << n_grains) - 1 if fill else rng.choice(choices)
        address, value = t if fill else rng.randrange(depth), rng.getrandbits(width)
        read = rng.randrange(depth)
        reads.append(read)
        expected.append(None if enable else words[read])
        mask = sum((1 << grain) - 1 << i * grain for i in range(n_grains) if enable >> i & 1)
        words[address] = words.get(address, 0) & ~mask | value & mask
        enables.append(enable)
        addresses.append(address)
        values.append(value)
    inputs = [
        (dut.w_en, enables),
        (dut.w_addr, addresses),
        (dut.w_data, values),
        (dut.r_addr, reads),
    ]
    rows = play(dut, inputs, [dut.r_data], N_CYCLES + READ_LATENCY)
    got = [data for (data,) in rows[READ_LATENCY:]]
    assert [g for g, e in zip(got, expected, strict=True) if e is not None] == [
        e for e in expected if e is not None
    ]
    assert sum(e is not None for e in expected) > 50


def test_a_write_does_not_disturb_earlier_reads() -> None:
    dut = Spram(width=8, depth=4)
    inputs = [
        (dut.w_en, [1, 0, 1, 1, 0]),
        (dut.w_addr, [2, 0, 3]),
        (dut.w_data, [77, 0, 88]),
        (dut.r_addr, [0, 2, 0, 0, 3]),
    ]
    rows = play(dut, inputs, [dut.r_data], 7)
    assert (rows[3], rows[6]) == ((77,), (88,))


@pytest.mark.parametrize(
    ("width", "depth", "grain"),
    [(8, 4, 3), (0, 4, 8), (8, 0, 8), (8, 4, 16), (12, 4, 8), (12, 4, 4), (16, 4, 0)],
)
def test_errors(width: int, depth: int, grain: int) -> None:
    text = f"Spram: grain {grain} must be a multiple of 8 and divide width {width}; depth {depth}"
    with pytest.raises(ValueError, match=f"^{text} >= 1$"):
        Spram(width=width, depth=depth, grain=grain)
