"""From the plan's engine to the hardware's parameters, and to portable Verilog."""

import contextlib
import gc
from collections.abc import Iterator

from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.engines.kinds import kind_of
from weft.errors import ConfigError
from weft.gen.verilog import verilog_of
from weft.hw.domain import DATA
from weft.hw.engine_base import EngineBase
from weft.machine.encode import registers
from weft.machine.images import CHUNK_BITS, IMAGE_ADDRESS_BITS
from weft.machine.plan import Plan

TOP = "weft_top"
IMAGE_DIR = "images"


class Top(wiring.Component):
    """The engine with plain-bit ports.

    Streams ``in_*`` and ``out_*`` carry words of K bytes, lane 0 lowest; ``image_*`` writes memory
    images while idle; ``cycles`` counts the current or last run. ``docs/architecture.md`` has the
    protocol.
    """

    def __init__(self, engine: EngineBase):
        self.engine = engine
        word = 8 * engine.params.lanes
        super().__init__(
            {
                "img_valid": In(1),
                "img_addr": In(IMAGE_ADDRESS_BITS),
                "img_data": In(CHUNK_BITS),
                "in_valid": In(1),
                "in_ready": Out(1),
                "in_data": In(word),
                "start_valid": In(1),
                "start_ready": Out(1),
                "busy": Out(1),
                "out_valid": Out(1),
                "out_ready": In(1),
                "out_data": Out(word),
                "cycles": Out(32),
            }
        )

    img_valid: Signal
    img_addr: Signal
    img_data: Signal
    in_valid: Signal
    in_ready: Signal
    in_data: Signal
    start_valid: Signal
    start_ready: Signal
    busy: Signal
    out_valid: Signal
    out_ready: Signal
    out_data: Signal
    cycles: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.domains += ClockDomain(DATA, reset_less=True)
        m.d.comb += [
            ClockSignal(DATA).eq(ClockSignal()),
            engine.image_valid.eq(self.img_valid),
            engine.image.address.eq(self.img_addr),
            engine.image.data.eq(self.img_data),
            engine.i.valid.eq(self.in_valid),
            engine.i.payload.eq(self.in_data),
            self.in_ready.eq(engine.i.ready),
            engine.start_valid.eq(self.start_valid),
            self.start_ready.eq(engine.start_ready),
            self.busy.eq(engine.busy),
            self.out_valid.eq(engine.o.valid),
            self.out_data.eq(engine.o.payload),
            engine.o.ready.eq(self.out_ready),
            self.cycles.eq(engine.cycles),
        ]
        return m


def verilog_text(plan: Plan, *, baked: bool = True) -> str:
    """Portable Verilog of the whole core; the leaf cells in ``hw/cells`` apart.

    baked: memories start with the plan's images (else the host writes them first).
    """
    if len(plan.engines) > 1:
        raise ConfigError(
            f"a design has one engine, and this plan has {len(plan.engines)}: it can be checked "
            "and its cycles predicted, but not built"
        )
    kind, images = kind_of(plan.engine), IMAGE_DIR if baked else ""
    component = kind.component(plan.engine, registers(plan), images)
    with _no_collection():
        return verilog_of(Top(component), TOP)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Amaranth makes millions of objects and keeps them: looking for garbage doubles its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
