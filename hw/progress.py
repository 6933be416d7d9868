"""How far an inference has come."""

import enum

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class State(enum.IntEnum):
    """What the core waits for: inputs, the start, its own end, or the outputs to be read."""

    LOAD = 0
    READY = 1
    RUN = 2
    DONE = 3


class Progress(wiring.Component):
    """Counts an inference's pieces: the inputs', the start, the outputs', and again.

    A piece is a frame of the host link, or a word on a bus.

    Parameters: ``n_in``, ``n_out``, pieces of the inputs and of the outputs.

    Members: ``step``, a piece of the current state was carried out; ``finished``, the core offers
    its first result; ``restart``, back to the first input. ``state``; ``left``, pieces that come
    after this one in LOAD and DONE; ``last``, there are none.
    """

    def __init__(self, *, n_in: int, n_out: int):
        self.n_in, self.n_out = n_in, n_out
        super().__init__(
            {
                "step": In(1),
                "finished": In(1),
                "restart": In(1),
                "state": Out(State),
                "left": Out(
                    range(max(n_in, n_out)),
                    init=n_in - 1,  # pyright: ignore[reportCallIssue] (amaranth-stubs lacks init)
                ),
                "last": Out(1),
            }
        )

    step: Signal
    finished: Signal
    restart: Signal
    state: Signal
    left: Signal
    last: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.last.eq(self.left == 0)
        with m.If(self.step):
            m.d.sync += self.left.eq(self.left - 1)
        with m.Switch(self.state):
            with m.Case(State.LOAD):
                with m.If(self.step & self.last):
                    m.d.sync += self.state.eq(State.READY)
            with m.Case(State.READY):
                with m.If(self.step):
                    m.d.sync += [self.left.eq(self.n_out - 1), self.state.eq(State.RUN)]
            with m.Case(State.RUN):
                with m.If(self.finished):
                    m.d.sync += self.state.eq(State.DONE)
            with m.Case(State.DONE):
                with m.If(self.step & self.last):
                    m.d.sync += [self.left.eq(self.n_in - 1), self.state.eq(State.LOAD)]
        with m.If(self.restart):
            m.d.sync += [self.left.eq(self.n_in - 1), self.state.eq(State.LOAD)]
        return m
