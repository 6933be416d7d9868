"""How far an inference has come, in frames of the host link."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import State


class Progress(wiring.Component):
    """Counts an inference's frames: the inputs', the start, the outputs', and again.

    Parameters: ``params``, whose frames it counts.

    Members: ``step``, a request of the current state was carried out; ``finished``, the core offers
    its first result; ``restart``, back to the first input. ``state``; ``due``, bytes of the next
    frame of inputs or outputs.
    """

    step: In(1)
    finished: In(1)
    restart: In(1)
    state: Out(State)
    due: Out(8)

    def __init__(self, params: LinkParams):
        self.params = params
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inputs, outputs = self.params.inputs, self.params.outputs
        left = Signal(range(max(inputs.count, outputs.count)), init=inputs.count - 1)
        last = left == 0
        with m.If(self.state == State.DONE):
            m.d.comb += self.due.eq(Mux(last, outputs.last_bytes, outputs.full_bytes))
        with m.Else():
            m.d.comb += self.due.eq(Mux(last, inputs.last_bytes, inputs.full_bytes))

        with m.If(self.step):
            m.d.sync += left.eq(left - 1)
        with m.Switch(self.state):
            with m.Case(State.LOAD):
                with m.If(self.step & last):
                    m.d.sync += self.state.eq(State.READY)
            with m.Case(State.READY):
                with m.If(self.step):
                    m.d.sync += [left.eq(outputs.count - 1), self.state.eq(State.RUN)]
            with m.Case(State.RUN):
                with m.If(self.finished):
                    m.d.sync += self.state.eq(State.DONE)
            with m.Case(State.DONE):
                with m.If(self.step & last):
                    m.d.sync += [left.eq(inputs.count - 1), self.state.eq(State.LOAD)]
        with m.If(self.restart):
            m.d.sync += [left.eq(inputs.count - 1), self.state.eq(State.LOAD)]
        return m
