"""The simulated netlist: what it needs, and that it follows the last synthesis."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.hw.cell_bench import compare
from tests.hw.test_ice40_cells import primitives
from weft.boards.build_dir import merge_report, netlist_hz, open_build
from weft.boards.families.lookup import FAMILIES
from weft.boards.netlist import MODELS, netlist_board
from weft.errors import ConfigError
from weft.gen.data import different

FakeBuild = Callable[[str], Path]


def error_of(build: Path) -> str:
    with pytest.raises(ConfigError) as caught, netlist_board(open_build(build)):
        pass
    return str(caught.value)


def test_without_a_netlist(fake_build: FakeBuild) -> None:
    build = fake_build("ulx3s-25f")
    text = f"{build} has no netlist; make one with `weft synth {build} --yosys-only`"
    assert error_of(build) == text
    merge_report(build, "synthesis", {"clock_mhz": 50.0})  # and the synthesis after it failed
    assert netlist_hz(build) == 50e6
    assert error_of(build) == text


def test_a_family_without_models(fake_build: FakeBuild) -> None:
    build = fake_build("tang-nano-9k")
    (build / "synth").mkdir()
    (build / "synth/board_top.json").write_text("{}")
    merge_report(build, "synthesis", {"clock_mhz": 27.0})
    assert error_of(build) == (
        "a netlist for Gowin cannot be simulated: there are no models of its cells"
    )


def test_every_model_is_there() -> None:
    used = {f"{name}.v" for family in FAMILIES.values() for name in family.cell_models}
    assert used == {path.name for path in MODELS.iterdir()}


SPRAM = """
module spram_bench (input clk, input [63:0] r, output reg bad = 0);
    // Few places, and every chip select, mask and direction.
    wire [13:0] place = 14'(r[3:0] * 1091);
    wire [15:0] ours, theirs;
    reg [15:0] seen [0:15];
    reg [15:0] care = 0;
    integer i;
    initial for (i = 0; i < 16; i = i + 1) seen[i] = 0;
    own_spram own (.CLOCK(clk), .ADDRESS(place), .DATAIN(r[31:16]), .MASKWREN(r[35:32]),
        .WREN(r[40]), .CHIPSELECT(r[43:41] != 0), .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1),
        .DATAOUT(ours));
    SB_SPRAM256KA yosys (.CLOCK(clk), .ADDRESS(place), .DATAIN(r[31:16]), .MASKWREN(r[35:32]),
        .WREN(r[40]), .CHIPSELECT(r[43:41] != 0), .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1),
        .DATAOUT(theirs));
    always @(posedge clk) begin
        if (r[43:41] != 0) begin
            if (r[40]) for (i = 0; i < 4; i = i + 1)
                if (r[32 + i]) seen[r[3:0]][4*i +: 4] <= 4'hf;
            care <= r[40] ? 0 : seen[r[3:0]];
        end
        if (((ours ^ theirs) & care) != 0) bad <= 1;
    end
endmodule
"""


def test_the_single_ported_ram_is_that_of_yosys(tmp_path: Path) -> None:
    own = (MODELS / "SB_SPRAM256KA.v").read_text()
    for change, code in ((("", ""), 0), (("MASKWREN[i]", "MASKWREN[0]"), 1)):
        folder = tmp_path / str(code)
        folder.mkdir()
        text = own.replace("module SB_SPRAM256KA ", "module own_spram ").replace(*change)
        done = compare(folder, ["spram_bench"], [SPRAM, text, primitives()], [])
        assert done.returncode == code


def test_differences() -> None:
    expected = {"y": np.array([[1, 2], [3, 4]]), "z": np.array([[5.0]])}
    assert different(expected, expected) == []
    assert different(expected, expected | {"y": np.array([[1, 2], [9, 9]])}) == [
        "output 'y': 2 of 4 values differ, first at [1, 0]: expected 3, got 9"
    ]
