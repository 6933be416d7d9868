"""The loader: copies memory images from the store, where they wait for their turn."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.host import IMAGE_WRITE
from weft.hw.spram import Spram
from weft.hw.step import load_layout
from weft.machine.engine import Engine
from weft.machine.images import CHUNK_BITS, STORE_BITS, WORD_BITS
from weft.machine.timing import READ_LATENCY


class Loader(wiring.Component):
    """Replays image writes from the store, one store word per cycle.

    Members
    -------
    start: pulse at which ``step`` begins, which stays until ``done``. valid, image: image writes.
    done: with the last one, ``count + READ_LATENCY`` cycles after ``start`` (twice the count if the
    step is wide). load_*: writes words of the store, while no step runs.
    """

    def __init__(self, params: Engine):
        self.params = params
        super().__init__(
            {
                "start": In(1),
                "step": In(load_layout(params)),
                "valid": Out(1),
                "image": Out(IMAGE_WRITE),
                "done": Out(1),
                "load_en": In(1),
                "load_address": In(params.store_address_bits),
                "load_data": In(STORE_BITS),
            }
        )

    start: Signal
    step: data.View
    valid: Signal
    image: data.View
    done: Signal
    load_en: Signal
    load_address: Signal
    load_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = Spram(
            width=STORE_BITS, depth=self.params.memories.store, grain=STORE_BITS
        )
        source = Signal(self.params.store_address_bits)
        left = Signal.like(self.step.count)  # chunks still to be written
        arrives = Signal(READ_LATENCY + 1)  # reads on their way
        low = Signal(STORE_BITS)
        upper = Signal()  # the word that arrives is the second of a chunk
        m.d.comb += [
            store.r_addr.eq(source),
            store.w_en.eq(self.load_en),
            store.w_addr.eq(self.load_address),
            store.w_data.eq(self.load_data),
            self.valid.eq(arrives[-1] & (left != 0) & (upper | ~self.step.wide)),
            self.done.eq(self.valid & (left == 1)),
            self.image.data.eq(store.r_data),
        ]
        with m.If(self.step.wide):
            high = store.r_data[: CHUNK_BITS - STORE_BITS]
            m.d.comb += self.image.data.eq(Cat(low, high))
        m.d.sync += [
            arrives.eq(Cat(self.start | arrives[0], arrives)),
            source.eq(source + 1),
            low.eq(store.r_data),
        ]
        with m.If(arrives[-1]):
            m.d.sync += upper.eq(~upper)
        with m.If(self.valid):
            place = self.image.address[:WORD_BITS]
            m.d.sync += [left.eq(left - 1), place.eq(place + 1)]
        with m.If(self.done):
            m.d.sync += arrives.eq(0)
        with m.If(self.start):
            m.d.sync += [
                source.eq(self.step.source),
                left.eq(self.step.count),
                upper.eq(0),
                self.image.address.eq(self.step.memory << WORD_BITS),
            ]
        return m
