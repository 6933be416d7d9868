"""The design that goes on a board: clock, reset, UART and host link around ``weft_top``."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from weft.boards.board import Board
from weft.boards.clocking import Clocking
from weft.boards.families.family import Pin
from weft.boards.families.pll import Pll
from weft.errors import ConfigError
from weft.gen.soc import core_instance
from weft.gen.verilog import verilog_of
from weft.hw.link.link import TIMEOUT_BITS, Link
from weft.hw.link.params import LinkParams
from weft.hw.uart import MIN_DIVISOR, Receiver, Transmitter

TOP = "board_top"
BAUD = 1_000_000
MAX_BAUD_ERROR = 0.02
RESET_CYCLES = 256  # iCE40 block RAM cannot be read for 3 us after configuration: 85 MHz at most
HEARTBEAT_BITS = 24  # its top bit changes every 0.3 s at 25 MHz


class BoardTop(wiring.Component):
    """Clock, power-on reset, UART, host link and an instance of the generated ``weft_top``.

    The core's reset is high for the first ``RESET_CYCLES`` cycles of a steady clock and when the
    host asks for it. LED 0: a request or its reply is under way; LED 1: heartbeat.

    Parameters: ``link``, ``timeout_bits`` as in Link; ``divisor`` as in the UART; ``n_leds``,
    ``leds_low`` (0 lights them); ``n_high``, outputs held at 1; ``pll`` as in Clocking.
    """

    def __init__(
        self,
        link: LinkParams,
        *,
        divisor: int,
        n_leds: int = 0,
        leds_low: bool = False,
        n_high: int = 0,
        pll: Pll | None = None,
        timeout_bits: int = TIMEOUT_BITS,
    ):
        self.link, self.timeout_bits = link, timeout_bits
        self.divisor, self.n_leds, self.leds_low = divisor, n_leds, leds_low
        self.n_high, self.pll = n_high, pll
        ports = {"clk": In(1), "uart_rx": In(1), "uart_tx": Out(1)}
        if n_leds:  # a port of no bits would still be a port
            ports["led"] = Out(n_leds)
        if n_high:
            ports["high"] = Out(n_high)
        super().__init__(ports)

    clk: Signal
    uart_rx: Signal
    uart_tx: Signal
    led: Signal
    high: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.power_on = ClockDomain(reset_less=True)
        m.submodules.clocking = clocking = Clocking(self.pll)
        m.d.comb += [
            clocking.pin.eq(self.clk),
            ClockSignal().eq(clocking.clk),
            ClockSignal("power_on").eq(clocking.clk),
        ]

        # Flip-flops start at their init value, so the counter itself needs no reset.
        n_cycles = Signal(range(RESET_CYCLES))
        reset = Signal(init=1)
        locked = Signal()
        m.submodules.lock = FFSynchronizer(clocking.locked, locked, o_domain="power_on")
        over, early, ready = Signal(), Signal(init=1), Signal(init=1)
        m.d.comb += over.eq(n_cycles == RESET_CYCLES - 1)
        # Three registers: from where the counter is to where the reset goes to.
        m.d.power_on += [early.eq(~over), ready.eq(early), reset.eq(ready)]
        with m.If(~locked):
            m.d.power_on += n_cycles.eq(0)
        with m.Elif(~over):
            m.d.power_on += n_cycles.eq(n_cycles + 1)
        m.d.comb += ResetSignal().eq(reset)
        core_reset = Signal(init=1)  # thousands of flip-flops: from a register

        m.submodules.receiver = receiver = Receiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = Transmitter(divisor=self.divisor)
        m.submodules.link = link = Link(self.link, timeout_bits=self.timeout_bits)
        m.d.comb += [receiver.rx.eq(self.uart_rx), self.uart_tx.eq(transmitter.tx)]
        wiring.connect(m, receiver.o, link.rx)
        wiring.connect(m, link.tx, transmitter.i)
        m.d.power_on += core_reset.eq(reset | link.core_reset)
        m.submodules.core = core_instance(link, core_reset)

        heartbeat = Signal(HEARTBEAT_BITS)
        m.d.sync += heartbeat.eq(heartbeat + 1)
        if self.n_leds:
            lit = Signal(self.n_leds)
            m.d.comb += [
                lit.eq(Cat(link.active, heartbeat[-1])),
                self.led.eq(~lit if self.leds_low else lit),
            ]
        if self.n_high:
            m.d.comb += self.high.eq(~0)
        return m


def uart_divisor(board: Board, clock_hz: float) -> int:
    """Cycles of the design's clock per bit at ``BAUD``. Raises ConfigError if there is no such."""
    divisor = max(round(clock_hz / BAUD), MIN_DIVISOR)
    if abs(clock_hz / divisor / BAUD - 1) > MAX_BAUD_ERROR:
        raise ConfigError(
            f"board {board.name!r}: a clock of {clock_hz / 1e6:g} MHz divides to {BAUD} baud only "
            f"with more than {MAX_BAUD_ERROR:.0%} error; choose another one with --clock"
        )
    return divisor


def board_verilog(board: Board, pll: Pll | None, link: LinkParams) -> str:
    """Verilog of module ``board_top``; its ports are those of ``board_pins``."""
    top = BoardTop(
        link,
        divisor=uart_divisor(board, pll.out_hz if pll else board.clock.hz),
        n_leds=len(board.leds.pins),
        leds_low=board.leds.active == "low",
        n_high=len(board.high),
        pll=pll,
    )
    return verilog_of(top, TOP)


def board_pins(board: Board) -> list[Pin]:
    """Where each bit of ``board_verilog``'s ports goes. An open receive line is an idle one."""
    return [
        Pin("clk", board.clock.pin, board.clock.io),
        Pin("uart_rx", board.uart.rx, board.uart.io, pull_up=True),
        Pin("uart_tx", board.uart.tx, board.uart.io),
        *_bits("led", board.leds.pins, board.leds.io),
        *_bits("high", board.high, board.uart.io),
    ]


def _bits(port: str, pins: tuple[str, ...], io: str) -> list[Pin]:
    """A port of one bit has no index in the netlist."""
    if len(pins) == 1:
        return [Pin(port, pins[0], io)]
    return [Pin(f"{port}[{i}]", pin, io) for i, pin in enumerate(pins)]
