"""The compact engine: array and vector unit take turns at one sequencer and one output path."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data

from weft.hw.array import SystolicArray
from weft.hw.compact_control import CompactControl
from weft.hw.delay import delay
from weft.hw.engine_base import EngineBase
from weft.hw.host import IMAGE_WRITE
from weft.hw.image_port import route_images
from weft.hw.loader import Loader
from weft.hw.output import OutputPath
from weft.hw.ram import Ram
from weft.hw.sequencer import Sequencer
from weft.hw.spram import Spram
from weft.hw.vector import VectorUnit
from weft.machine.engine import Unit
from weft.machine.memory_map import STORE
from weft.machine.plan import Content
from weft.machine.timing import weight_issue


class CompactEngine(EngineBase):
    """Runs a program one step at a time; for small devices.

    Both units walk their loops in the array's order; the output path takes the sums of the unit
    that the step names.

    With a store, steps of the loader copy the images that the steps after them need into the
    memories (``params.has_store``). With single-ported activation memories, a step reads one bank
    and writes the other; the program sees to it.

    Parameters and members: those of ``OverlappedEngine``.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, folder = self.params, self.image_dir
        m.submodules.control = control = CompactControl(p, folder)
        host = self.add_host(m, control)
        array, vector = self.add_units(m)
        banks = self.add_banks(m, host, control.busy, Spram if p.alternates else Ram)
        m.submodules.sequencer = sequencer = Sequencer(p, Unit.ARRAY)
        images = f"{folder}/array_params" if folder else ""
        m.submodules.output = output = OutputPath(p, Unit.ARRAY, images)
        m.d.comb += [
            sequencer.start.eq(control.start),
            sequencer.step.eq(control.front),
        ]
        self._datapath(m, control, sequencer, array, vector, output, banks)
        self._banks(m, control, sequencer, output, banks)
        valid, image = Signal(), Signal(IMAGE_WRITE)
        m.d.comb += [valid.eq(self.image_valid), image.eq(self.image)]
        params = {Content.ARRAY_PARAMS.value: output}
        chosen = route_images(m, p, valid, image, host, control, array, vector, params)
        m.d.comb += control.done.eq(output.done)
        if p.has_store:
            self._loader(m, control, output, valid, image, chosen[STORE])
        return m

    def _datapath(
        self,
        m: Module,
        control: Any,
        sequencer: Sequencer,
        array: SystolicArray,
        vector: VectorUnit,
        output: OutputPath,
        banks: list,
    ) -> None:
        """Activations to both units, and the sums of the one at work to the output path."""
        p = self.params
        back, flags = control.back, sequencer.flags
        lanes = self.read_lanes(m, "step", banks, sequencer, control.front)
        weight_address = delay(m, sequencer.weight_address, weight_issue(p), "weight_address")
        for unit in (array, vector):
            m.d.comb += [
                unit.lanes.eq(lanes),
                unit.address.eq(weight_address),
                unit.first.eq(flags.first),
            ]
        m.d.comb += [
            vector.op.eq(back.vector_op),
            vector.active.eq(flags.active),
            vector.fresh.eq(1),
            output.flags.eq(flags),
            output.step.eq(back),
        ]
        if p.products:
            m.d.comb += self.products_of(vector, back)
        on_vector = back.unit == Unit.VECTOR.index
        for i in range(len(output.sums)):
            sums = [unit.sums[i] for unit in (array, vector) if i < len(unit.sums)]
            m.d.comb += output.sums[i].eq(Mux(on_vector, sums[-1], sums[0]))

    def _banks(
        self, m: Module, control: Any, sequencer: Sequencer, output: OutputPath, banks: list
    ) -> None:
        for b, bank in enumerate(banks):
            with m.If(control.busy):
                m.d.comb += [
                    bank.r_addr.eq(sequencer.act_address),
                    bank.w_en.eq(Mux(control.back.write_bank == b, output.enable, 0)),
                    bank.w_addr.eq(output.word),
                    bank.w_data.eq(output.codes),
                ]

    def _loader(
        self,
        m: Module,
        control: Any,
        output: OutputPath,
        valid: Signal,
        image: data.View,
        to_store: Signal,
    ) -> None:
        """Image writes come from the host while idle, and from the loader during a program."""
        m.submodules.loader = loader = Loader(self.params)
        m.d.comb += [
            loader.start.eq(control.load_start),
            loader.step.eq(control.front.as_value()),
            loader.load_en.eq(to_store & ~control.busy),
            loader.load_address.eq(self.image.address),
            loader.load_data.eq(self.image.data),
            control.done.eq(output.done | loader.done),
        ]
        with m.If(control.busy):
            m.d.comb += [valid.eq(loader.valid), image.eq(loader.image)]
