"""An inference, step by step: words in, the start, words out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.params import BUS_BYTES, BusParams
from weft.hw.bus.pieces import Joiner, Splitter
from weft.hw.progress import Progress, State


class Runner(wiring.Component):
    """Follows the core's state, and chooses where its words come from and go to.

    Parameters: ``params``.

    Members
    -------
    bus_input, bus_output, auto_start: as in MODE.

    start: run, in READY only.

    reset: back to LOAD.

    state: the core's.

    words_left: in LOAD and DONE.

    finished: high for one cycle as DONE begins.

    push, piece: of an input word, when ``takes`` and not ``full``.

    pop: take ``next_piece`` of an output word, when ``gives`` and ``there``.

    i, o: the streams of words.

    last: with the last output word.

    words, start_valid, start_ready, results, core_reset: the core's.
    """

    def __init__(self, params: BusParams):
        self.params = params
        word = stream.Signature(8 * params.lanes)
        super().__init__(
            {
                **{name: In(1) for name in ("bus_input", "bus_output", "auto_start")},
                "start": In(1),
                "reset": In(1),
                "state": Out(State),
                "words_left": Out(32),
                "finished": Out(1),
                "takes": Out(1),
                "full": Out(1),
                "push": In(1),
                "piece": In(8 * BUS_BYTES),
                "gives": Out(1),
                "there": Out(1),
                "pop": In(1),
                "next_piece": Out(8 * BUS_BYTES),
                "i": In(word),
                "o": Out(word),
                "last": Out(1),
                "words": Out(word),
                "start_valid": Out(1),
                "start_ready": In(1),
                "results": In(word),
                "core_reset": Out(1),
            }
        )

    bus_input: Signal
    bus_output: Signal
    auto_start: Signal
    start: Signal
    reset: Signal
    state: Signal
    words_left: Signal
    finished: Signal
    takes: Signal
    full: Signal
    push: Signal
    piece: Signal
    gives: Signal
    there: Signal
    pop: Signal
    next_piece: Signal
    i: stream.Interface
    o: stream.Interface
    last: Signal
    words: stream.Interface
    start_valid: Signal
    start_ready: Signal
    results: stream.Interface
    core_reset: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params, state = self.params, self.state
        m.submodules.progress = progress = Progress(n_in=params.n_in, n_out=params.n_out)
        loading, ready, done, started = Signal(), Signal(), Signal(), Signal()
        moving = (state == State.LOAD) | (state == State.DONE)
        m.d.comb += [
            state.eq(progress.state),
            loading.eq((state == State.LOAD) & ~self.core_reset),  # the reset would lose words
            ready.eq(state == State.READY),
            done.eq(state == State.DONE),
            self.words_left.eq(Mux(moving, progress.left + 1, 0)),
            progress.restart.eq(self.reset),
            progress.finished.eq(self.results.valid),
            self.finished.eq((state == State.RUN) & self.results.valid & ~self.reset),
            self.start_valid.eq(ready & ~self.core_reset & (self.auto_start | started)),
            progress.step.eq(
                (self.words.valid & self.words.ready)
                | (self.start_valid & self.start_ready)
                | (self.results.valid & self.results.ready)
            ),
        ]
        m.d.sync += self.core_reset.eq(self.reset)
        with m.If(~ready | progress.step | self.reset):
            m.d.sync += started.eq(0)
        with m.Elif(self.start):
            m.d.sync += started.eq(1)
        self._inputs(m, loading)
        self._outputs(m, done, progress.last)
        return m

    def _inputs(self, m: Module, loading: Signal) -> None:
        m.submodules.joiner = joiner = Joiner(self.params)
        m.d.comb += [
            self.takes.eq(loading & self.bus_input),
            joiner.enable.eq(self.takes),
            joiner.push.eq(self.push),
            joiner.piece.eq(self.piece),
            self.full.eq(joiner.o.valid),
        ]
        with m.If(self.bus_input):
            m.d.comb += [
                self.words.valid.eq(loading & joiner.o.valid),
                self.words.payload.eq(joiner.o.payload),
                joiner.o.ready.eq(loading & self.words.ready),
            ]
        with m.Else():
            m.d.comb += [
                self.words.valid.eq(loading & self.i.valid),
                self.words.payload.eq(self.i.payload),
                self.i.ready.eq(loading & self.words.ready),
            ]

    def _outputs(self, m: Module, done: Signal, last: Signal) -> None:
        m.submodules.splitter = splitter = Splitter(self.params)
        m.d.comb += [
            self.gives.eq(done & self.bus_output),
            splitter.enable.eq(self.gives),
            splitter.i.payload.eq(self.results.payload),
            splitter.i.valid.eq(self.gives & self.results.valid),
            splitter.pop.eq(self.pop),
            self.there.eq(splitter.valid),
            self.next_piece.eq(splitter.piece),
            self.o.payload.eq(self.results.payload),
            self.last.eq(last),
        ]
        with m.If(self.bus_output):
            m.d.comb += self.results.ready.eq(splitter.i.ready)
        with m.Else():
            m.d.comb += [
                self.o.valid.eq(done & self.results.valid),
                self.results.ready.eq(done & self.o.ready),
            ]
