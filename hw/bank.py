"""A bank of activation memory, with registers at its ports."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.domain import DATA
from weft.hw.ram import Ram
from weft.hw.spram import Spram
from weft.machine.engine import Engine


class Bank(wiring.Component):
    """Words of K activations, written lane by lane; data ``BANK_LATENCY`` cycles after the address.

    A bank is many memory blocks all over the chip, and its ports have several users: what comes out
    of their multiplexers goes to the blocks from registers, and what is read, to registers. Reads
    and writes keep their order.

    Parameters: ``index`` of the bank; ``memory``, ``Ram`` or ``Spram``. Members: those of ``Ram``.
    """

    def __init__(self, params: Engine, index: int, memory: type[Ram] | type[Spram] = Ram):
        self.memory = memory(width=8 * params.lanes, depth=params.memories.act[index], grain=8)
        super().__init__(
            {
                "w_en": In(params.lanes),
                "w_addr": In(self.memory.address_bits),
                "w_data": In(8 * params.lanes),
                "r_addr": In(self.memory.address_bits),
                "r_data": Out(8 * params.lanes),
            }
        )

    w_en: Signal
    w_addr: Signal
    w_data: Signal
    r_addr: Signal
    r_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = self.memory
        m.d.sync += memory.w_en.eq(self.w_en)
        m.d[DATA] += [
            memory.w_addr.eq(self.w_addr),
            memory.w_data.eq(self.w_data),
            memory.r_addr.eq(self.r_addr),
            self.r_data.eq(memory.r_data),
        ]
        return m
