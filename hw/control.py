"""The step controller: fetches step words and starts each step when the one before has ended."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.params import CHUNK_BITS, EngineParams, bits_for
from weft.hw.ram import READ_LATENCY, Ram
from weft.hw.step import back_layout, chunks, front_layout


class Control(wiring.Component):
    """Runs the program: fetch a step, wait for the last result of the one before, start it.

    The next step is fetched while the last results of the running one drain. ``front`` changes
    during that fetch (the address generator is idle then); ``back`` changes only at ``start``.

    Members
    -------
    go: begins the program. busy: high from the next cycle until the cycle of the last result.
    start: pulse at which a step begins. issued: the sequencer issues the step's last tap.
    done: the step's last result is written. load_*: writes program chunks.
    """

    def __init__(self, params: EngineParams, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        self.front_layout, self.back_layout = front_layout(params), back_layout(params)
        super().__init__(
            {
                "go": In(1),
                "busy": Out(1),
                "start": Out(1),
                "issued": In(1),
                "done": In(1),
                "front": Out(self.front_layout),
                "back": Out(self.back_layout),
                "load_en": In(1),
                "load_address": In(bits_for(params.program_words)),
                "load_data": In(CHUNK_BITS),
            }
        )

    go: Signal
    busy: Signal
    start: Signal
    issued: Signal
    done: Signal
    front: data.View
    back: data.View
    load_en: Signal
    load_address: Signal
    load_data: Signal

    @property
    def step_chunks(self) -> int:
        """Program chunks of one step."""
        return chunks(self.front_layout) + chunks(self.back_layout)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.program = program = Ram(
            width=CHUNK_BITS,
            depth=self.params.program_words,
            init_file=f"{self.image_dir}/program.hex" if self.image_dir else "",
        )
        pointer = Signal(program.address_bits)
        m.d.comb += [
            program.r_addr.eq(pointer),
            program.w_en.eq(self.load_en),
            program.w_addr.eq(self.load_address),
            program.w_data.eq(self.load_data),
        ]

        # Chunks enter at the top, so the first one ends up at the bottom.
        word = Signal(self.step_chunks * CHUNK_BITS)
        split = chunks(self.front_layout) * CHUNK_BITS
        m.d.comb += self.front.eq(word[:split])

        count = Signal(range(self.step_chunks + READ_LATENCY))
        pending = Signal()
        with m.If(self.done):
            m.d.sync += pending.eq(0)
        with m.FSM() as machine:
            with m.State("IDLE"):
                m.d.sync += [pointer.eq(0), count.eq(0)]
                with m.If(self.go):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [pointer.eq(pointer + 1), count.eq(count + 1)]
                with m.If(count >= READ_LATENCY):
                    m.d.sync += word.eq(Cat(word[CHUNK_BITS:], program.r_data))
                with m.If(count == self.step_chunks + READ_LATENCY - 1):
                    m.d.sync += [count.eq(0), pointer.eq(pointer - 1)]
                    m.next = "READY"
            with m.State("READY"):
                with m.If(~pending | self.done):
                    m.d.comb += self.start.eq(1)
                    m.d.sync += [pending.eq(1), self.back.eq(word[split:])]
                    m.next = "ISSUE"
            with m.State("ISSUE"):
                with m.If(self.issued & self.back.last_step):
                    m.next = "FINISH"
                with m.Elif(self.issued):
                    m.next = "FETCH"
            with m.State("FINISH"):
                with m.If(self.done):
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~machine.ongoing("IDLE"))
        return m
