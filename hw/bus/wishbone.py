"""A Wishbone B4 slave in front of registers."""

# Ref: Wishbone B4 (OpenCores, 2010), 3.2 classic cycles, 5.2.1 standard slaves on pipelined masters

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.bus.params import AccessPort
from weft.hw.bus.registers import ADDRESS_BITS


class Wishbone(wiring.Component):
    """Answers classic cycles, one every two clock cycles at most; pipelined ones with ``stall``.

    The answer comes in the clock cycle after the one in which the access was carried out: ``ack``,
    or ``err`` if it was refused, for one cycle; ``dat_r`` with it.

    Members
    -------
    cyc, stb, we, adr, sel, dat_w, dat_r, ack, err, stall: the bus. ``adr`` counts bytes, its lowest
    two bits mean nothing; ``sel`` of reads means nothing.

    registers: the access.
    """

    cyc: In(1)
    stb: In(1)
    we: In(1)
    adr: In(ADDRESS_BITS)
    sel: In(4)
    dat_w: In(32)
    dat_r: Out(32)
    ack: Out(1)
    err: Out(1)
    stall: Out(1)
    registers: Out(AccessPort)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        registers = self.registers
        answered = Signal()
        m.d.comb += [
            answered.eq(self.ack | self.err),
            self.stall.eq(self.cyc & ~answered),
            registers.request.eq(self.cyc & self.stb & ~answered),
            registers.write.eq(self.we),
            registers.address.eq(self.adr),
            registers.w_data.eq(self.dat_w),
            registers.partial.eq(~self.sel.all()),
        ]
        m.d.sync += [self.ack.eq(0), self.err.eq(0)]
        with m.If(registers.request & ~registers.hold):
            m.d.sync += [
                self.ack.eq(~registers.refused),
                self.err.eq(registers.refused),
                self.dat_r.eq(registers.r_data),
            ]
        return m
