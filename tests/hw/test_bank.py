"""A bank of activations: a memory with registers at its ports, of either kind."""

import random

import pytest

from tests.hw.support import play, small_params
from weft.hw.bank import Bank
from weft.hw.ram import Ram
from weft.hw.spram import Spram
from weft.machine.timing import BANK_LATENCY

LANES, WORDS, N_CYCLES = 3, 17, 400


@pytest.mark.parametrize("single_port", [False, True])
def test_reads_and_writes_keep_their_order(single_port: bool) -> None:
    """A read gives what was written in earlier cycles, lane by lane, ``BANK_LATENCY`` later."""
    rng = random.Random(1)
    params = small_params(lanes=LANES, array_requant=1, vector_requant=1, act_words=(1, WORDS))
    dut = Bank(params, 1, Spram if single_port else Ram)
    contents: list[list[int | None]] = [[None] * LANES for _ in range(WORDS)]
    driven = (dut.w_en, dut.w_addr, dut.w_data, dut.r_addr)
    values, expected = [], []
    for _ in range(N_CYCLES):
        enable = rng.choice([0, 0, rng.getrandbits(LANES)])
        read, write = rng.randrange(WORDS), rng.randrange(WORDS)
        lanes = [rng.getrandbits(8) for _ in range(LANES)]
        known = not enable if single_port else read != write or not enable
        expected.append(list(contents[read]) if known else [None] * LANES)
        for k in range(LANES):
            if enable >> k & 1:
                contents[write][k] = lanes[k]
        word = sum(lane << 8 * k for k, lane in enumerate(lanes))
        values.append((enable, write, word, read))
    inputs = list(zip(driven, zip(*values, strict=True), strict=True))
    rows = play(dut, inputs, [dut.r_data], N_CYCLES + BANK_LATENCY)
    n_checked = 0
    for (word,), lanes in zip(rows[BANK_LATENCY:], expected, strict=True):
        for k, lane in enumerate(lanes):
            if lane is not None:
                assert word >> 8 * k & 0xFF == lane
                n_checked += 1
    assert n_checked > N_CYCLES
