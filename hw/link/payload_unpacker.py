"""From the host link's buffer into the core: image writes and input words."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.host import IMAGE_WRITE
from weft.hw.link.params import LinkParams
from weft.hw.link.payload_counter import CounterInterface, CounterPort
from weft.hw.link.protocol import IMAGE_BYTES
from weft.machine.images import CHUNK_BITS, WORD_BITS

ADDRESS_PLACE = 5


class PayloadUnpacker(wiring.Component):
    """Takes a payload from the buffer into the core, three cycles per byte and one per word.

    Image writes go through twice: no word is written before every address was checked.

    Parameters: ``params``.

    Members
    -------
    go: begin; it and ``is_image`` stay until ``done``, high for one cycle.

    is_image: the payload is a memory's number and image writes, not input words.

    bad_address: with ``done``; because of an address nothing was written.

    counter: shared with others; its index is the buffer's address.

    byte: what lies there, two cycles later.

    shift: take the byte into the shared word.

    word: that word, its last bytes at the top.

    image_valid, image, words: the core's.
    """

    def __init__(self, params: LinkParams):
        self.params = params
        super().__init__(
            {
                "go": In(1),
                "is_image": In(1),
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
    done: Signal
    bad_address: Signal
    counter: CounterInterface
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
        named = Signal()  # the round's first byte was taken: the memory's number
        m.d.comb += [
            self.words.payload.eq(self.word[-8 * lanes :]),
            counter.step.eq(self.shift),
        ]
        inside = self._image(m, place, named)

        with m.FSM(name="load"):
            with m.State("IDLE"):
                m.d.comb += counter.clear.eq(self.go)
                m.d.sync += [place.eq(0), checked.eq(0), named.eq(0)]
                with m.If(self.go):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.comb += self.shift.eq(1)
                m.next = "FETCH"
                with m.If(self.is_image & ~named):
                    m.d.sync += named.eq(1)
                with m.Elif(place == Mux(self.is_image, IMAGE_BYTES, lanes) - 1):
                    m.d.sync += place.eq(0)
                    m.next = "SETTLE"
                with m.Else():
                    m.d.sync += place.eq(place + 1)
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
                        m.d.sync += [checked.eq(1), named.eq(0)]
                    with m.Elif(counter.over):
                        m.d.comb += self.done.eq(1)
                    with m.If(self.bad_address):
                        m.d.comb += self.done.eq(1)
                    with m.If(self.done):
                        m.next = "IDLE"
        return m

    def _image(self, m: Module, place: Signal, named: Signal) -> Value:
        """Take an image write apart; high if there is its memory and its address is within it.

        Address and limit are compared byte by byte as they come, the lowest first.
        """
        record = self.word[-8 * IMAGE_BYTES :]
        number = Signal(self.params.number_bits)
        exists = Signal()
        with m.If(self.shift & ~named):
            m.d.sync += [number.eq(self.byte), exists.eq(~self.byte[len(number) :].any())]
        m.d.comb += [
            self.image.data.eq(record[:CHUNK_BITS]),
            self.image.address.eq(Cat(record[ADDRESS_PLACE * 8 :][:WORD_BITS], number)),
        ]
        bytes_of = [_limit_bytes(limit) for limit in self.params.padded_limits]
        table = Array(
            Const(limit[(i - ADDRESS_PLACE) % 4], 8) for i in range(4) for limit in bytes_of
        )
        limit = table[Cat(number, place[:2])]
        below = Signal()
        with m.If(self.shift):
            m.d.sync += below.eq(Cat(Const(1), self.byte) <= Cat(below, limit))
            with m.If(place < ADDRESS_PLACE):
                m.d.sync += below.eq(limit[0])
        return below & exists


def _limit_bytes(limit: int) -> bytes:
    """An address must be less than the first three bytes; with the fourth one it may be equal."""
    whole = limit >> WORD_BITS
    return (limit - whole | whole << WORD_BITS).to_bytes(4, "little")
