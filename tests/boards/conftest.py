"""A build directory with a small ``weft_top`` that keeps the port contract."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boards.fake_tools import no_tools as no_tools  # a fixture
from weft.boards.board import load_board

CELLS = Path(__file__).parent.parent.parent / "hw" / "cells" / "generic"
LANES, N_WORDS = 4, 4
PLAN_HASH = 4 * "0123456789abcdef"
FACTORS = [3, 5, 7, 251]  # one per word, the same for all lanes

# Answers word i with each lane times FACTORS[i], modulo 256.
WEFT_TOP = """
module weft_top (
    input clk, input rst, input img_valid, input [31:0] img_addr, input [35:0] img_data,
    input in_valid, output in_ready, input [31:0] in_data,
    input start_valid, output start_ready, output busy,
    output out_valid, input out_ready, output [31:0] out_data, output reg [31:0] cycles
);
    reg [1:0] state;  // 0 load, 1 loaded, 2 run, 3 offer a word
    reg [1:0] n;
    reg [2:0] age;
    wire [31:0] word;
    wire [15:0] factor;
    wire [63:0] product;
    assign in_ready = state == 0;
    assign start_ready = state == 1;
    assign busy = state[1];
    assign out_valid = state == 3;
    assign out_data = {product[55:48], product[39:32], product[23:16], product[7:0]};
    // 36-bit and 18-bit block RAM.
    weft_ram #(.WIDTH(32), .DEPTH(256), .GRAIN(32), .ADDR_BITS(8)) words (
        .clk(clk), .w_en(in_valid & in_ready), .w_addr({6'b0, n}), .w_data(in_data),
        .r_addr({6'b0, n}), .r_data(word));
    weft_ram #(.WIDTH(16), .DEPTH(256), .GRAIN(16), .ADDR_BITS(8), .INIT("images/factor.hex"))
        factors (.clk(clk), .w_en(img_valid), .w_addr(img_addr[7:0]), .w_data(img_data[15:0]),
                 .r_addr({6'b0, n}), .r_data(factor));
    genvar i;
    generate for (i = 0; i < 4; i = i + 1) begin : lane
        weft_mul mul (.clk(clk), .a(word[8*i +: 8]), .b(factor[8*(i%2) +: 8]),
                      .p(product[16*i +: 16]));
    end endgenerate
    always @(posedge clk) begin
        age <= state == 2 ? age + 1 : 0;
        if (state == 2) cycles <= cycles + 1;
        case (state)
            0: if (in_valid) begin
                n <= n + 1;
                if (n == 3) state <= 1;
            end
            1: if (start_valid) begin
                state <= 2;
                cycles <= 0;
            end
            2: if (age == 5) state <= 3;
            3: if (out_ready) begin
                n <= n + 1;
                state <= n == 3 ? 0 : 2;
            end
        endcase
        if (rst) begin
            state <= 0;
            n <= 0;
        end
    end
endmodule
"""


@pytest.fixture
def fake_build(tmp_path: Path) -> Callable[[str], Path]:
    """``fake_build("ulx3s-25f")``: a fresh build directory for that board."""

    def make(board_name: str) -> Path:
        build = tmp_path / "build"
        for folder in ("rtl/cells", "images"):
            (build / folder).mkdir(parents=True)
        (build / "rtl/weft_top.v").write_text(WEFT_TOP)
        for cell in ("weft_ram.v", "weft_mul.v"):
            (build / "rtl/cells" / cell).write_text((CELLS / cell).read_text())
        words = "".join(f"{f:02x}{f:02x}\n" for f in [*FACTORS, *range(252)])
        (build / "images/factor.hex").write_text(words)
        manifest = {
            "top": "weft_top",
            "lanes": LANES,
            "input_words": N_WORDS,
            "output_words": N_WORDS,
            "image_memories": ["registers", "program"],
            "image_limits": [0, 4],
            "plan_hash": PLAN_HASH,
            "sources": ["rtl/weft_top.v", "rtl/cells/weft_ram.v", "rtl/cells/weft_mul.v"],
            "board": board_name,
            "board_file": load_board(board_name).to_json(),
        }
        (build / "manifest.json").write_text(json.dumps(manifest))
        (build / "report.json").write_text(json.dumps({"prediction": {"lut": 1}}))
        return build

    return make
