"""An output path: drain, requantisation lanes, writer, and the parameters of its channels."""

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.domain import DATA
from weft.hw.drain import Drain
from weft.hw.own import own
from weft.hw.ram import Ram
from weft.hw.requantise import RequantiseLane
from weft.hw.sequencer import FLAGS
from weft.hw.serial_requantise import SerialRequantiseLane
from weft.hw.step import back_layout
from weft.hw.writer import WRITER_LATENCY, Writer
from weft.machine.engine import Engine, Unit
from weft.machine.images import CHUNK_BITS, PARAM_CHUNKS, param_word
from weft.machine.timing import LOAD_DELAY, requant_latency, unit_latency


class OutputPath(wiring.Component):
    """From a unit's sums to int8 codes in activation memory.

    Group g of a tile, from 0 on, is written ``unit_latency + 1 + requant_latency + g *
    requant_interval`` cycles after the issue of the tile's last tap.

    Members
    -------
    flags: of the tap that the unit's sequencer issues. sums: the unit's, valid ``unit_latency``
    cycles after a tile's last tap. step: changes only after ``done`` and at least ``LOAD_DELAY``
    cycles before the sums of the next step's first tile. word, enable, codes: the write,
    codes on every group of the word. active: a group is due, written or not. row_done, done: with
    the last write of a row, of the step. load_*: writes chunks of the parameter memories.

    Lane r has a parameter memory, with the hex image ``<images>_<r>.hex`` (none for "").
    """

    def __init__(self, params: Engine, unit: Unit, images: str = ""):
        self.params, self.unit, self.images = params, unit, images
        self.param_chunks = param_word(params, unit).chunks
        super().__init__(
            {
                "flags": In(FLAGS),
                "sums": In(
                    data.ArrayLayout(signed(params.accumulator_bits), params.drain_lanes(unit))
                ),
                "step": In(back_layout(params)),
                "word": Out(params.act_address_bits),
                "enable": Out(params.lanes),
                "active": Out(1),
                "codes": Out(8 * params.lanes),
                "row_done": Out(1),
                "done": Out(1),
                "load_en": In(self.param_chunks),
                "load_address": In(params.param_address_bits),
                "load_data": In(CHUNK_BITS),
            }
        )

    flags: data.View
    sums: data.View
    step: data.View
    word: Signal
    enable: Signal
    active: Signal
    codes: Signal
    row_done: Signal
    done: Signal
    load_en: Signal
    load_address: Signal
    load_data: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, unit, step = self.params, self.unit, self.step
        m.submodules.drain = drain = Drain(p, unit)
        m.submodules.writer = writer = Writer(p, unit)
        tile = Signal(FLAGS)
        m.d.comb += [tile.eq(self.flags), tile.active.eq(self.flags.emit)]
        m.d.comb += [
            drain.tile.eq(self._due(m, tile)),
            drain.step.eq(step),
            drain.sums.eq(self.sums),
        ]
        codes = [self._lane(m, r, drain) for r in range(p.requant(unit))]
        m.d.comb += [
            writer.group.eq(delay(m, drain.group, requant_latency(p) - WRITER_LATENCY, "group")),
            writer.step.eq(step),
            self.word.eq(writer.word),
            self.enable.eq(writer.enable),
            self.active.eq(writer.active),
            self.codes.eq(Cat(codes).replicate(p.groups_per_word(unit))),
            self.row_done.eq(writer.row_done),
            self.done.eq(writer.done),
        ]
        return m

    def _due(self, m: Module, tile: data.View) -> data.View | Value:
        """The flags when the sums are due; where units take turns, the step says of which."""
        p = self.params
        if p.served(self.unit) == (self.unit,):
            return delay(m, tile, unit_latency(p, self.unit) - LOAD_DELAY, "tile")
        vector, array = unit_latency(p, Unit.VECTOR), unit_latency(p, Unit.ARRAY)
        early = delay(m, tile, vector - LOAD_DELAY, "tile")
        late = delay(m, early, array - vector, "late_tile")
        return Mux(self.step.unit == Unit.VECTOR.index, early.as_value(), late.as_value())

    def _params(self, m: Module, r: int, address: Signal) -> Signal:
        """The parameters of lane r: in a memory of its own, with registers on both sides, since
        lanes lie all over the chip."""
        ram = Ram(
            width=PARAM_CHUNKS * CHUNK_BITS,
            depth=self.params.memories.param[self.unit.index],
            grain=CHUNK_BITS,
            init_file=f"{self.images}_{r}.hex" if self.images else "",
        )
        m.submodules[f"params_{r}"] = ram
        m.d.comb += [
            ram.r_addr.eq(own(m, address, f"param_address_{r}")),
            ram.w_en.eq(self.load_en.word_select(r, PARAM_CHUNKS)),
            ram.w_addr.eq(self.load_address),
            ram.w_data.eq(self.load_data.replicate(PARAM_CHUNKS)),
        ]
        return delay(m, ram.r_data, 1, f"param_{r}")

    def _lane(self, m: Module, r: int, drain: Drain) -> Signal:
        step = self.step
        # The array has no pairs and no averages.
        pairs = Unit.VECTOR in self.params.served(self.unit)
        if self.params.requant_interval == 1:
            lane = RequantiseLane(self.params, pairs=pairs)
        else:
            lane = SerialRequantiseLane(self.params)
            m.d.comb += lane.start.eq(drain.group.valid)
        m.submodules[f"requantise_{r}"] = DomainRenamer(DATA)(lane)
        m.d.comb += [
            lane.acc.eq(drain.group_sums[r]),
            lane.param.eq(self._params(m, r, drain.param_address)),
            lane.zero_point.eq(step.zero_point.as_signed()),
            lane.low.eq(step.low.as_signed()),
            lane.high.eq(step.high.as_signed()),
        ]
        if pairs:
            m.d.comb += [
                lane.pair.eq(step.pair),
                lane.odd.eq(step.odd),
                lane.multiplier.eq(step.multiplier),
            ]
        return lane.code
