"""Memories after synthesis: the mapped netlist reads what the portable ``weft_ram`` reads.

On ECP5 with the pass that moves registers into block RAMs (``bram_register``): this is its proof.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.hw.cell_bench import CELLS, compare
from tests.hw.test_cells import image, yosys
from weft.boards import bram_register
from weft.boards.board import load_board
from weft.boards.families.lookup import FAMILIES
from weft.boards.netlist import netlist_sources
from weft.boards.synth import finish_netlist
from weft.hw.ram import Ram

TOP = "memories"
BOARDS = {"ecp5": "ulx3s-25f", "ice40": "icebreaker"}


class Shape(NamedTuple):
    """A memory, and whether it starts with an image."""

    width: int
    depth: int
    grain: int
    image: bool


# Every width of a block's port, byte enables, several blocks side by side and behind one another.
SHAPES = {
    "ecp5": [
        Shape(36, 512, 36, True),
        Shape(18, 1024, 18, True),
        Shape(9, 2048, 9, True),
        Shape(4, 4096, 4, True),
        Shape(2, 8192, 2, True),
        Shape(1, 16384, 1, True),
        Shape(64, 300, 8, True),
        Shape(24, 500, 12, False),
        Shape(12, 20, 12, False),
        Shape(36, 2000, 36, True),
        Shape(48, 1300, 16, False),
        Shape(5, 20000, 5, True),
    ],
    "ice40": [
        Shape(16, 256, 16, True),
        Shape(8, 512, 8, True),
        Shape(4, 1024, 4, True),
        Shape(2, 2048, 2, True),
        Shape(24, 200, 8, True),
        Shape(7, 300, 7, False),
        Shape(16, 1000, 8, True),
        Shape(18, 700, 18, False),
    ],
}

MEMORY = """
    localparam W@N@ = @W@, D@N@ = @D@, G@N@ = @G@, AB@N@ = @AB@;
    wire [AB@N@-1:0] w_addr_@N@ = AB@N@'(place(r ^ 64'd@N@, D@N@));
    wire [AB@N@-1:0] r_addr_@N@ = AB@N@'(place({r[31:0], r[63:32]} ^ 64'd@N@, D@N@));
    wire [W@N@-1:0] w_data_@N@ = W@N@'({r, ~r} >> (5 + @N@));
    wire [W@N@/G@N@-1:0] w_en_@N@ = (W@N@/G@N@)'({r[40], r[31:16]} >> @N@ % 5);
    wire [W@N@-1:0] portable_@N@, mapped_@N@;
    weft_ram #(.WIDTH(W@N@), .DEPTH(D@N@), .GRAIN(G@N@), .ADDR_BITS(AB@N@), .INIT("@INIT@"))
        ram_@N@ (.clk(clk), .w_en(w_en_@N@), .w_addr(w_addr_@N@), .w_data(w_data_@N@),
                 .r_addr(r_addr_@N@), .r_data(portable_@N@));
    reg [W@N@-1:0] seen_@N@ [0:D@N@-1];  // bits that have been written, or come from the image
    reg [W@N@-1:0] care_1_@N@ = 0, care_@N@ = 0;
    integer i_@N@;
    initial for (i_@N@ = 0; i_@N@ < D@N@; i_@N@ = i_@N@ + 1) seen_@N@[i_@N@] = {W@N@{1'b@KNOWN@}};
    always @(posedge clk) begin
        for (i_@N@ = 0; i_@N@ < W@N@ / G@N@; i_@N@ = i_@N@ + 1)
            if (w_en_@N@[i_@N@]) seen_@N@[w_addr_@N@][G@N@*i_@N@ +: G@N@] <= {G@N@{1'b1}};
        // Reading the word that is being written is undefined.
        care_1_@N@ <= w_en_@N@ != 0 && w_addr_@N@ == r_addr_@N@ ? 0 : seen_@N@[r_addr_@N@];
        care_@N@ <= care_1_@N@;
        n_read_@N@ <= n_read_@N@ + (care_@N@ != 0);
        if (n_cycles == 19_990 && n_read_@N@ < 5_000) begin
            $display("memory @N@: too few reads");
            bad <= 1;
        end
        if (((portable_@N@ ^ mapped_@N@) & care_@N@) != 0) begin
            if (!bad) $display("memory @N@: portable %h, mapped %h", portable_@N@, mapped_@N@);
            bad <= 1;
        end
    end
    integer n_read_@N@ = 0;
"""

BENCH = """
module memories_bench (input clk, input [63:0] r, output reg bad = 0);
    // Half of the time one of eight places from all over the memory, so that words are met again.
    function [31:0] place(input [63:0] x, input integer depth);
        place = x[50] ? 32'(x[53:51] * (depth - 1) / 7) : x[31:0] % depth;
    endfunction
    integer n_cycles = 0;
    always @(posedge clk) n_cycles <= n_cycles + 1;
@MEMORIES@
    memories mapped (.clk(clk)@PINS@);
endmodule
"""


def per_memory(text: str, shapes: list[Shape]) -> str:
    made = []
    for n, (width, depth, grain, with_image) in enumerate(shapes):
        address = Ram(width=width, depth=depth, grain=grain).address_bits
        values = {"N": n, "W": width, "D": depth, "G": grain, "AB": address}
        values |= {"E": width // grain, "KNOWN": int(with_image)}
        values |= {"INIT": f"ram_{n}.hex" if with_image else ""}
        one = text
        for key, value in values.items():
            one = one.replace(f"@{key}@", str(value))
        made.append(one)
    return "".join(made)


def design(shapes: list[Shape]) -> str:
    """All memories side by side, each with its own pins."""
    pins = """, input [@E@-1:0] w_en_@N@, input [@AB@-1:0] w_addr_@N@, input [@W@-1:0] w_data_@N@,
    input [@AB@-1:0] r_addr_@N@, output [@W@-1:0] r_data_@N@"""
    cells = """
    weft_ram #(.WIDTH(@W@), .DEPTH(@D@), .GRAIN(@G@), .ADDR_BITS(@AB@), .INIT("@INIT@"))
        ram_@N@ (.clk(clk), .w_en(w_en_@N@), .w_addr(w_addr_@N@), .w_data(w_data_@N@),
                 .r_addr(r_addr_@N@), .r_data(r_data_@N@));"""
    return (
        f"module {TOP} (input clk{per_memory(pins, shapes)});\n"
        f"{per_memory(cells, shapes)}\nendmodule\n"
    )


@pytest.fixture(scope="module")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with ``net.json`` of a family's memories, as yosys leaves it."""
    folders: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family not in folders:
            folder = folders[family] = tmp_path_factory.mktemp(family)
            for n, shape in enumerate(SHAPES[family]):
                if shape.image:
                    image(shape.width, shape.depth, folder / f"ram_{n}.hex")
            (folder / "top.v").write_text(design(SHAPES[family]))
            shutil.copy(CELLS / "generic" / "weft_ram.v", folder)
            device = load_board(BOARDS[family]).device
            command = FAMILIES[family].synth_command(device, TOP, "net.json")
            yosys(folder, f"read_verilog top.v weft_ram.v\n{command}\n")
        return folders[family]

    return make


def cells_of(netlist: Path) -> list[dict[str, Any]]:
    return list(json.loads(netlist.read_text())["modules"][TOP]["cells"].values())


def simulate(folder: Path, family: str) -> subprocess.CompletedProcess[str]:
    """Random traffic on the memories of ``net.json`` and on portable ones."""
    pins = """,
        .w_en_@N@(w_en_@N@), .w_addr_@N@(w_addr_@N@), .w_data_@N@(w_data_@N@),
        .r_addr_@N@(r_addr_@N@), .r_data_@N@(mapped_@N@)"""
    bench = BENCH.replace("@MEMORIES@", per_memory(MEMORY, SHAPES[family]))
    bench = bench.replace("@PINS@", per_memory(pins, SHAPES[family]))
    sources = netlist_sources(FAMILIES[family], "net.json", TOP, folder, "netlist")
    return compare(folder, ["memories_bench"], [bench], [*sources, folder / "weft_ram.v"])


@pytest.fixture
def folder(tmp_path: Path, synthesised: Callable[[str], Path], family: str) -> Path:
    """A copy of the family's ``synthesised`` folder."""
    return shutil.copytree(synthesised(family), tmp_path / "copy")


@pytest.mark.parametrize("family", ["ecp5", "ice40"])
def test_mapped_memories_read_the_same(folder: Path, family: str) -> None:
    """What goes to nextpnr: on ECP5 every block RAM has its output registers on."""
    finish_netlist(FAMILIES[family], folder / "net.json", TOP)
    cells = cells_of(folder / "net.json")
    blocks = [cell["parameters"] for cell in cells if cell["type"] in ("DP16KD", "SB_RAM40_4K")]
    if family == "ecp5":
        assert {int(block["DATA_WIDTH_B"], 2) for block in blocks} == {1, 2, 4, 9, 18, 36}
        assert {block["REGMODE_B"] for block in blocks} == {"OUTREG"}
        assert '"$block_select_' in (folder / "net.json").read_text()
    else:
        assert {int(block["READ_MODE"], 2) for block in blocks} == {0, 1, 2, 3}
    done = simulate(folder, family)
    assert (done.returncode, done.stdout) == (0, "bad 0\n")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5"])
def test_without_the_pass(folder: Path, family: str) -> None:
    done = simulate(folder, family)
    assert (done.returncode, done.stdout) == (0, "bad 0\n")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5"])
def test_a_block_select_without_its_register_is_seen(
    folder: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bram_register._Retiming, "_delay", lambda self, net, like: net)
    finish_netlist(FAMILIES[family], folder / "net.json", TOP)
    done = simulate(folder, family)
    assert done.returncode == 1
    assert "portable" in done.stdout
