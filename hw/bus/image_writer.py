"""Image writes in two accesses."""

from amaranth.hdl import Array, Cat, Const, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.params import BusParams
from weft.hw.host import IMAGE_WRITE
from weft.machine.images import CHUNK_BITS, IMAGE_ADDRESS_BITS, WORD_BITS

LOW_BITS = 32


class ImageWriter(wiring.Component):
    """Address and lower part of an image write, which the upper part sends on its way.

    Parameters: ``params``, for the limits.

    Members
    -------
    set_address, set_low, set_high: take ``w_data``.

    address, low: as they are now.

    inside: there is the address's memory, and the address is within it.

    image_valid, image: the core's, a cycle after ``set_high``.
    """

    set_address: In(1)
    set_low: In(1)
    set_high: In(1)
    w_data: In(32)
    address: Out(IMAGE_ADDRESS_BITS)
    low: Out(LOW_BITS)
    inside: Out(1)
    image_valid: Out(1)
    image: Out(IMAGE_WRITE)

    def __init__(self, params: BusParams):
        self.params = params
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = Array(Const(limit, WORD_BITS + 1) for limit in self.params.padded_limits)
        image: data.View = self.image
        word, number = self.address[:WORD_BITS], self.address[WORD_BITS:]
        bits = self.params.number_bits
        exists = ~number[bits:].any()
        m.d.comb += self.inside.eq(exists & (word < limits[number[:bits]]))
        m.d.sync += self.image_valid.eq(self.set_high)
        with m.If(self.set_address):
            m.d.sync += self.address.eq(self.w_data)
        with m.If(self.set_low):
            m.d.sync += self.low.eq(self.w_data)
        with m.If(self.set_high):
            m.d.sync += [
                image.address.eq(self.address),
                image.data.eq(Cat(self.low, self.w_data[: CHUNK_BITS - LOW_BITS])),
                word.eq(word + 1),
            ]
        return m
