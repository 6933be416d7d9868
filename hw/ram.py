"""A memory with one write and one read port."""

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary
from weft.machine.engine import bits_for


class Ram(wiring.Component):
    """``depth`` words of ``width`` bits; reads every cycle, data two cycles after the address.

    Parameters: ``grain`` bits share one write enable. ``init_file`` names the hex image that a
    synthesised or Verilated memory starts with ("" for none; the Python simulation starts with 0).
    Reading a word in the very cycle in which it is written gives an undefined value.

    Members: ``w_en`` (one bit per grain), ``w_addr``, ``w_data``; ``r_addr``, ``r_data``.
    """

    def __init__(self, *, width: int, depth: int, grain: int | None = None, init_file: str = ""):
        grain = width if grain is None else grain
        if width < 1 or depth < 1 or width % grain:
            raise ValueError(f"Ram: grain {grain} must divide width {width}; depth {depth} >= 1")
        self.width, self.depth, self.grain, self.init_file = width, depth, grain, init_file
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
                    "weft_ram",
                    p_WIDTH=self.width,
                    p_DEPTH=self.depth,
                    p_GRAIN=self.grain,
                    p_ADDR_BITS=self.address_bits,
                    p_INIT=self.init_file,
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
                m.d.comb += [
                    write.en.eq(self.w_en),
                    write.addr.eq(self.w_addr),
                    write.data.eq(self.w_data),
                    read.addr.eq(self.r_addr),
                ]
                m.d.sync += self.r_data.eq(read.data)
        return m
