"""The host's side of the engine: image writes, input words in, output words out."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from weft.machine.engine import Engine
from weft.machine.images import CHUNK_BITS, IMAGE_ADDRESS_BITS
from weft.machine.timing import BANK_LATENCY


class Register(enum.Enum, shape=2):
    """Where inputs and outputs lie in activation memory, in words; a base's top bit is its bank."""

    INPUT_BASE = 0
    INPUT_WORDS = 1
    OUTPUT_BASE = 2
    OUTPUT_WORDS = 3


IMAGE_WRITE = data.StructLayout({"data": CHUNK_BITS, "address": IMAGE_ADDRESS_BITS})


class Host(wiring.Component):
    """Takes a network's inputs, starts the engine, hands back its outputs, and so on.

    Exactly INPUT_WORDS words are taken on ``i``; then ``start`` is accepted; after the run exactly
    OUTPUT_WORDS words leave on ``o``, one every ``BANK_LATENCY + 2`` cycles at most.

    Parameters: initial values of the four registers, which image writes change while idle.

    Members
    -------
    start_valid, start_ready: the start handshake. go: to the step controller, high for one cycle
    after it, from a register: the two are far apart. busy: high from that cycle to the run's end.
    write_*, read_*: the activation memory's ports while the engine does not run.
    register_en, register_index, register_data: image writes to the registers.
    cycles: cycles that ``busy`` was high in the current or last run, but for the latest one.
    """

    def __init__(self, params: Engine, registers: tuple[int, int, int, int] = (0, 1, 0, 1)):
        self.params, self.registers = params, registers
        address = params.act_address_bits + 1  # the bank on top
        word = unsigned(8 * params.lanes)
        super().__init__(
            {
                "i": In(stream.Signature(word)),
                "o": Out(stream.Signature(word)),
                "start_valid": In(1),
                "start_ready": Out(1),
                "go": Out(1),
                "busy": In(1),
                "write_en": Out(1),
                "write_address": Out(address),
                "write_data": Out(word),
                "read_address": Out(address),
                "read_data": In(word),
                "register_en": In(1),
                "register_index": In(Register),
                "register_data": In(address),
                "cycles": Out(32),
            }
        )

    i: stream.Interface
    o: stream.Interface
    start_valid: Signal
    start_ready: Signal
    go: Signal
    busy: Signal
    write_en: Signal
    write_address: Signal
    write_data: Signal
    read_address: Signal
    read_data: Signal
    register_en: Signal
    register_index: Signal
    register_data: Signal
    cycles: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        input_base = self._register(m, Register.INPUT_BASE, "input_base")
        output_base = self._register(m, Register.OUTPUT_BASE, "output_base")
        # Of a number of words, the index of the last one: compared with without an adder before it.
        last_input = self._register(m, Register.INPUT_WORDS, "last_input", less=1)
        last_output = self._register(m, Register.OUTPUT_WORDS, "last_output", less=1)

        counting = Signal()  # busy, a cycle late: from a register, the controller is far away
        m.d.sync += [counting.eq(self.busy), self.cycles.eq(self.cycles + counting)]
        index = Signal(last_input.shape())
        wait = Signal(range(BANK_LATENCY + 1))
        m.d.comb += [
            self.write_address.eq(input_base + index),
            self.write_data.eq(self.i.payload),
            self.read_address.eq(output_base + index),
        ]
        m.d.sync += self.go.eq(0)
        with m.FSM():
            with m.State("LOAD"):
                m.d.comb += [self.i.ready.eq(1), self.write_en.eq(self.i.valid)]
                with m.If(self.i.valid):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == last_input):
                        m.next = "START"
            with m.State("START"):
                m.d.comb += self.start_ready.eq(1)
                m.d.sync += index.eq(0)
                with m.If(self.start_valid):
                    m.d.sync += [self.go.eq(1), self.cycles.eq(0)]
                    m.next = "GO"
            with m.State("GO"):  # ``counting`` follows
                m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += wait.eq(BANK_LATENCY)
                with m.If(~counting):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += [self.o.payload.eq(self.read_data), self.o.valid.eq(1)]
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.sync += wait.eq(BANK_LATENCY)
                with m.If(self.o.ready):
                    m.d.sync += [self.o.valid.eq(0), index.eq(index + 1)]
                    m.next = "READ"
                    with m.If(index == last_output):
                        m.d.sync += index.eq(0)
                        m.next = "LOAD"
        return m

    def _register(self, m: Module, register: Register, name: str, less: int = 0) -> Signal:
        """One of the four, its value ``less`` something."""
        signal = Signal(
            self.params.act_address_bits + 1, init=self.registers[register.value] - less, name=name
        )
        with m.If(self.register_en & (self.register_index == register)):
            m.d.sync += signal.eq(self.register_data - less)
        return signal
