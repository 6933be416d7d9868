"""The gated adder: Amaranth's model, the portable cell and ECP5's carry chain agree."""

import random
import subprocess
from pathlib import Path

import pytest
from amaranth.sim import Simulator

from tests.hw.cell_bench import CELLS, HERE
from tests.verilated import verilate
from weft.hw.pair_add import PairAdd

WIDTHS = (1, 2, 7, 8, 19)

BENCH = """
module one #(parameter W = 8, parameter S = 0) (input [31:0] a, b, input x, y, output bad);
    wire [W-1:0] portable, vendor;
    wire [W-1:0] want = S ? (y ? b[W-1:0] : 0) - (x ? a[W-1:0] : 0)
                          : (y ? b[W-1:0] : 0) + (x ? a[W-1:0] : 0);
    weft_pair_add #(.WIDTH(W), .SUBTRACT(S)) p (.a(a[W-1:0]), .x, .b(b[W-1:0]), .y, .s(portable));
    vendor_pair_add #(.WIDTH(W), .SUBTRACT(S)) v (.a(a[W-1:0]), .x, .b(b[W-1:0]), .y, .s(vendor));
    assign bad = portable !== want || vendor !== want;
endmodule
module bench;
    reg [31:0] a, b; reg x, y;
    wire [@N@:0] bad;
    integer i, count = 0;
@INSTANCES@
    initial begin
        for (i = 0; i < 50000; i = i + 1) begin
            a = i % 5 == 0 ? 32'hffffffff : $random;
            b = i % 7 == 0 ? 0 : i % 11 == 0 ? 32'hffffffff : $random;
            {x, y} = i[1:0];
            #1 if (bad != 0) count = count + 1;
        end
        $display("bad %0d", count);
        $finish;
    end
endmodule
"""


@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_model(width: int, subtract: bool) -> None:
    dut = PairAdd(width, subtract=subtract)
    rng = random.Random(width)
    low, high = -(1 << width - 1), (1 << width - 1) - 1

    async def bench(ctx) -> None:
        for _ in range(300):
            a, b = (rng.choice((low, high, 0, rng.randint(low, high))) for _ in range(2))
            x, y = rng.getrandbits(1), rng.getrandbits(1)
            for signal, value in ((dut.a, a), (dut.b, b), (dut.x, x), (dut.y, y)):
                ctx.set(signal, value)
            total = b * y - a * x if subtract else b * y + a * x
            assert (ctx.get(dut.s) - total) % (1 << width) == 0

    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()


def test_cells_are_equal(tmp_path: Path) -> None:
    shapes = [(width, subtract) for width in WIDTHS for subtract in (0, 1)]
    instances = "\n".join(
        f"    one #(.W({w}), .S({s})) o{n} (.a, .b, .x, .y, .bad(bad[{n}]));"
        for n, (w, s) in enumerate(shapes)
    )
    bench = BENCH.replace("@N@", str(len(shapes) - 1)).replace("@INSTANCES@", instances)
    (tmp_path / "bench.v").write_text(bench)
    vendor = (CELLS / "ecp5" / "weft_pair_add.v").read_text()
    (tmp_path / "vendor.v").write_text(vendor.replace("module weft_", "module vendor_"))
    sources = ["bench.v", "vendor.v", CELLS / "generic" / "weft_pair_add.v"]
    sources.append(HERE / "models" / "CCU2C.v")
    flags = "--binary --timing -j 1 --top-module bench -Wno-fatal -Wno-lint -Wno-style -o bench"
    verilate(tmp_path, [*flags.split(), *map(str, sources)])
    done = subprocess.run(
        [tmp_path / "obj_dir" / "bench"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "bad 0"
