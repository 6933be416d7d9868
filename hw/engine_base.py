"""What both engines share: their members, the host's side, the datapaths, the banks of memory."""

from typing import Any

from amaranth.hdl import Array, DomainRenamer, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft.hw.array import SystolicArray
from weft.hw.bank import Bank
from weft.hw.delay import delay
from weft.hw.domain import DATA
from weft.hw.host import IMAGE_WRITE, Host
from weft.hw.own import own
from weft.hw.ram import Ram
from weft.hw.rows.styles import ROW_PRODUCTS, RowProducts
from weft.hw.spram import Spram
from weft.hw.vector import VectorUnit
from weft.machine.engine import Engine
from weft.machine.timing import BANK_LATENCY, ROW_LATENCY


class EngineBase(wiring.Component):
    """An engine's constructor and members, which ``OverlappedEngine`` describes.

    products: the hardware of ``params.rows``; by default as the style of its multipliers says.
    """

    def __init__(
        self,
        params: Engine,
        registers: tuple[int, int, int, int] = (0, 1, 0, 1),
        image_dir: str = "",
        products: RowProducts | None = None,
    ):
        self.params, self.registers, self.image_dir = params, registers, image_dir
        self.products = products or ROW_PRODUCTS[params.styles.array]
        word = 8 * params.lanes
        super().__init__(
            {
                "image_valid": In(1),
                "image": In(IMAGE_WRITE),
                "i": In(stream.Signature(word)),
                "o": Out(stream.Signature(word)),
                "start_valid": In(1),
                "start_ready": Out(1),
                "busy": Out(1),
                "cycles": Out(32),
            }
        )

    image_valid: Signal
    image: data.View
    i: stream.Interface
    o: stream.Interface
    start_valid: Signal
    start_ready: Signal
    busy: Signal
    cycles: Signal

    def elaborate(self, platform: object) -> Module:
        raise NotImplementedError

    def add_host(self, m: Module, control: Any) -> Host:
        """The host's side of a controller."""
        m.submodules.host = host = Host(self.params, self.registers)
        connect(m, flipped(self.i), host.i)
        connect(m, host.o, flipped(self.o))
        busy = host.go | control.busy
        m.d.comb += [
            host.start_valid.eq(self.start_valid),
            self.start_ready.eq(host.start_ready),
            control.go.eq(host.go),
            host.busy.eq(busy),
            self.busy.eq(busy),
            self.cycles.eq(host.cycles),
        ]
        return host

    def add_units(self, m: Module) -> tuple[SystolicArray, VectorUnit]:
        """The two datapaths."""
        array = SystolicArray(self.params, self.products, self.image_dir)
        vector = VectorUnit(self.params, self.image_dir)
        m.submodules.array = DomainRenamer(DATA)(array)
        m.submodules.vector = DomainRenamer(DATA)(vector)
        return array, vector

    def products_of(self, vector: VectorUnit, back: data.View) -> list[Any]:
        """What a step of products tells the vector unit."""
        return [
            vector.product.eq(back.product),
            vector.zero_first.eq(back.zero_first),
            vector.zero_second.eq(back.zero_second),
        ]

    def read_lanes(
        self, m: Module, name: str, banks: list[Bank], sequencer: Any, front: data.View
    ) -> data.View:
        """The K activations of a tap: the word at its address, or padding.

        What is constant during a step, and whether a tap is padding, each lane has for itself.
        """
        n_lanes = self.params.lanes
        inside = delay(m, sequencer.inside, ROW_LATENCY - 3, f"{name}_inside")
        lanes = Signal(data.ArrayLayout(signed(8), n_lanes), name=f"{name}_lanes")
        for k in range(n_lanes):
            bank, pad, here = (
                own(m, value, f"{name}_{what}_{k}")
                for value, what in (
                    (front.read_bank, "bank"),
                    (front.pad_value, "pad"),
                    (inside, "inside"),
                )
            )
            word = Signal(signed(8), name=f"{name}_word_{k}")
            words = [b.r_data.word_select(k, 8) for b in banks]
            m.d[DATA] += [
                word.eq(Mux(bank, words[1], words[0])),
                lanes[k].eq(Mux(here, word, pad.as_signed())),
            ]
        return lanes

    def add_banks(
        self, m: Module, host: Host, busy: Signal, memory: type[Ram] | type[Spram] = Ram
    ) -> list[Bank]:
        """The banks of activation memory, the host's while the engine is not busy."""
        p = self.params
        banks = [Bank(p, index, memory) for index in (0, 1)]
        m.submodules.acts_0, m.submodules.acts_1 = banks
        top = p.act_address_bits
        read_bank = delay(m, host.read_address[top], BANK_LATENCY, "host_bank")
        m.d.comb += host.read_data.eq(Array(bank.r_data for bank in banks)[read_bank])
        for b, bank in enumerate(banks):
            chosen = host.write_en & (host.write_address[top] == b)
            with m.If(~busy):
                m.d.comb += [
                    bank.r_addr.eq(host.read_address),
                    bank.w_en.eq(chosen.replicate(p.lanes)),
                    bank.w_addr.eq(host.write_address),
                    bank.w_data.eq(host.write_data),
                ]
        return banks
