"""UART receiver and transmitter: 8 data bits, no parity, 1 stop bit, low bit first."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

MIN_DIVISOR = 4


def _check_divisor(divisor: int) -> None:
    if divisor < MIN_DIVISOR:
        raise ValueError(f"divisor must be {MIN_DIVISOR} cycles per bit or more, not {divisor!r}")


class Receiver(wiring.Component):
    """Bytes from a serial line.

    Every bit is sampled once, in its middle. A low pulse that is over by the middle of the start
    bit is ignored. After a byte whose stop bit is low (wrong speed, or a break) nothing is received
    until the line has been high again. The stop bit is left at its middle, so the sender may be
    up to about 3 % faster or slower (with 16 or more cycles per bit).

    Parameters: ``divisor``, clock cycles per bit.

    Members: ``rx``, the line, asynchronous to the clock; ``o``, the bytes; ``framing_error``, high
    for one cycle per byte that is dropped because of its stop bit; ``overrun``, high for one cycle
    per byte that is dropped because the byte before it has not been taken yet (``o`` has room
    for one byte: the reader has ten bit times to take it).
    """

    rx: In(1, init=1)  # pyright: ignore[reportCallIssue] (amaranth-stubs lacks init)
    o: Out(stream.Signature(8))
    framing_error: Out(1)
    overrun: Out(1)

    def __init__(self, *, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)  # a line that is low before the first sample is no start bit
        m.submodules.line_sync = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self.divisor))
        n_bits = Signal(range(8))
        shift = Signal(8)
        sample = Signal()
        m.d.comb += sample.eq(timer == 0)
        m.d.sync += timer.eq(timer - 1)
        with m.If(sample):
            m.d.sync += timer.eq(self.divisor - 1)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM(name="receive"):
            with m.State("IDLE"):
                m.d.sync += timer.eq(self.divisor // 2 - 1)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(sample):
                    m.d.sync += n_bits.eq(0)
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(sample):
                    m.d.sync += [shift.eq(Cat(shift[1:], line)), n_bits.eq(n_bits + 1)]
                    with m.If(n_bits == 7):
                        m.next = "STOP"
            with m.State("STOP"):
                with m.If(sample):
                    with m.If(~line):
                        m.d.comb += self.framing_error.eq(1)
                        m.next = "BREAK"
                    with m.Else():
                        m.next = "IDLE"
                        # The byte on offer must not change until it is taken.
                        with m.If(self.o.valid & ~self.o.ready):
                            m.d.comb += self.overrun.eq(1)
                        with m.Else():
                            m.d.sync += [self.o.payload.eq(shift), self.o.valid.eq(1)]
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class Transmitter(wiring.Component):
    """Bytes to a serial line; one byte per ``10 * divisor + 1`` cycles at most.

    Parameters: ``divisor``, clock cycles per bit. Members: ``i``, the bytes; ``tx``, the line,
    straight from a register.
    """

    i: In(stream.Signature(8))
    tx: Out(1, init=1)  # pyright: ignore[reportCallIssue] (amaranth-stubs lacks init)

    def __init__(self, *, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        n_left = Signal(range(11))  # bits of the frame that are not over: start, 8 data, stop
        shift = Signal(8)
        m.d.comb += self.i.ready.eq(n_left == 0)
        with m.If(n_left == 0):
            with m.If(self.i.valid):
                m.d.sync += [self.tx.eq(0), shift.eq(self.i.payload)]
                m.d.sync += [n_left.eq(10), timer.eq(self.divisor - 1)]
        with m.Elif(timer == 0):
            # Ones move in behind the data: the stop bit and the idle line.
            m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1))]
            m.d.sync += [n_left.eq(n_left - 1), timer.eq(self.divisor - 1)]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
