"""The step controller of a compact engine: one step at a time, straight from its step word."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.fetch import StepFetch
from weft.hw.step import back_layout, front_layout
from weft.machine.engine import Engine, bits_for
from weft.machine.images import CHUNK_BITS


class CompactControl(wiring.Component):
    """Runs the program: fetches a step, starts it, waits for its end, fetches the next.

    Members
    -------
    go: begins the program. busy: high from the next cycle until the cycle of the last result.
    start: pulse at which the step in ``front`` and ``back`` begins; both stay until it is done.
    load_start: the same for a step of the loader. done: the step's last result is written.
    load_*: writes program chunks.
    """

    def __init__(self, params: Engine, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        self.front_layout, self.back_layout = front_layout(params), back_layout(params)
        super().__init__(
            {
                "go": In(1),
                "busy": Out(1),
                "load_en": In(1),
                "load_address": In(bits_for(params.memories.program)),
                "load_data": In(CHUNK_BITS),
                "start": Out(1),
                "load_start": Out(1),
                "front": Out(self.front_layout),
                "back": Out(self.back_layout),
                "done": In(1),
            }
        )

    go: Signal
    busy: Signal
    load_en: Signal
    load_address: Signal
    load_data: Signal
    start: Signal
    load_start: Signal
    front: data.View
    back: data.View
    done: Signal

    @property
    def step_chunks(self) -> int:
        """Program chunks of one step."""
        return StepFetch(self.params).step_chunks

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fetch = fetch = StepFetch(self.params, self.image_dir)
        m.d.comb += [
            fetch.load_en.eq(self.load_en),
            fetch.load_address.eq(self.load_address),
            fetch.load_data.eq(self.load_data),
            self.front.eq(fetch.front),
            self.back.eq(fetch.back),
        ]
        with m.FSM() as machine:
            with m.State("IDLE"):
                m.d.comb += fetch.restart.eq(1)
                with m.If(self.go):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += fetch.fetch.eq(1)
                with m.If(fetch.done):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                loads = self.back.load if self.params.has_store else 0
                m.d.comb += [self.load_start.eq(loads), self.start.eq(~self.load_start)]
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.done):
                    m.next = "FETCH"
                    with m.If(self.back.last_step):
                        m.next = "IDLE"
        m.d.comb += self.busy.eq(~machine.ongoing("IDLE"))
        return m
