"""From the host link's buffer into the core: image writes and input words."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.core import SELECT_BITS, WORD_BITS
from weft.hw.host import IMAGE_WRITE
from weft.hw.link.params import LinkParams
from weft.hw.link.payload_counter import CounterPort
from weft.hw.link.protocol import IMAGE_BYTES
from weft.machine.images import CHUNK_BITS

ADDRESS_PLACE = 5


class PayloadUnpacker(wiring.Component):
    """Takes a payload from the buffer into the core, three cycles per byte and one per word.

    Image writes go through twice: no word is written before every address was checked.

    Parameters: ``params``.

    Members
    -------
    go: begin; it, ``is_image`` and ``select`` (the image's memory) stay until ``done``, high for
    one cycle. bad_address: with ``done``, nothing was written because of one.
    counter: shared with others; its index is the buffer's address, ``byte`` comes two cycles later.
    shift: take the byte into the shared word; word: its value, the last bytes at the top.
    image_valid, image, words: the core's.
    """

    def __init__(self, params: LinkParams):
        self.params = params
        super().__init__(
            {
                "go": In(1),
                "is_image": In(1),
                "select": In(SELECT_BITS),
                "done": Out(1),
                "bad_address": Out(1),
                "counter": Out(CounterPort),
                "byte": In(8),
                "shift": Out(1),
                "word": In(8 * params.word_bytes),
                "image_valid": Out(1),
                "image": Out(IMAGE_WRITE),
                "words": Out(stream.Signature(8 * params.lanes)),
            }
        )

    go: Signal
    is_image: Signal
    select: Signal
    done: Signal
    bad_address: Signal
    counter: Any
    byte: Signal
    shift: Signal
    word: Signal
    image_valid: Signal
    image: data.View
    words: stream.Interface

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counter = self.counter
        lanes = self.params.lanes
        place = Signal(range(self.params.word_bytes))  # of the next byte in its word
        checked = Signal()  # the second of an image's two rounds
        m.d.comb += [
            self.words.payload.eq(self.word[-8 * lanes :]),
            counter.step.eq(self.shift),
        ]
        inside = self._image(m, place)

        with m.FSM(name="load"):
            with m.State("IDLE"):
                m.d.comb += counter.clear.eq(self.go)
                m.d.sync += [place.eq(0), checked.eq(0)]
                with m.If(self.go):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.comb += self.shift.eq(1)
                m.d.sync += place.eq(place + 1)
                m.next = "FETCH"
                with m.If(place == Mux(self.is_image, IMAGE_BYTES, lanes) - 1):
                    m.d.sync += place.eq(0)
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += [
                    self.words.valid.eq(~self.is_image),
                    self.image_valid.eq(self.is_image & checked),
                    self.bad_address.eq(self.is_image & ~inside),
                ]
                with m.If(self.is_image | self.words.ready):
                    m.next = "FETCH"
                    with m.If(counter.over & self.is_image & ~checked):
                        m.d.comb += counter.clear.eq(1)
                        m.d.sync += checked.eq(1)
                    with m.Elif(counter.over):
                        m.d.comb += self.done.eq(1)
                    with m.If(self.bad_address):
                        m.d.comb += self.done.eq(1)
                    with m.If(self.done):
                        m.next = "IDLE"
        return m

    def _image(self, m: Module, place: Signal) -> Signal:
        """Take an image write apart; high if its address is within the memory.

        Address and limit are compared byte by byte as they come, the lowest first.
        """
        record = self.word[-8 * IMAGE_BYTES :]
        m.d.comb += [
            self.image.data.eq(record[:CHUNK_BITS]),
            self.image.address.eq(Cat(record[ADDRESS_PLACE * 8 :][:WORD_BITS], self.select)),
        ]
        bytes_of = [limit.to_bytes(4, "little") for limit in self.params.image_limits]
        table = Array(
            Const(limit[(i - ADDRESS_PLACE) % 4], 8) for i in range(4) for limit in bytes_of
        )
        limit = table[Cat(self.select, place[:2])]
        below = Signal()
        with m.If(self.shift):
            m.d.sync += below.eq(Cat(Const(1), self.byte) <= Cat(below, limit))
            with m.If(place < ADDRESS_PLACE):
                m.d.sync += below.eq(0)
        return below
