"""Board top: pins, and whole requests through the UART of the Verilated design."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.boards.board import load_board
from weft.boards.build_dir import open_build
from weft.boards.serial_link import LinkError, SerialLink
from weft.boards.synth import synthesise
from weft.boards.toolchain import find_tool, run
from weft.boards.top import board_constraints, board_verilog, uart_divisor
from weft.hw.link.link import TIMEOUT_BITS
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import VERSION, Command, Error, State, reply, request
from weft.nn.errors import ConfigError
from weft.sim_tb.uart_board import UartBoard

MODELS = Path(__file__).parent.parent / "hw" / "models"
DIVISOR = 25  # of the UART at 25 MHz
FACTORS = [3, 5, 7, 251]  # as the fake core's image has them
FIRST = bytes([10, 200, 3, 4, 255, 0, 1, 77, 128, 127, 99, 31, 254, 64, 2, 250])
SECOND = bytes((7 * x + 1) % 256 for x in FIRST)
IDENTITY = bytes.fromhex(4 * "0123456789abcdef")[:15]
LINK = LinkParams(lanes=2, n_in=3, n_out=1, image_limits=8 * (9,), identity=IDENTITY)


def answer(data: bytes, factors: list[int]) -> bytes:
    return bytes(x * factors[i // 4] % 256 for i, x in enumerate(data))


def infer(link: SerialLink, data: bytes) -> tuple[bytes, int]:
    """Outputs and cycles."""
    link.ask(Command.INPUT, data)
    link.ask(Command.START)
    *cycles, state = link.ask(Command.STATUS)
    assert state == State.DONE
    return link.ask(Command.OUTPUT), int.from_bytes(bytes(cycles), "little")


def check_requests(sources: list[Path], build: Path) -> None:
    """Two inferences, half a request that times out, an image write, and another inference."""
    board = UartBoard(sources=tuple(sources), workdir=build / "sim", run_dir=build)
    with (
        board.running(divisor=DIVISOR, linger=2 << TIMEOUT_BITS) as port,
        SerialLink(port, timeout=120) as link,
    ):
        assert link.ask(Command.IDENTIFY) == bytes([VERSION]) + IDENTITY
        for data in (FIRST, SECOND):
            outputs, cycles = infer(link, data)
            assert outputs == answer(data, FACTORS)
            assert 0 < cycles < 10
        link.send(request(Command.INPUT, FIRST)[:9])
        assert link.take(7, "INPUT") == reply(Command.INPUT, error=Error.INCOMPLETE)
        with pytest.raises(LinkError, match="an address is outside the memory"):
            link.ask(Command.IMAGE + 1, bytes([9, 9, 0, 0, 0, 4, 0, 0]))
        assert infer(link, SECOND)[0] == answer(SECOND, FACTORS)
        link.ask(Command.IMAGE + 1, bytes([9, 9, 0, 0, 0, 2, 0, 0]))
        assert infer(link, SECOND)[0] == answer(SECOND, [3, 5, 9, 251])


def test_requests_through_the_uart(fake_build: Callable[[str], Path]) -> None:
    build = fake_build("ulx3s-25f")
    opened = open_build(build)
    (build / "board_top.v").write_text(board_verilog(opened.board, opened.link))
    check_requests([build / name for name in ("board_top.v", *opened.sources)], build)


def test_netlist_answers_the_same(fake_build: Callable[[str], Path]) -> None:
    """The netlist that goes to nextpnr, vendor cells and block RAM registers included."""
    build = fake_build("ulx3s-25f")
    synthesise(build, place_and_route=False)
    netlist = json.loads((build / "synth/board_top.json").read_text())
    netlist["modules"] = {"board_top": netlist["modules"]["board_top"]}  # without empty cells
    text = json.dumps(netlist)
    assert text.count('"OUTREG"') == 2 * 3
    (build / "netlist.json").write_text(text)
    (build / "netlist.ys").write_text(
        "read_json netlist.json\n"
        "read_verilog +/lattice/common_sim.vh +/lattice/ccu2c_sim.vh\n"
        "hierarchy -top board_top\nproc\nflatten -wb\nwrite_verilog -noattr netlist.v\n"
    )
    arguments = ["-q", "-l", "netlist.log", "-s", "netlist.ys"]
    run(find_tool("yosys"), arguments, cwd=build, log="netlist.out", timeout=600)
    models = [MODELS / f"{cell}.v" for cell in ("MULT18X18D", "DP16KD")]
    check_requests([build / "netlist.v", *models], build)


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
    text = board_verilog(board, LINK)
    assert text == board_verilog(board, LINK)
    header = next(line for line in text.splitlines() if line.startswith("module board_top("))
    assert set(header[len("module board_top(") : -2].split(", ")) == {
        "clk",
        "uart_rx",
        "uart_tx",
        "led",
    }
    assert "input [15:0]" not in text.split("endmodule")[-2]


def test_a_board_without_leds() -> None:
    board = load_board("ulx3s-85f").replace(leds=())
    text = board_verilog(board, LINK)
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
