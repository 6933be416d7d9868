"""The engine: memories, address generators, array, vector unit and output paths put together."""

from typing import Any

from amaranth.hdl import Array, DomainRenamer, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft.hw.array import SystolicArray
from weft.hw.control import Control
from weft.hw.delay import delay
from weft.hw.host import IMAGE_WRITE, Host, Image
from weft.hw.image_port import route_images
from weft.hw.output import OutputPath
from weft.hw.params import DATA, EngineParams, Unit
from weft.hw.ram import Ram
from weft.hw.sequencer import Sequencer
from weft.hw.vector import VectorUnit


def engine_ports(params: EngineParams) -> dict[str, Any]:
    """The members of an engine."""
    word = 8 * params.lanes
    return {
        "image_valid": In(1),
        "image": In(IMAGE_WRITE),
        "i": In(stream.Signature(word)),
        "o": Out(stream.Signature(word)),
        "start_valid": In(1),
        "start_ready": Out(1),
        "busy": Out(1),
        "cycles": Out(32),
    }


class Engine(wiring.Component):
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

    def __init__(
        self,
        params: EngineParams,
        registers: tuple[int, int, int, int] = (0, 1, 0, 1),
        image_dir: str = "",
    ):
        self.params, self.registers, self.image_dir = params, registers, image_dir
        super().__init__(engine_ports(params))

    image_valid: Signal
    image: data.View
    i: stream.Interface
    o: stream.Interface
    start_valid: Signal
    start_ready: Signal
    busy: Signal
    cycles: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, folder = self.params, self.image_dir
        m.submodules.host = host = Host(p, self.registers)
        m.submodules.control = control = Control(p, folder)
        array, vector = SystolicArray(p, folder), VectorUnit(p, folder)
        m.submodules.array = DomainRenamer(DATA)(array)
        m.submodules.vector = DomainRenamer(DATA)(vector)
        banks = [Ram(width=8 * p.lanes, depth=p.act_words[b], grain=8) for b in (0, 1)]
        m.submodules.acts_0, m.submodules.acts_1 = banks
        connect(m, flipped(self.i), host.i)
        connect(m, host.o, flipped(self.o))
        m.d.comb += [
            host.start_valid.eq(self.start_valid),
            self.start_ready.eq(host.start_ready),
            control.go.eq(host.go),
            host.busy.eq(control.busy),
            self.busy.eq(control.busy),
            self.cycles.eq(host.cycles),
            vector.op.eq(control.vector_back.vector_op),
            vector.rolling.eq(control.vector_back.rolling),
        ]
        sequencers, outputs = {}, {}
        for unit, datapath in ((Unit.ARRAY, array), (Unit.VECTOR, vector)):
            sequencers[unit] = self._sequencer(m, unit, control, datapath, banks)
            outputs[unit] = self._output(m, unit, control, datapath, sequencers[unit])
        m.d.comb += control.array_issued.eq(sequencers[Unit.ARRAY].last)
        self._banks(m, host, control, sequencers, outputs, banks)
        params = {Image.ARRAY_PARAM: outputs[Unit.ARRAY], Image.VECTOR_PARAM: outputs[Unit.VECTOR]}
        route_images(m, p, self.image_valid, self.image, host, control, array, vector, params)
        return m

    def _sequencer(self, m: Module, unit: Unit, control: Any, datapath: Any, banks: list) -> Any:
        """A unit's address generator, and the activations and weight address that it feeds."""
        p, name = self.params, unit.name.lower()
        other = Unit(1 - unit.value).name.lower()
        sequencer = Sequencer(p, unit)
        m.submodules[f"{name}_sequencer"] = sequencer
        front = getattr(control, f"{name}_front")
        inside = delay(m, sequencer.inside, 1, f"{name}_inside")
        words = Array(bank.r_data for bank in banks)
        word = Signal(8 * p.lanes, name=f"{name}_word")
        lanes = Signal(data.ArrayLayout(signed(8), p.lanes), name=f"{name}_lanes")
        m.d.comb += [
            sequencer.start.eq(getattr(control, f"{name}_start")),
            sequencer.step.eq(front),
            sequencer.other_rows.eq(getattr(control, f"{other}_rows")),
            sequencer.other_done.eq(getattr(control, f"{other}_idle")),
            word.eq(words[front.read_bank]),
            datapath.lanes.eq(lanes),
            datapath.address.eq(delay(m, sequencer.weight_address, 1, f"{name}_weight_address")),
            datapath.first.eq(sequencer.flags.first),
        ]
        if unit is Unit.VECTOR:
            m.d.comb += [
                datapath.active.eq(sequencer.flags.active),
                datapath.fresh.eq(sequencer.flags.fresh),
            ]
        for k in range(p.lanes):
            act = Mux(inside, word.word_select(k, 8), front.pad_value)
            m.d[DATA] += lanes[k].eq(act.as_signed())
        return sequencer

    def _output(
        self, m: Module, unit: Unit, control: Any, datapath: Any, sequencer: Sequencer
    ) -> OutputPath:
        name = unit.name.lower()
        init_file = f"{self.image_dir}/{name}_params.hex" if self.image_dir else ""
        output = OutputPath(self.params, unit, init_file)
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
        self, m: Module, host: Any, control: Any, sequencers: dict, outputs: dict, banks: list
    ) -> None:
        """Each bank's ports: the vector unit's while it has a step there, else the array's."""
        p = self.params
        array, vector = outputs[Unit.ARRAY], outputs[Unit.VECTOR]
        running = control.vector_running
        address = p.act_address_bits
        read_bank = delay(m, host.read_address[address], 2, "host_bank")
        m.d.comb += host.read_data.eq(Array(bank.r_data for bank in banks)[read_bank])
        for b, bank in enumerate(banks):
            vector_reads = running & (control.vector_front.read_bank == b)
            vector_writes = vector.active & (control.vector_back.write_bank == b)
            array_enable = Mux(control.array_back.write_bank == b, array.enable, 0)
            with m.If(control.busy):
                m.d.comb += [
                    bank.r_addr.eq(
                        Mux(
                            vector_reads,
                            sequencers[Unit.VECTOR].act_address,
                            sequencers[Unit.ARRAY].act_address,
                        )
                    ),
                    bank.w_en.eq(Mux(vector_writes, vector.enable, array_enable)),
                    bank.w_addr.eq(Mux(vector_writes, vector.word, array.word)),
                    bank.w_data.eq(Mux(vector_writes, vector.codes, array.codes)),
                ]
            with m.Else():
                chosen = host.write_en & (host.write_address[address] == b)
                m.d.comb += [
                    bank.r_addr.eq(host.read_address),
                    bank.w_en.eq(chosen.replicate(p.lanes)),
                    bank.w_addr.eq(host.write_address),
                    bank.w_data.eq(host.write_data),
                ]
