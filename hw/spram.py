"""A large memory with a single port, which a write takes from the reader."""

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary
from weft.machine.engine import bits_for


class Spram(wiring.Component):
    """``depth`` words of ``width`` bits, read or written in a cycle; members as those of ``Ram``.

    A read gives its data ``READ_LATENCY`` cycles after the address (``weft.machine.timing``). A
    cycle with any ``w_en`` set reads nothing: what a read issued in that cycle gives is undefined.
    So are the contents at start.

    Parameters: ``grain`` bits, 8 or a multiple, share one write enable.
    Members: ``w_en`` (one bit per grain), ``w_addr``, ``w_data``; ``r_addr``, ``r_data``.
    """

    def __init__(self, *, width: int, depth: int, grain: int = 8):
        if width < 1 or depth < 1 or grain % 8 or grain < 8 or width % grain:
            raise ValueError(
                f"Spram: grain {grain} must be a multiple of 8 and divide width {width}; "
                f"depth {depth} >= 1"
            )
        self.width, self.depth, self.grain = width, depth, grain
        self.address_bits = bits_for(depth)
        super().__init__(
            {
                "w_en": In(width // grain),
                "w_addr": In(self.address_bits),
                "w_data": In(width),
                "r_addr": In(self.address_bits),
                "r_data": Out(width),
            }
        )

    w_en: Signal
    w_addr: Signal
    w_data: Signal
    r_addr: Signal
    r_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        match platform:
            case CellLibrary():
                m.submodules.cell = Instance(
                    "weft_spram",
                    p_WIDTH=self.width,
                    p_DEPTH=self.depth,
                    p_GRAIN=self.grain,
                    p_ADDR_BITS=self.address_bits,
                    i_clk=ClockSignal(),
                    i_w_en=self.w_en,
                    i_w_addr=self.w_addr,
                    i_w_data=self.w_data,
                    i_r_addr=self.r_addr,
                    o_r_data=self.r_data,
                )
            case _:
                m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
                write = memory.write_port(granularity=self.grain)
                read = memory.read_port(domain="sync")
                address = Mux(self.w_en.any(), self.w_addr, self.r_addr)
                m.d.comb += [
                    write.en.eq(self.w_en),
                    write.addr.eq(address),
                    write.data.eq(self.w_data),
                    read.en.eq(~self.w_en.any()),
                    read.addr.eq(address),
                ]
                m.d.sync += self.r_data.eq(read.data)
        return m
