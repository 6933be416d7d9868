"""The payloads of the host link's replies."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import COMMAND_BITS, IDENTIFY_BYTES, STATUS_BYTES, VERSION, Command
from weft.hw.progress import State


class ReplyPayload(wiring.Component):
    """Answers IDENTIFY, STATUS and OUTPUT.

    Parameters: ``params``.

    Members
    -------
    command: what is answered, until its last byte.

    state: the core's, the same until then.

    due: bytes of an OUTPUT.

    length: bytes of the answer.

    payload, index: those bytes, and the index of the next one.

    payload_due: the next one is wanted.

    cycles, result_valid, result_ready: the core's.

    load, shift: the shared word takes a result, or moves on in the next cycle.

    lane_0: the result's next byte in that word.
    """

    command: In(COMMAND_BITS)
    state: In(State)
    due: In(8)
    length: Out(8)
    payload: Out(stream.Signature(8))
    payload_due: In(1)
    index: In(8)
    cycles: In(32)
    result_valid: In(1)
    result_ready: Out(1)
    load: Out(1)
    shift: Out(1)
    lane_0: In(8)

    def __init__(self, params: LinkParams):
        self.params = params
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        identity = Array(Const(byte, 8) for byte in [VERSION, *self.params.identity])
        # A counter that runs would change between the line and the CRC.
        cycles = Mux(self.state == State.RUN, 0, self.cycles.word_select(self.index[:2], 8))
        status = Mux(self.index[2], self.state, cycles)
        lane = Signal(range(self.params.lanes))
        loaded = Signal()  # the word holds a result, or what is left of one
        settles = Signal()  # it moves on in this cycle
        m.d.sync += [settles.eq(self.shift), self.result_ready.eq(0)]
        m.d.comb += self.payload.valid.eq(self.payload_due)
        with m.If(self.command[2]):
            m.d.comb += self.payload.payload.eq(self.lane_0)
        with m.Elif(self.command[0]):
            m.d.comb += self.payload.payload.eq(status)
        with m.Else():
            m.d.comb += self.payload.payload.eq(identity[self.index[:4]])
        with m.Switch(self.command):
            with m.Case(Command.IDENTIFY):
                m.d.comb += self.length.eq(IDENTIFY_BYTES)
            with m.Case(Command.STATUS):
                m.d.comb += self.length.eq(STATUS_BYTES)
            with m.Case(Command.OUTPUT):
                m.d.comb += [
                    self.length.eq(self.due),
                    self.payload.valid.eq(loaded & ~settles),
                    self.load.eq(self.result_ready),
                    self.shift.eq(self.payload.ready),
                ]
                # Only where a result is waiting, so that a register loads the word.
                wanted = self.payload_due & ~loaded & ~self.result_ready
                m.d.sync += self.result_ready.eq(wanted & self.result_valid)
                with m.If(self.load):
                    m.d.sync += [loaded.eq(1), lane.eq(0)]
                with m.If(self.shift):
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == self.params.lanes - 1):
                        m.d.sync += loaded.eq(0)
        return m
