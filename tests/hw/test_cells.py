"""Leaf cells: vendor cells equal the portable ones, these equal Amaranth's, and yosys maps them."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import verilog

from tests.hw.cell_bench import CELLS, HERE, compare, fill, multiplier_benches
from tests.verilated import verilate
from weft.boards.families.lookup import FAMILIES
from weft.boards.netlist import MODELS
from weft.boards.toolchain import find_tool, run
from weft.errors import ToolError
from weft.hw.ram import Ram

WAIVED = ["-Wno-DECLFILENAME", "-Wno-UNUSEDSIGNAL", "-Wno-UNUSEDPARAM"]  # dangling pins of a DSP

# (a bits, a signed, b bits, b signed)
MULTIPLIERS = [
    (8, 1, 8, 1),
    (9, 1, 8, 1),
    (8, 0, 8, 1),
    (8, 1, 8, 0),
    (8, 0, 8, 0),
    (18, 1, 18, 1),
    (18, 1, 17, 0),
    (17, 0, 18, 1),
    (17, 0, 17, 0),
    (1, 0, 18, 1),
    (18, 1, 1, 1),
]

MULTIPLIER_MODELS = {
    "ecp5": MODELS / "MULT18X18D.v",
    "gowin": HERE / "models" / "gowin_mult.v",
}

# (width, depth, grain, with image)
MEMORIES = [(36, 512, 36, True), (64, 40, 8, True), (24, 300, 12, False), (7, 3, 7, False)]

RAM_BENCH = """
module ram_bench_@N@ (input clk, input [63:0] r, output reg bad = 0);
    localparam W = @W@, D = @D@, G = @G@, AB = @AB@;
    reg [W-1:0] model [0:D-1];
    reg [W-1:0] seen [0:D-1];  // bits that have been written, or come from the image
    integer i, j;
    initial for (i = 0; i < D; i = i + 1) seen[i] = @KNOWN@;
    generate if ("@INIT@" != "") begin : g_init initial $readmemh("@INIT@", model); end endgenerate
    wire [AB-1:0] w_addr = AB'(r[15:0] % D);
    wire [AB-1:0] r_addr = AB'(r[47:32] % D);
    wire [W-1:0] w_data = W'({r, ~r} >> 5);
    // Reading the word that is being written is undefined.
    wire [W/G-1:0] w_en = (W/G)'(r[31:16] & r[63:48]) & {W/G{w_addr != r_addr}};
    wire [W-1:0] portable, amaranth;
    weft_ram #(.WIDTH(W), .DEPTH(D), .GRAIN(G), .ADDR_BITS(AB), .INIT("@INIT@")) dut (
        .clk(clk), .w_en(w_en), .w_addr(w_addr), .w_data(w_data),
        .r_addr(r_addr), .r_data(portable));
    ram_amaranth_@N@ dut_amaranth (.clk(clk), .rst(1'b0), .w_en(w_en), .w_addr(w_addr),
        .w_data(w_data), .r_addr(r_addr), .r_data(amaranth));
    reg [W-1:0] want_1, want, care_1 = 0, care = 0, own_1 = 0, own = 0;
    reg [W-1:0] written [0:D-1];
    initial for (i = 0; i < D; i = i + 1) written[i] = 0;
    always @(posedge clk) begin
        for (j = 0; j < W/G; j = j + 1) if (w_en[j]) begin
            model[w_addr][G*j +: G] <= w_data[G*j +: G];
            seen[w_addr][G*j +: G] <= {G{1'b1}};
            written[w_addr][G*j +: G] <= {G{1'b1}};
        end
        want_1 <= model[r_addr]; want <= want_1;
        care_1 <= seen[r_addr]; care <= care_1;
        own_1 <= written[r_addr]; own <= own_1;  // the Amaranth one has no image
        if (((portable ^ want) & care) != 0 || ((amaranth ^ want) & own) != 0) begin
            if (!bad) $display("memory @N@: want %h, portable %h, amaranth %h",
                               want, portable, amaranth);
            bad <= 1;
        end
    end
endmodule
"""


def image(width: int, depth: int, path: Path) -> list[int]:
    """A random memory image, and its words."""
    rng = random.Random(width * depth)
    words = [rng.getrandbits(width) for _ in range(depth)]
    path.write_text("".join(f"{word:0{-(-width // 4)}x}\n" for word in words))
    return words


def compare_family(
    folder: Path, vendor_cell: str, family: str = "ecp5"
) -> subprocess.CompletedProcess[str]:
    """All comparisons in one design, with this text of a family's multiplier."""
    parts, names = multiplier_benches(MULTIPLIERS)
    for n, (width, depth, grain, with_image) in enumerate(MEMORIES):
        init = f"ram_{n}.hex" if with_image else ""
        if init:
            image(width, depth, folder / init)
        ram = Ram(width=width, depth=depth, grain=grain)
        known = f"{{{width}{{1'b{int(with_image)}}}}}"
        parts.append(
            fill(RAM_BENCH, N=n, W=width, D=depth, G=grain, AB=ram.address_bits, INIT=init)
            .replace("@KNOWN@", known)
        )  # fmt: skip
        parts.append(verilog.convert(ram, name=f"ram_amaranth_{n}", emit_src=False))
        names.append(f"ram_bench_{n}")
    parts.append(vendor_cell.replace("module weft_mul ", "module vendor_mul "))
    cells = [CELLS / "generic" / name for name in ("weft_mul.v", "weft_ram.v")]
    return compare(folder, names, parts, [MULTIPLIER_MODELS[family], *cells])


@pytest.mark.parametrize("family", ["ecp5", "gowin"])
def test_cells_are_equal(tmp_path: Path, family: str) -> None:
    """Vendor multiplier = portable = Amaranth's = the product, two cycles later; memories too."""
    done = compare_family(tmp_path, (CELLS / family / "weft_mul.v").read_text(), family)
    assert done.returncode == 0, done.stdout
    assert done.stdout == "bad 0\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "mutant"),
    [
        ('.REG_OUTPUT_CLK("CLK0")', '.REG_OUTPUT_CLK("NONE")'),
        (".SIGNEDB(1'b1)", ".SIGNEDB(1'b0)"),
        ("(A_SIGNED != 0 ? 18 : 17) - A_BITS", "18 - A_BITS"),
    ],
)
def test_the_comparison_sees_a_wrong_cell(tmp_path: Path, text: str, mutant: str) -> None:
    right = (CELLS / "ecp5" / "weft_mul.v").read_text()
    assert right.count(text) == 1
    done = compare_family(tmp_path, right.replace(text, mutant))
    assert done.returncode == 1
    assert "multiplier" in done.stdout


@pytest.mark.parametrize(
    "cell",
    [
        *("generic/weft_mul.v", "generic/weft_ram.v", "generic/weft_reg.v"),
        *("ecp5/weft_mul.v", "gowin/weft_mul.v"),
    ],
)
def test_cells_are_lint_clean(tmp_path: Path, cell: str) -> None:
    names = [MULTIPLIER_MODELS.get(Path(cell).parent.name)]
    model = [str(path) for path in names if path]
    top = Path(cell).stem
    done = verilate(
        tmp_path,
        ["--lint-only", "-Wall", *WAIVED, "--top-module", top, str(CELLS / cell), *model],
    )
    assert done.stderr == ""


# name -> (width, depth, grain, block RAMs, LUTs); no other logic than depth selection.
MAPPED = {
    "w64": (64, 512, 64, 2, 0),
    "w36": (36, 1024, 36, 2, 0),
    "w144": (144, 512, 36, 4, 0),
    "w128": (128, 2048, 128, 15, 0),
    "deep": (128, 3072, 32, 24, 300),
}


def yosys(folder: Path, script: str) -> None:
    (folder / "script.ys").write_text(script)
    arguments = ["-q", "-l", "y.log", "-s", "script.ys"]
    run(find_tool("yosys"), arguments, cwd=folder, log="y.out", own_log="y.log", timeout=600)


def memory_top(name: str, width: int, depth: int, grain: int, init: str = "") -> str:
    address = max(1, (depth - 1).bit_length())
    return f"""
module {name} (input clk, input [{width // grain - 1}:0] w_en, input [{address - 1}:0] w_addr,
               input [{width - 1}:0] w_data, input [{address - 1}:0] r_addr,
               output [{width - 1}:0] r_data);
    weft_ram #(.WIDTH({width}), .DEPTH({depth}), .GRAIN({grain}), .ADDR_BITS({address}),
               .INIT("{init}")) ram (.clk(clk), .w_en(w_en), .w_addr(w_addr), .w_data(w_data),
                                     .r_addr(r_addr), .r_data(r_data));
endmodule
"""


def test_memories_map_to_block_ram_without_emulation(tmp_path: Path) -> None:
    tops = [memory_top(name, *shape[:3]) for name, shape in MAPPED.items()]
    (tmp_path / "tops.v").write_text("".join(tops))
    (tmp_path / "weft_ram.v").write_text((CELLS / "generic" / "weft_ram.v").read_text())
    yosys(
        tmp_path,
        "read_verilog tops.v weft_ram.v\n"
        + "".join(
            f"design -save s\nsynth_ecp5 -top {name} -no-rw-check\n"
            f"tee -q -o {name}.json stat -json\ndesign -load s\n"
            for name in MAPPED
        ),
    )
    for name, (width, _depth, _grain, n_bram, most_luts) in MAPPED.items():
        stat = json.loads((tmp_path / f"{name}.json").read_text())
        cells = stat["design"]["num_cells_by_type"]
        assert cells["DP16KD"] == n_bram, name
        assert cells.get("LUT4", 0) <= most_luts, name
        # The output register, and the block select of a deep memory; emulation has many more.
        assert cells["TRELLIS_FF"] <= width + 2, name


# name -> (width, depth, grain, block RAMs, most LUTs) on Gowin, whose blocks have the same shapes.
MAPPED_GOWIN = {
    "w36": (36, 1024, 36, 2, 0),
    "w64": (64, 512, 8, 2, 2),  # write enables of single bytes
    "w72": (72, 106, 36, 2, 0),
}


@pytest.mark.parametrize("name", MAPPED_GOWIN)
def test_memories_map_to_gowin_block_ram(tmp_path: Path, name: str) -> None:
    width, depth, grain, n_bram, most_luts = MAPPED_GOWIN[name]
    words = image(width, depth, tmp_path / "image.hex")
    (tmp_path / "top.v").write_text(memory_top(name, width, depth, grain, "image.hex"))
    (tmp_path / "weft_ram.v").write_text((CELLS / "generic" / "weft_ram.v").read_text())
    yosys(
        tmp_path,
        f"read_verilog top.v weft_ram.v\nsynth_gowin -top {name} -no-rw-check -json net.json\n"
        "tee -q -o stat.json stat -json\n",
    )
    stat = json.loads((tmp_path / "stat.json").read_text())
    found = FAMILIES["gowin"].resources(stat["design"]["num_cells_by_type"])
    assert (found.bram, found.ff) == (n_bram, width)
    assert found.lut <= most_luts
    cells = json.loads((tmp_path / "net.json").read_text())["modules"][name]["cells"].values()
    inits = [
        value
        for cell in cells
        for key, value in cell["parameters"].items()
        if key.startswith("INIT_RAM_")
    ]
    ones = sum(bin(word).count("1") for word in words)
    assert sum(value.count("1") for value in inits) == ones


def test_image_ends_up_in_the_block_ram(tmp_path: Path) -> None:
    """Every bit of every word, followed through the netlist from INITVAL to the output port."""
    words = image(64, 512, tmp_path / "image.hex")
    (tmp_path / "top.v").write_text(memory_top("top", 64, 512, 64, "image.hex"))
    (tmp_path / "weft_ram.v").write_text((CELLS / "generic" / "weft_ram.v").read_text())
    yosys(
        tmp_path,
        "read_verilog top.v weft_ram.v\nsynth_ecp5 -top top -no-rw-check -json net.json\n",
    )
    top = json.loads((tmp_path / "net.json").read_text())["modules"]["top"]
    cells = list(top["cells"].values())
    # Bit of r_data for each net that enters an output register.
    port = {net: i for i, net in enumerate(top["ports"]["r_data"]["bits"])}
    output = {c["connections"]["DI"][0]: port[c["connections"]["Q"][0]]
              for c in cells if c["type"] == "TRELLIS_FF"}  # fmt: skip
    got = [0] * 512
    for cell in (c for c in cells if c["type"] == "DP16KD"):
        for half, pins in enumerate(("DOA", "DOB")):
            for i in range(18):
                net: Any = (cell["connections"].get(f"{pins}{i}") or [None])[0]
                if net in output:
                    for address in range(512):
                        bit = init_bit(cell["parameters"], 2 * address + half, i)
                        got[address] |= bit << output[net]
    assert got == words


def init_bit(parameters: dict[str, str], item: int, bit: int) -> int:
    """Bit of an 18-bit item; INITVAL_xx holds 16 of them, 20 bits apart (ref: prjtrellis)."""
    text = parameters[f"INITVAL_{item // 16:02X}"]
    return int(text[-1 - (item % 16 * 20 + bit)])


def test_ecp5_multiplier_is_one_cell(tmp_path: Path) -> None:
    (tmp_path / "weft_mul.v").write_text((CELLS / "ecp5" / "weft_mul.v").read_text())
    yosys(
        tmp_path,
        "read_verilog weft_mul.v\nchparam -set A_BITS 18 -set B_BITS 17 -set B_SIGNED 0 weft_mul\n"
        "synth_ecp5 -top weft_mul\ntee -q -o stat.json stat -json\n",
    )
    stat = json.loads((tmp_path / "stat.json").read_text())
    cells = stat["design"]["num_cells_by_type"]
    assert {k: v for k, v in cells.items() if not k.startswith("$")} == {"MULT18X18D": 1}


def test_ecp5_keeps_registers_of_ones_own(tmp_path: Path) -> None:
    """yosys makes one of equal registers, but not of these."""
    kept = {}
    for family in ("generic", "ecp5"):
        (tmp_path / "weft_reg.v").write_text((CELLS / family / "weft_reg.v").read_text())
        (tmp_path / "top.v").write_text(
            "module top(input clk, input [2:0] d, output [2:0] q, output [2:0] r);\n"
            "  weft_reg #(.WIDTH(3)) one (.clk(clk), .d(d), .q(q));\n"
            "  weft_reg #(.WIDTH(3)) other (.clk(clk), .d(d), .q(r));\n"
            "endmodule\n"
        )
        script = "read_verilog top.v weft_reg.v\nsynth_ecp5 -top top\n"
        yosys(tmp_path, script + "tee -q -o stat.json stat -json\n")
        stat = json.loads((tmp_path / "stat.json").read_text())
        kept[family] = stat["design"]["num_cells_by_type"]["TRELLIS_FF"]
    assert kept == {"generic": 3, "ecp5": 6}


@pytest.mark.parametrize(("a", "b", "b_signed"), [(19, 8, 1), (8, 19, 1), (18, 18, 0)])
def test_ecp5_multiplier_refuses_wide_operands(
    tmp_path: Path, a: int, b: int, b_signed: int
) -> None:
    (tmp_path / "weft_mul.v").write_text((CELLS / "ecp5" / "weft_mul.v").read_text())
    script = f"chparam -set A_BITS {a} -set B_BITS {b} -set B_SIGNED {b_signed} weft_mul\n"
    message = r"weft_mul: operands of at most 18 bits \(signed\) or 17 bits \(unsigned\)"
    with pytest.raises(ToolError, match=message):
        yosys(tmp_path, f"read_verilog weft_mul.v\n{script}hierarchy -top weft_mul\n")
