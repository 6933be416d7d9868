"""The core for a system on chip: ``weft_top`` behind a Wishbone bus, as Verilog of its own."""

from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.gen import hardware
from weft.gen.verilog import verilog_of
from weft.hw.bus.params import BusParams
from weft.hw.bus.register_bank import RegisterBank
from weft.hw.bus.registers import ADDRESS_BITS, HASH_BYTES
from weft.hw.bus.wishbone import Wishbone
from weft.machine import timing
from weft.machine.plan import Plan

TOP = "weft_soc"


def bus_params(plan: Plan, manifest: dict[str, Any]) -> BusParams:
    """What the bus tells of a plan, and of its build's manifest."""
    return BusParams(
        lanes=plan.engine.lanes,
        n_in=plan.inputs.words,
        n_out=plan.outputs.words,
        image_limits=tuple(manifest["image_limits"]),
        predicted_cycles=timing.cycles(plan),
        plan_hash=bytes.fromhex(manifest["plan_hash"])[:HASH_BYTES],
    )


class SocTop(wiring.Component):
    """Bus, registers and an instance of ``weft_top``, with plain-bit ports.

    ``docs/integration.md`` describes the ports.
    """

    def __init__(self, params: BusParams):
        self.params = params
        word = 8 * params.lanes
        super().__init__(
            {
                "wb_cyc": In(1),
                "wb_stb": In(1),
                "wb_we": In(1),
                "wb_adr": In(ADDRESS_BITS),
                "wb_sel": In(4),
                "wb_dat_w": In(32),
                "wb_dat_r": Out(32),
                "wb_ack": Out(1),
                "wb_err": Out(1),
                "wb_stall": Out(1),
                "irq": Out(1),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tdata": In(word),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tdata": Out(word),
                "m_axis_tlast": Out(1),
            }
        )

    wb_cyc: Signal
    wb_stb: Signal
    wb_we: Signal
    wb_adr: Signal
    wb_sel: Signal
    wb_dat_w: Signal
    wb_dat_r: Signal
    wb_ack: Signal
    wb_err: Signal
    wb_stall: Signal
    irq: Signal
    s_axis_tvalid: Signal
    s_axis_tready: Signal
    s_axis_tdata: Signal
    m_axis_tvalid: Signal
    m_axis_tready: Signal
    m_axis_tdata: Signal
    m_axis_tlast: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.wishbone = wishbone = Wishbone()
        m.submodules.registers = bank = RegisterBank(self.params)
        wiring.connect(m, wishbone.registers, bank.bus)
        for name in ("cyc", "stb", "we", "adr", "sel", "dat_w"):
            m.d.comb += getattr(wishbone, name).eq(getattr(self, f"wb_{name}"))
        for name in ("dat_r", "ack", "err", "stall"):
            m.d.comb += getattr(self, f"wb_{name}").eq(getattr(wishbone, name))
        m.d.comb += [
            self.irq.eq(bank.irq),
            bank.i.valid.eq(self.s_axis_tvalid),
            bank.i.payload.eq(self.s_axis_tdata),
            self.s_axis_tready.eq(bank.i.ready),
            self.m_axis_tvalid.eq(bank.o.valid),
            self.m_axis_tdata.eq(bank.o.payload),
            self.m_axis_tlast.eq(bank.last),
            bank.o.ready.eq(self.m_axis_tready),
        ]
        m.submodules.core = core_instance(bank, ResetSignal() | bank.core_reset)
        return m


def core_instance(host: Any, reset: Any) -> Instance:
    """``weft_top`` at the ports of its host, see ``hw.core.core_ports``.

    Of a fixed network synthesis sees that nothing writes the images: their memories become
    read-only ones.
    """
    return Instance(
        hardware.TOP,
        i_clk=ClockSignal(),
        i_rst=reset,
        i_img_valid=Const(0, 1) if host.params.fixed else host.image_valid,
        i_img_addr=host.image.address,
        i_img_data=host.image.data,
        i_in_valid=host.words.valid,
        o_in_ready=host.words.ready,
        i_in_data=host.words.payload,
        i_start_valid=host.start_valid,
        o_start_ready=host.start_ready,
        o_busy=Signal(name="busy"),  # no pin is left open
        o_out_valid=host.results.valid,
        i_out_ready=host.results.ready,
        o_out_data=host.results.payload,
        o_cycles=host.cycles,
    )


def soc_verilog(params: BusParams) -> str:
    """Verilog of module ``weft_soc``; ``weft_top`` and the leaf cells apart."""
    return verilog_of(SocTop(params), TOP)
