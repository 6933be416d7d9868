"""Leaf cells side by side in Verilator: each bench gets random bits and says when cells differ."""

import subprocess
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import signed, unsigned

from tests.verilated import verilate
from weft.hw.multiplier import Multiplier
from weft.machine.engine import Style

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

MUL_BENCH = """
module mul_bench_@N@ (input clk, input [63:0] r, output reg bad = 0);
    localparam A = @A@, B = @B@, SA = @SA@, SB = @SB@;
    reg [A-1:0] a = 0;
    reg [B-1:0] b = 0;
    reg [3:0] age = 0;
    // Every eighth operand or so is a corner: 0, 1, all ones, the lowest, the highest.
    function [31:0] pick(input [31:0] x, input [3:0] how, input integer bits);
        case (how)
            0: pick = 0;
            1: pick = 1;
            2: pick = 32'hffff_ffff;
            3: pick = 32'd1 << (bits - 1);
            4: pick = (32'd1 << (bits - 1)) - 1;
            default: pick = x;
        endcase
    endfunction
    wire signed [A:0] a_value = {SA != 0 && a[A-1], a};
    wire signed [B:0] b_value = {SB != 0 && b[B-1], b};
    wire signed [A+B+1:0] product = a_value * b_value;
    reg [A+B-1:0] want_1, want;
    wire [A+B-1:0] portable, vendor;
    weft_mul #(.A_BITS(A), .B_BITS(B), .A_SIGNED(SA), .B_SIGNED(SB))
        dut_portable (.clk(clk), .a(a), .b(b), .p(portable));
    vendor_mul #(.A_BITS(A), .B_BITS(B), .A_SIGNED(SA), .B_SIGNED(SB))
        dut_vendor (.clk(clk), .a(a), .b(b), .p(vendor));
    wire [A+B-1:0] amaranth;
    mul_amaranth_@N@ dut_amaranth (.clk(clk), .rst(1'b0), .a(a), .b(b), .p(amaranth));
    always @(posedge clk) begin
        a <= A'(pick(r[31:0], r[43:40], A));
        b <= B'(pick(r[63:32], r[15:12], B));
        want_1 <= product[A+B-1:0];
        want <= want_1;
        age <= age == 15 ? 15 : age + 1;
        if (age > 4 && (portable != want || vendor != want || amaranth != want)) begin
            if (!bad) $display("multiplier @N@: want %h, portable %h, vendor %h, amaranth %h",
                               want, portable, vendor, amaranth);
            bad <= 1;
        end
    end
endmodule
"""


def fill(text: str, **values: object) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def multiplier_benches(shapes: list[tuple[int, int, int, int]]) -> tuple[list[str], list[str]]:
    """Texts and names of benches that hold ``vendor_mul`` to weft_mul, to Amaranth and to a * b.

    shapes: (a bits, a signed, b bits, b signed).
    """
    texts, names = [], []
    for n, (a, sa, b, sb) in enumerate(shapes):
        operands = (signed(a) if sa else unsigned(a), signed(b) if sb else unsigned(b))
        multiplier = Multiplier(*operands, Style.DSP)
        texts.append(fill(MUL_BENCH, N=n, A=a, B=b, SA=sa, SB=sb))
        texts.append(verilog.convert(multiplier, name=f"mul_amaranth_{n}", emit_src=False))
        names.append(f"mul_bench_{n}")
    return texts, names


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
