"""The design that goes on a board: clock, reset, UART and host link around ``weft_top``."""

from amaranth.back import verilog
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.boards.board import Board
from weft.hw.cells import CellLibrary
from weft.hw.link.link import TIMEOUT_BITS, Link
from weft.hw.link.params import LinkParams
from weft.hw.uart import MIN_DIVISOR, Receiver, Transmitter
from weft.nn.errors import ConfigError

TOP = "board_top"
BAUD = 1_000_000
MAX_BAUD_ERROR = 0.02
RESET_CYCLES = 64
HEARTBEAT_BITS = 24  # its top bit changes every 0.3 s at 25 MHz
IO_TYPE = "LVCMOS33"


class BoardTop(wiring.Component):
    """Clock, power-on reset, UART, host link and an instance of the generated ``weft_top``.

    The core's reset is high for the first ``RESET_CYCLES`` cycles after configuration and when the
    host asks for it. LED 0: a request or its reply is under way; LED 1: heartbeat.

    Parameters: ``link``, ``timeout_bits`` as in Link; ``divisor`` as in the UART; ``n_leds``.
    """

    def __init__(
        self, link: LinkParams, *, divisor: int, n_leds: int = 0, timeout_bits: int = TIMEOUT_BITS
    ):
        self.link, self.timeout_bits = link, timeout_bits
        self.divisor, self.n_leds = divisor, n_leds
        ports = {"clk": In(1), "uart_rx": In(1), "uart_tx": Out(1)}
        if n_leds:  # a port of no bits would still be a port
            ports["led"] = Out(n_leds)
        super().__init__(ports)

    clk: Signal
    uart_rx: Signal
    uart_tx: Signal
    led: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.power_on = ClockDomain(reset_less=True)
        m.d.comb += [ClockSignal().eq(self.clk), ClockSignal("power_on").eq(self.clk)]

        # ECP5 flip-flops start at their init value, so the counter itself needs no reset.
        n_cycles = Signal(range(RESET_CYCLES))
        reset = Signal(init=1)
        with m.If(n_cycles == RESET_CYCLES - 1):
            m.d.power_on += reset.eq(0)
        with m.Else():
            m.d.power_on += n_cycles.eq(n_cycles + 1)
        m.d.comb += ResetSignal().eq(reset)

        m.submodules.receiver = receiver = Receiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = Transmitter(divisor=self.divisor)
        m.submodules.link = link = Link(self.link, timeout_bits=self.timeout_bits)
        m.d.comb += [receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx)]
        wiring.connect(m, receiver.o, link.rx)
        wiring.connect(m, link.tx, transmitter.i)
        m.submodules.core = self._core(link)

        heartbeat = Signal(HEARTBEAT_BITS)
        m.d.sync += heartbeat.eq(heartbeat + 1)
        if self.n_leds:
            m.d.comb += self.led.eq(Cat(link.active, heartbeat[-1]))
        return m

    def _core(self, link: Link) -> Instance:
        return Instance(
            "weft_top",
            i_clk=ClockSignal(),
            i_rst=ResetSignal() | link.core_reset,
            i_img_valid=link.image_valid,
            i_img_addr=link.image.address,
            i_img_data=link.image.data,
            i_in_valid=link.words.valid,
            o_in_ready=link.words.ready,
            i_in_data=link.words.payload,
            i_start_valid=link.start_valid,
            o_start_ready=link.start_ready,
            o_out_valid=link.results.valid,
            i_out_ready=link.results.ready,
            o_out_data=link.results.payload,
            o_cycles=link.cycles,
        )


def uart_divisor(board: Board) -> int:
    """Clock cycles per bit at ``BAUD``. Raises ConfigError if the clock does not allow it."""
    divisor = max(round(board.clock.hz / BAUD), MIN_DIVISOR)
    if abs(board.clock.hz / divisor / BAUD - 1) > MAX_BAUD_ERROR:
        raise ConfigError(
            f"board {board.name!r}: its {board.clock.hz} Hz clock divides to {BAUD} baud only "
            f"with more than {MAX_BAUD_ERROR:.0%} error"
        )
    return divisor


def board_verilog(board: Board, link: LinkParams) -> str:
    """Verilog of module ``board_top``; ports ``clk``, ``uart_rx``, ``uart_tx``, ``led[]``."""
    return top_verilog(BoardTop(link, divisor=uart_divisor(board), n_leds=len(board.leds)))


def top_verilog(top: BoardTop) -> str:
    """Verilog of a board's top; ``weft_top`` and the leaf cells apart."""
    return verilog.convert(
        top, name=TOP, platform=CellLibrary(), emit_src=False, strip_internal_attrs=True
    )


def board_constraints(board: Board, freq_mhz: float) -> str:
    """LPF text for ``board_verilog``: pins, IO standard, clock target in MHz."""
    ports = [("clk", board.clock.pin), ("uart_rx", board.uart.rx), ("uart_tx", board.uart.tx)]
    ports += [(f"led[{i}]", pin) for i, pin in enumerate(board.leds)]
    lines = []
    for port, pin in ports:
        pull = " PULLMODE=UP" if port == "uart_rx" else ""  # an open line is an idle one
        lines.append(f'LOCATE COMP "{port}" SITE "{pin}";')
        lines.append(f'IOBUF PORT "{port}" IO_TYPE={IO_TYPE}{pull};')
    lines.append(f'FREQUENCY PORT "clk" {freq_mhz:g} MHZ;')
    return "\n".join(lines) + "\n"
