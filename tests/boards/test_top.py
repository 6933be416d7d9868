"""Board top: pins, and whole requests through the UART of the Verilated design."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verilated import verilate
from weft.boards.board import load_board
from weft.boards.build_dir import open_build
from weft.boards.synth import synthesise
from weft.boards.toolchain import find_tool, run
from weft.boards.top import board_constraints, board_verilog, uart_divisor
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
    line(1, 100);
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


def simulation(build: Path, sources: list[str]) -> Path:
    """The simulation of ``board_top`` in these files; to be run in ``build``."""
    (build / "main.cpp").write_text(MAIN.replace("@DIVISOR@", str(DIVISOR)))
    flags = "--cc --exe --build -j 1 --top-module board_top -Wno-fatal -Wno-lint -O3 -Wno-style"
    verilate(build, [*flags.split(), "-CFLAGS", "-O1", "main.cpp", *sources])
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
    text = board_verilog(opened.board, lanes=opened.lanes, n_in=opened.n_in, n_out=opened.n_out)
    (build / "board_top.v").write_text(text)
    check_requests(simulation(build, ["board_top.v", *opened.sources]), build)


def test_netlist_answers_the_same(fake_build: Callable[[str], Path]) -> None:
    """The netlist that goes to nextpnr, vendor cells and block RAM registers included."""
    build = fake_build("ulx3s-25f")
    synthesise(build, place_and_route=False)
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
    check_requests(simulation(build, ["netlist.v", *models]), build)


def test_constraints() -> None:
    lines = board_constraints(load_board("ulx3s-85f"), 62.5).splitlines()
    assert lines[:7] == [
        'LOCATE COMP "clk" SITE "G2";',
        'IOBUF PORT "clk" IO_TYPE=LVCMOS33;',
        'LOCATE COMP "uart_rx" SITE "M1";',
        'IOBUF PORT "uart_rx" IO_TYPE=LVCMOS33 PULLMODE=UP;',
        'LOCATE COMP "uart_tx" SITE "L4";',
        'IOBUF PORT "uart_tx" IO_TYPE=LVCMOS33;',
        'LOCATE COMP "led[0]" SITE "B2";',
    ]
    assert lines[-1] == 'FREQUENCY PORT "clk" 62.5 MHZ;'
    assert len(lines) == 2 * (3 + 8) + 1


def test_ports_are_plain_bits_and_the_text_is_always_the_same() -> None:
    board = load_board("ulx3s-85f")
    text = board_verilog(board, lanes=16, n_in=3072, n_out=1)
    assert text == board_verilog(board, lanes=16, n_in=3072, n_out=1)
    header = next(line for line in text.splitlines() if line.startswith("module board_top("))
    assert set(header[len("module board_top(") : -2].split(", ")) == {
        "clk",
        "uart_rx",
        "uart_tx",
        "led",
    }
    assert "input [127:0]" not in text.split("endmodule")[-2]


def test_a_board_without_leds() -> None:
    board = load_board("ulx3s-85f").replace(leds=())
    text = board_verilog(board, lanes=2, n_in=3, n_out=1)
    assert "led" not in text[text.index("module board_top(") :].split(";")[0]
    assert "led" not in board_constraints(board, 25.0)


@pytest.mark.parametrize(
    ("hz", "divisor"), [(25_000_000, DIVISOR), (12_000_000, 12), (48_123_456, 48)]
)
def test_divisor(hz: int, divisor: int) -> None:
    board = load_board("ulx3s-25f")
    assert uart_divisor(board.replace(clock=board.clock.replace(hz=hz))) == divisor


@pytest.mark.parametrize("hz", [3_000_000, 4_500_000])
def test_divisor_that_does_not_exist(hz: int) -> None:
    board = load_board("ulx3s-25f")
    with pytest.raises(ConfigError) as raised:
        uart_divisor(board.replace(clock=board.clock.replace(hz=hz)))
    assert str(raised.value) == (
        f"board 'ulx3s-25f': its {hz} Hz clock divides to 1000000 baud only with more than 2% error"
    )
