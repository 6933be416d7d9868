"""Memories: two cycles of latency, one write enable per grain, reads and writes in every cycle."""

import random

import pytest

from tests.hw.support import play
from weft.hw.ram import Ram
from weft.machine.timing import READ_LATENCY

N_CYCLES = 400

# (width, depth, grain)
CASES = [(8, 16, 8), (36, 5, 36), (32, 64, 8), (12, 7, 3), (1, 2, 1), (72, 33, 36), (16, 3, 1)]


def test_latency() -> None:
    assert READ_LATENCY == 2


@pytest.mark.parametrize(("width", "depth", "grain"), CASES)
def test_reads_what_was_written(width: int, depth: int, grain: int) -> None:
    dut = Ram(width=width, depth=depth, grain=grain)
    rng = random.Random(width)
    words = [0] * depth
    enables, addresses, values, reads, expected = [], [], [], [], []
    for _ in range(N_CYCLES):
        enable = rng.choice([0, (1 << width // grain) - 1, rng.getrandbits(width // grain)])
        address, value = rng.randrange(depth), rng.getrandbits(width)
        # A word that is being written reads as anything: stay away from it.
        read = rng.choice([i for i in range(depth) if not (enable and i == address)])
        reads.append(read)
        expected.append(words[read])
        mask = sum((1 << grain) - 1 << i * grain for i in range(width // grain) if enable >> i & 1)
        words[address] = words[address] & ~mask | value & mask
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
    assert [data for (data,) in rows[READ_LATENCY:]] == expected


def test_a_write_is_read_in_the_next_cycle() -> None:
    dut = Ram(width=8, depth=4)
    inputs = [(dut.w_en, [1, 0]), (dut.w_addr, [2]), (dut.w_data, [77]), (dut.r_addr, [0, 2, 0])]
    assert play(dut, inputs, [dut.r_data], 5) == [(0,), (0,), (0,), (77,), (0,)]


def test_starts_with_zeros_and_one_word_is_a_memory() -> None:
    dut = Ram(width=4, depth=1)
    assert dut.address_bits == 1
    inputs = [(dut.w_en, [0, 1, 0]), (dut.w_data, [9])]
    assert play(dut, inputs, [dut.r_data], 6)[3:] == [(0,), (9,), (9,)]


@pytest.mark.parametrize(("width", "depth", "grain"), [(8, 4, 3), (0, 4, 1), (8, 0, 8), (8, 4, 16)])
def test_errors(width: int, depth: int, grain: int) -> None:
    text = f"Ram: grain {grain} must divide width {width}; depth {depth} >= 1"
    with pytest.raises(ValueError, match=f"^{text}$"):
        Ram(width=width, depth=depth, grain=grain)
