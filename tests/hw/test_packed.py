"""Packed multipliers: both products exact for every corner, one triple a cycle."""

import random
import subprocess
from pathlib import Path

import pytest
from amaranth.back import verilog

from tests.hw.cell_bench import CELLS, QUIET
from tests.hw.support import play
from tests.verilated import verilate
from weft.hw.cells import CellLibrary
from weft.hw.rows.packed import LATENCY, PackedMultiplier
from weft.machine.rows import PackedRow

CORNERS = (-127, -126, -65, -64, -33, -1, 0, 1, 2, 31, 32, 63, 64, 126, 127)
ACTS = (-128, -127, -65, -64, -63, -32, -2, -1, 0, 1, 2, 31, 63, 64, 85, 126, 127)
N_RANDOM = 15_000

Triple = tuple[int, int, int]

MAIN = r"""
#include "Vpacked.h"
#include "verilated.h"
#include <cstdio>
struct triple { int lower, upper, act; };
int main() {
    VerilatedContext context;
    Vpacked dut{&context};
    const long count = 255L * 255 * 256, latency = 4;
    triple sent[16];
    long wrong = 0;
    for (long i = 0; i < count + latency; i++) {
        triple now = {int(i % 255) - 127, int(i / 255 % 255) - 127, int(i / 65025 % 256) - 128};
        sent[i % 16] = now;
        dut.pair = (now.upper * 1024 + now.lower) & 0x3ffff;
        dut.act = now.act & 0xff;
        dut.clk = 0; dut.eval();
        if (i >= latency) {  // before the edge, as the Python bench samples
            triple old = sent[(i - latency) % 16];
            wrong += (short)dut.low != old.lower * old.act
                  || (short)dut.high != old.upper * old.act;
        }
        dut.clk = 1; dut.eval();
    }
    std::printf("%ld triples, %ld wrong\n", count, wrong);
    return wrong != 0;
}
"""


def check(triples: list[Triple]) -> None:
    """(lower weight, upper weight, activation), one after the other without a gap."""
    dut = PackedMultiplier()
    inputs = [
        (dut.pair, [(upper << PackedRow.SHIFT) + lower for lower, upper, _ in triples]),
        (dut.act, [act for _, _, act in triples]),
    ]
    rows = play(dut, inputs, [dut.low, dut.high], len(triples) + LATENCY)
    for triple, row in zip(triples, rows[LATENCY:], strict=True):
        lower, upper, act = triple
        assert row == (lower * act, upper * act), triple


def test_corners() -> None:
    check([(lower, upper, act) for lower in CORNERS for upper in CORNERS for act in ACTS])


def test_every_activation() -> None:
    """All activations on the largest weights of either sign, and on their neighbours."""
    weights = (-127, -126, 0, 126, 127)
    acts = range(-128, 128)
    check([(lower, upper, act) for lower in weights for upper in weights for act in acts])


def test_every_weight() -> None:
    acts, values = (-128, -127, 127), range(-127, 128)
    check(
        [(weight, other, act) for act in acts for weight in values for other in (-127, 127)]
        + [(other, weight, act) for act in acts for weight in values for other in (-127, 127)]
    )


def test_random_triples() -> None:
    rng = random.Random(1)
    weights = range(-127, 128)
    check(
        [
            (rng.choice(weights), rng.choice(weights), rng.randrange(-128, 128))
            for _ in range(N_RANDOM)
        ]
    )


@pytest.mark.slow
def test_every_triple(tmp_path: Path) -> None:
    """All 255 x 255 x 256 triples, with the portable cell, in Verilator."""
    text = verilog.convert(
        PackedMultiplier(), name="packed", platform=CellLibrary(), emit_src=False
    )
    (tmp_path / "packed.v").write_text(text)
    (tmp_path / "main.cpp").write_text(MAIN)
    cells = [str(path) for path in sorted((CELLS / "generic").glob("*.v"))]
    arguments = f"--cc --exe --build -j 1 -O3 --top-module packed {QUIET} main.cpp packed.v"
    verilate(tmp_path, [*arguments.split(), *cells])
    done = subprocess.run(
        ["obj_dir/Vpacked"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{255 * 255 * 256} triples, 0 wrong\n"
