"""The engine: memories, address generators, array, vector unit and output paths put together."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal

from weft.hw.control import Control
from weft.hw.delay import delay
from weft.hw.domain import DATA
from weft.hw.engine_base import EngineBase
from weft.hw.host import IMAGE_WRITE
from weft.hw.image_port import route_images
from weft.hw.output import OutputPath
from weft.hw.sequencer import Sequencer
from weft.machine.engine import Unit
from weft.machine.plan import Content
from weft.machine.timing import weight_issue


class OverlappedEngine(EngineBase):
    """Runs a program of steps over two banks of activation memory.

    The array and the vector unit may work at the same time; the program sees to it that they then
    read different banks and write different banks.

    Parameters: ``params``; ``registers``, the initial place of inputs and outputs (see ``Host``);
    ``image_dir``, where synthesised memories find their hex images ("" for none).

    Members
    -------
    image_valid, image: writes of memory images, only while not busy. i, o: input and output words
    of K bytes, lane 0 lowest. start_valid, start_ready: the start handshake. busy, cycles: state.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.control = control = Control(self.params, self.image_dir)
        host = self.add_host(m, control)
        array, vector = self.add_units(m)
        # A cycle late, which neither side sees, and from a register: it fans out.
        busy = delay(m, control.busy, 1, "bank_busy")
        banks = self.add_banks(m, host, busy)
        m.d.comb += [
            vector.op.eq(control.vector_back.vector_op),
            vector.rolling.eq(control.vector_back.rolling),
        ]
        if self.params.products:
            m.d.comb += self.products_of(vector, control.vector_back)
        sequencers, outputs = {}, {}
        for unit, datapath in ((Unit.ARRAY, array), (Unit.VECTOR, vector)):
            sequencers[unit] = self._sequencer(m, unit, control, datapath, banks)
            outputs[unit] = self._output(m, unit, control, datapath, sequencers[unit])
        m.d.comb += control.array_issued.eq(sequencers[Unit.ARRAY].last)
        self._banks(m, control, sequencers, outputs, banks, busy)
        params = {
            Content.ARRAY_PARAMS.value: outputs[Unit.ARRAY],
            Content.VECTOR_PARAMS.value: outputs[Unit.VECTOR],
        }
        # The port fans out to all memories: from registers.
        valid = delay(m, self.image_valid, 1, "image_valid")
        image = Signal(IMAGE_WRITE, name="image_write")
        m.d[DATA] += image.eq(self.image)
        route_images(m, self.params, valid, image, host, control, array, vector, params)
        return m

    def _sequencer(self, m: Module, unit: Unit, control: Any, datapath: Any, banks: list) -> Any:
        """A unit's address generator, and the activations and weight address that it feeds."""
        p, name = self.params, unit.name.lower()
        other = unit.other.name.lower()
        sequencer = Sequencer(p, unit)
        m.submodules[f"{name}_sequencer"] = sequencer
        front = getattr(control, f"{name}_front")
        m.d.comb += [
            sequencer.start.eq(getattr(control, f"{name}_start")),
            sequencer.step.eq(front),
            sequencer.other_rows.eq(getattr(control, f"{other}_rows")),
            sequencer.other_done.eq(getattr(control, f"{other}_idle")),
            datapath.lanes.eq(self.read_lanes(m, name, banks, sequencer, front)),
            datapath.address.eq(
                delay(m, sequencer.weight_address, weight_issue(p), f"{name}_weight_address")
            ),
            datapath.first.eq(sequencer.flags.first),
        ]
        if unit is Unit.VECTOR:
            m.d.comb += [
                datapath.active.eq(sequencer.flags.active),
                datapath.fresh.eq(sequencer.flags.fresh),
            ]
        return sequencer

    def _output(
        self, m: Module, unit: Unit, control: Any, datapath: Any, sequencer: Sequencer
    ) -> OutputPath:
        name = unit.name.lower()
        images = f"{self.image_dir}/{name}_params" if self.image_dir else ""
        output = OutputPath(self.params, unit, images)
        m.submodules[f"{name}_output"] = output
        m.d.comb += [
            output.flags.eq(sequencer.flags),
            output.sums.eq(datapath.sums),
            output.step.eq(getattr(control, f"{name}_back")),
            getattr(control, f"{name}_row_done").eq(output.row_done),
            getattr(control, f"{name}_done").eq(output.done),
        ]
        return output

    def _banks(
        self,
        m: Module,
        control: Any,
        sequencers: dict,
        outputs: dict,
        banks: list,
        busy: Signal,
    ) -> None:
        """A busy bank's ports: the vector unit's while it has a step there, else the array's."""
        array, vector = outputs[Unit.ARRAY], outputs[Unit.VECTOR]
        array_reads = sequencers[Unit.ARRAY].act_address
        vector_reads = sequencers[Unit.VECTOR].act_address
        for b, bank in enumerate(banks):
            reads = control.vector_running & (control.vector_front.read_bank == b)
            writes = vector.active & (control.vector_back.write_bank == b)
            array_enable = Mux(control.array_back.write_bank == b, array.enable, 0)
            with m.If(busy):
                m.d.comb += [
                    bank.r_addr.eq(Mux(reads, vector_reads, array_reads)),
                    bank.w_en.eq(Mux(writes, vector.enable, array_enable)),
                    bank.w_addr.eq(Mux(writes, vector.word, array.word)),
                    bank.w_data.eq(Mux(writes, vector.codes, array.codes)),
                ]
