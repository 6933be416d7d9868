"""Leaf cells side by side in Verilator: each bench gets random bits and says when cells differ."""

import subprocess
from pathlib import Path

from tests.verilated import verilate

HERE = Path(__file__).parent
CELLS = HERE.parent.parent / "hw" / "cells"
N_CYCLES = 20_000
QUIET = "-Wno-fatal -Wno-lint -Wno-style"  # the Verilog that Amaranth writes is not lint-clean

MAIN = r"""
#include "Vbench.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
int main(int argc, char **argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vbench bench{&context};
    uint64_t r = 88172645463325252ull;
    for (int i = 0; i < @CYCLES@; i++) {
        r ^= r << 13; r ^= r >> 7; r ^= r << 17;
        bench.r = r * 2685821657736338717ull;
        bench.clk = 0; bench.eval();
        bench.clk = 1; bench.eval();
    }
    std::printf("bad %x\n", (unsigned)bench.bad);
    return bench.bad != 0;
}
"""


def fill(text: str, **values: object) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def compare(
    folder: Path,
    benches: list[str],
    texts: list[str],
    sources: list[Path],
    n_cycles: int = N_CYCLES,
) -> subprocess.CompletedProcess[str]:
    """Run the modules ``benches`` (clk, 64 random bits r, sticky bad), which ``texts`` define."""
    wires = "".join(
        f"  {name} u_{name} (.clk(clk), .r(r), .bad(bad[{i}]));\n" for i, name in enumerate(benches)
    )
    ports = f"input clk, input [63:0] r, output [{len(benches) - 1}:0] bad"
    top = f"module bench ({ports});\n{wires}endmodule\n"
    (folder / "bench.v").write_text("\n".join([*texts, top]))
    (folder / "main.cpp").write_text(fill(MAIN, CYCLES=n_cycles))
    flags = f"--cc --exe --build -j 1 --top-module bench {QUIET} --x-initial 0 main.cpp bench.v"
    verilate(folder, [*flags.split(), *map(str, sources)])
    return subprocess.run(
        ["obj_dir/Vbench"], cwd=folder, capture_output=True, text=True, check=False
    )
