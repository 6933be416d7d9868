"""Board top: pins, and whole requests through the UART of the Verilated design."""

from collections.abc import Callable
from pathlib import Path

import pytest

from weft.boards.board import load_board
from weft.boards.build_dir import open_build
from weft.boards.families.lookup import pll_for
from weft.boards.netlist import netlist_board
from weft.boards.serial_link import LinkError, SerialLink
from weft.boards.synth import synthesise
from weft.boards.top import board_pins, board_verilog, uart_divisor
from weft.errors import ConfigError
from weft.hw.link.link import TIMEOUT_BITS
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import (
    IDENTIFY_BYTES,
    STATUS_BYTES,
    VERSION,
    Command,
    Error,
    reply,
    request,
)
from weft.hw.progress import State
from weft.sim_tb.uart_board import UartBoard

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
    *cycles, state = link.ask(Command.STATUS, n_bytes=STATUS_BYTES)
    assert state == State.DONE
    outputs = link.ask(Command.OUTPUT, n_bytes=len(data))
    return outputs, int.from_bytes(bytes(cycles), "little")


def check_requests(sources: list[Path], build: Path) -> None:
    """``check_answers`` of the Verilated sources."""
    board = UartBoard(sources=tuple(sources), workdir=build / "sim", run_dir=build)
    with board.running(divisor=DIVISOR, linger=2 << TIMEOUT_BITS) as port:
        check_answers(port)


def check_answers(port: str) -> None:
    """Two inferences, half a request that times out, an image write, and another inference."""
    with SerialLink(port, timeout=120) as link:
        assert link.ask(Command.IDENTIFY, n_bytes=IDENTIFY_BYTES) == bytes([VERSION]) + IDENTITY
        for data in (FIRST, SECOND):
            outputs, cycles = infer(link, data)
            assert outputs == answer(data, FACTORS)
            assert 0 < cycles < 10
        link.send(request(Command.INPUT, FIRST)[:9])
        assert link.take(7, "INPUT") == reply(Command.INPUT, error=Error.INCOMPLETE)
        with pytest.raises(LinkError, match="an address is outside the memory"):
            link.ask(Command.IMAGE, bytes([1, 9, 9, 0, 0, 0, 4, 0, 0]))
        assert infer(link, SECOND)[0] == answer(SECOND, FACTORS)
        link.ask(Command.IMAGE, bytes([1, 9, 9, 0, 0, 0, 2, 0, 0]))
        assert infer(link, SECOND)[0] == answer(SECOND, [3, 5, 9, 251])


def test_requests_through_the_uart(fake_build: Callable[[str], Path]) -> None:
    build = fake_build("ulx3s-25f")
    opened = open_build(build)
    (build / "board_top.v").write_text(board_verilog(opened.board, None, opened.link))
    check_requests([build / name for name in ("board_top.v", *opened.sources)], build)


@pytest.mark.parametrize(("name", "clock_mhz"), [("ulx3s-25f", 50), ("icebreaker", 24)])
def test_netlist_answers_the_same(
    fake_build: Callable[[str], Path], name: str, clock_mhz: float
) -> None:
    """The netlist that goes to nextpnr: a PLL, vendor cells and block RAM registers included."""
    build = fake_build(name)
    report = synthesise(build, place_and_route=False, clock_mhz=clock_mhz)
    assert report.clock_mhz == clock_mhz
    n_registers = (build / "synth/board_top.json").read_text().count('"OUTREG"')
    assert n_registers == (2 * 3 if name == "ulx3s-25f" else 0)
    with netlist_board(open_build(build)) as port:
        check_answers(port)


def ports_of(text: str) -> set[str]:
    header = next(line for line in text.splitlines() if line.startswith("module board_top("))
    return set(header[len("module board_top(") : -2].split(", "))


def test_ports_are_plain_bits_and_the_text_is_always_the_same() -> None:
    board = load_board("ulx3s-85f")
    text = board_verilog(board, None, LINK)
    assert text == board_verilog(board, None, LINK)
    assert ports_of(text) == {"clk", "uart_rx", "uart_tx", "led"}
    assert "input [15:0]" not in text.split("endmodule")[-2]


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
    text = board_verilog(board, None, LINK)
    assert ports_of(text) == {"clk", "uart_rx", "uart_tx", "led", "high"}
    assert "assign high = 1'h1;" in text


def test_a_board_without_leds() -> None:
    board = load_board("ulx3s-85f")
    board = board.replace(leds=board.leds.replace(pins=()))
    text = board_verilog(board, None, LINK)
    assert "led" not in text[text.index("module board_top(") :].split(";")[0]
    assert not any(pin.port.startswith("led") for pin in board_pins(board))


@pytest.mark.parametrize(("active", "invert"), [("high", ""), ("low", "~ ")])
def test_leds_that_are_not_used_are_dark(active: str, invert: str) -> None:
    board = load_board("ulx3s-85f")
    board = board.replace(leds=board.leds.replace(active=active))
    text = board_verilog(board, None, LINK)
    assert f"assign led = {invert}{{ 6'h00, heartbeat[23], active }};" in text


def test_the_pll_is_wired_and_its_lock_holds_the_reset() -> None:
    board = load_board("ulx3s-25f")
    text = board_verilog(board, pll_for(board, 50e6), LINK)
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
