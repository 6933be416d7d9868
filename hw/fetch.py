"""Program memory, and the step word that is fetched from it chunk by chunk."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.ram import Ram
from weft.hw.step import back_layout, front_layout
from weft.machine.engine import Engine, bits_for
from weft.machine.fields import FRONT, part_chunks, step_chunks
from weft.machine.images import CHUNK_BITS
from weft.machine.timing import READ_LATENCY


class StepFetch(wiring.Component):
    """Fetches one step after the other.

    Members
    -------
    restart: the next step is the program's first. fetch: held high until ``done``, which comes with
    the last chunk, ``step_chunks + READ_LATENCY - 1`` cycles after the first cycle of it. front,
    back: the step word, from the cycle after ``done`` until the next fetch. load_*: writes program
    chunks.
    """

    def __init__(self, params: Engine, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        self.front_layout, self.back_layout = front_layout(params), back_layout(params)
        super().__init__(
            {
                "restart": In(1),
                "fetch": In(1),
                "done": Out(1),
                "front": Out(self.front_layout),
                "back": Out(self.back_layout),
                "load_en": In(1),
                "load_address": In(bits_for(params.memories.program)),
                "load_data": In(CHUNK_BITS),
            }
        )

    restart: Signal
    fetch: Signal
    done: Signal
    front: data.View
    back: data.View
    load_en: Signal
    load_address: Signal
    load_data: Signal

    @property
    def step_chunks(self) -> int:
        """Program chunks of one step."""
        return step_chunks(self.params)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.program = program = Ram(
            width=CHUNK_BITS,
            depth=self.params.memories.program,
            init_file=f"{self.image_dir}/program.hex" if self.image_dir else "",
        )
        pointer = Signal(program.address_bits)
        count = Signal(range(self.step_chunks + READ_LATENCY))
        # Chunks enter at the top, so the first one ends up at the bottom.
        word = Signal(self.step_chunks * CHUNK_BITS, reset_less=True)
        split = part_chunks(FRONT, self.params) * CHUNK_BITS
        m.d.comb += [
            program.r_addr.eq(pointer),
            program.w_en.eq(self.load_en),
            program.w_addr.eq(self.load_address),
            program.w_data.eq(self.load_data),
            self.front.eq(word),
            self.back.eq(word[split:]),
            self.done.eq(self.fetch & (count == self.step_chunks + READ_LATENCY - 1)),
        ]
        with m.If(self.restart):
            m.d.sync += pointer.eq(0)
        with m.Elif(self.done):  # addresses run ahead of their data
            m.d.sync += pointer.eq(pointer - (READ_LATENCY - 1))
        with m.Elif(self.fetch):
            m.d.sync += pointer.eq(pointer + 1)
        with m.If(self.fetch):
            m.d.sync += count.eq(count + 1)
            with m.If(count >= READ_LATENCY):
                m.d.sync += word.eq(Cat(word[CHUNK_BITS:], program.r_data))
        with m.If(self.restart | self.done):
            m.d.sync += count.eq(0)
        return m
