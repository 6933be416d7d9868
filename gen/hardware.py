"""From the plan's engine to the hardware's parameters, and to portable Verilog."""

from amaranth.back import verilog
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from weft.hw.cells import CellLibrary
from weft.hw.engine import Engine as EngineComponent
from weft.hw.params import CHUNK_BITS, IMAGE_ADDRESS_BITS, EngineParams, Multiplier
from weft.mapper.plan import Engine, Plan

TOP = "weft_top"
IMAGE_DIR = "images"


def engine_params(engine: Engine) -> EngineParams:
    """The hardware parameters of a plan's engine."""
    memories = engine.memories
    return EngineParams(
        lanes=engine.lanes,
        columns=engine.columns,
        requant_lanes=engine.requant_lanes,
        accumulator_bits=engine.accumulator_bits,
        weight_bits=engine.weight_bits,
        act_words=memories.act,
        weight_words=memories.weight,
        vector_words=memories.vector,
        param_words=memories.param,
        program_words=memories.program,
        array_multiplier=Multiplier(engine.array_multiplier.value),
        vector_multiplier=Multiplier(engine.vector_multiplier.value),
        requant_multiplier=Multiplier(engine.requant_multiplier.value),
    )


def registers(plan: Plan) -> tuple[int, int, int, int]:
    """Initial values of the host registers: place and size of inputs and outputs, in words."""
    return (plan.inputs.base, plan.inputs.words, plan.outputs.base, plan.outputs.words)


class Top(wiring.Component):
    """The engine with plain-bit ports (ABC9 rejects the names that structured ports get).

    Streams ``in_*`` and ``out_*`` carry words of K bytes, lane 0 lowest; ``image_*`` writes memory
    images while idle; ``cycles`` counts the current or last run. ``docs/architecture.md`` has the
    protocol.
    """

    def __init__(self, engine: EngineComponent):
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
        m.d.comb += [
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
    """Portable Verilog of the whole core; leaf cells ``weft_ram`` and ``weft_mul`` apart.

    baked: memories start with the plan's images (else the host writes them first).
    """
    component = EngineComponent(
        engine_params(plan.engine), registers(plan), IMAGE_DIR if baked else ""
    )
    return verilog.convert(
        Top(component), name=TOP, platform=CellLibrary(), strip_internal_attrs=True, emit_src=False
    )
