"""The engine: memories, address generator, array, vector unit and output path put together."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft.hw.array import SystolicArray
from weft.hw.control import Control
from weft.hw.drain import GROUP, LOAD_DELAY, Drain
from weft.hw.host import IMAGE_WRITE, Host, Image
from weft.hw.params import CHUNK_BITS, EngineParams
from weft.hw.ram import Ram
from weft.hw.requantise import RequantiseLane
from weft.hw.sequencer import FLAGS, Sequencer
from weft.hw.step import Unit, param_layout
from weft.hw.vector import VectorUnit
from weft.hw.writer import Writer


class Engine(wiring.Component):
    """Runs a program of steps over activation memory.

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
        m = Module()
        p = self.params
        m.submodules.host = host = Host(p, self.registers)
        m.submodules.control = control = Control(p, self.image_dir)
        m.submodules.sequencer = sequencer = Sequencer(p)
        m.submodules.array = array = SystolicArray(p, self.image_dir)
        m.submodules.vector = vector = VectorUnit(p, self.image_dir)
        m.submodules.drain = drain = Drain(p)
        m.submodules.writer = writer = Writer(p)
        m.submodules.acts = acts = Ram(width=8 * p.lanes, depth=p.act_words, grain=8)

        connect(m, flipped(self.i), host.i)
        connect(m, host.o, flipped(self.o))
        m.d.comb += [
            host.start_valid.eq(self.start_valid),
            self.start_ready.eq(host.start_ready),
            control.go.eq(host.go),
            host.busy.eq(control.busy),
            self.busy.eq(control.busy),
            self.cycles.eq(host.cycles),
            sequencer.start.eq(control.start),
            sequencer.step.eq(control.front),
            control.issued.eq(sequencer.flags.last_tile),
            control.done.eq(writer.done),
            drain.step.eq(control.back),
            writer.step.eq(control.back),
        ]
        lanes = self._read(m, host, control, sequencer, acts)
        self._compute(m, control, sequencer, array, vector, drain, lanes)
        self._write(m, host, control, drain, writer, acts)
        self._load(m, host, control, array, vector)
        return m

    def _read(self, m: Module, host, control, sequencer, acts) -> data.View:
        """Activations of the issued tap, or its padding: valid ``ROW_LATENCY`` cycles later."""
        p = self.params
        address = Mux(control.busy, sequencer.act_address, host.read_address)
        m.d.comb += [acts.r_addr.eq(address), host.read_data.eq(acts.r_data)]
        inside = _delay(m, sequencer.inside, 1, "inside")
        pad = control.front.pad_value
        lanes = Signal(data.ArrayLayout(signed(8), p.lanes))
        for k in range(p.lanes):
            word = acts.r_data.word_select(k, 8)
            m.d.sync += lanes[k].eq(Mux(inside, word, pad).as_signed())
        return lanes

    def _compute(self, m: Module, control, sequencer, array, vector, drain, lanes) -> None:
        p = self.params
        flags = sequencer.flags
        unit = control.back.unit
        address = _delay(m, sequencer.weight_address, 1, "weight_address")
        m.d.comb += [
            array.lanes.eq(lanes),
            vector.lanes.eq(lanes),
            array.address.eq(address),
            vector.address.eq(address),
            array.first.eq(flags.first),
            vector.first.eq(flags.first),
            vector.op.eq(control.back.vector_op),
            drain.unit.eq(unit),
            drain.array_sums.eq(array.sums),
            drain.vector_sums.eq(vector.sums),
        ]
        tile = Signal(FLAGS)
        m.d.comb += [tile.eq(flags), tile.active.eq(flags.active & flags.last)]
        from_vector = _delay(m, tile, p.vector_latency - LOAD_DELAY, "vector_tile")
        from_array = _delay(m, tile, p.array_latency - LOAD_DELAY, "array_tile")
        m.d.comb += drain.tile.eq(Mux(unit == Unit.ARRAY, from_array, from_vector))

    def _write(self, m: Module, host, control, drain, writer, acts) -> None:
        p, back = self.params, control.back
        m.submodules.params = params = Ram(
            width=p.param_chunks * CHUNK_BITS,
            depth=p.param_words,
            grain=CHUNK_BITS,
            init_file=f"{self.image_dir}/params.hex" if self.image_dir else "",
        )
        self._params = params
        m.d.comb += params.r_addr.eq(drain.param_address)
        codes = []
        for r in range(p.requant_lanes):
            lane = RequantiseLane(p)
            m.submodules[f"requantise_{r}"] = lane
            m.d.comb += [
                lane.acc.eq(drain.sums[r]),
                lane.param.eq(params.r_data.word_select(r, param_layout().size)),
                lane.pair.eq(back.pair),
                lane.odd.eq(back.odd),
                lane.multiplier.eq(back.multiplier),
                lane.zero_point.eq(back.zero_point.as_signed()),
                lane.low.eq(back.low.as_signed()),
                lane.high.eq(back.high.as_signed()),
            ]
            codes.append(lane.code)
        group = _delay(m, drain.group, p.requant_latency - 1, "group")
        m.d.comb += writer.group.eq(group)
        with m.If(control.busy):
            m.d.comb += [
                acts.w_en.eq(writer.enable),
                acts.w_addr.eq(writer.word),
                acts.w_data.eq(Cat(codes).replicate(p.groups_per_word)),
            ]
        with m.Else():
            m.d.comb += [
                acts.w_en.eq(host.write_en.replicate(p.lanes)),
                acts.w_addr.eq(host.write_address),
                acts.w_data.eq(host.write_data),
            ]

    def _load(self, m: Module, host, control, array, vector) -> None:
        """Image writes: memory select, then word, row (array only) and chunk, each of 2**n."""
        p = self.params
        address, chunk = self.image.address, self.image.data
        select = address[-3:]
        chosen = {image: Signal(name=f"to_{image.name.lower()}") for image in Image}
        for image, signal in chosen.items():
            m.d.comb += signal.eq(self.image_valid & (select == image.value))

        param_word, param_chunk = _split(address, p.param_chunks)
        vector_word, vector_chunk = _split(address, p.vector_chunks)
        row_word, weight_chunk = _split(address, p.weight_chunks)
        weight_word, row = row_word[p.row_bits :], row_word[: p.row_bits]
        m.d.comb += [
            host.register_en.eq(chosen[Image.REGISTER]),
            host.register_index.eq(address[:2]),
            host.register_data.eq(chunk),
            control.load_en.eq(chosen[Image.PROGRAM]),
            control.load_address.eq(address),
            control.load_data.eq(chunk),
            self._params.w_en.eq(_one_hot(param_chunk, chosen[Image.PARAM], p.param_chunks)),
            self._params.w_addr.eq(param_word),
            self._params.w_data.eq(chunk.replicate(p.param_chunks)),
            vector.load_en.eq(_one_hot(vector_chunk, chosen[Image.VECTOR], p.vector_chunks)),
            vector.load_address.eq(vector_word),
            vector.load_data.eq(_spread(chunk, p.vector_chunks, len(vector.load_data))),
            array.load_en.eq(_one_hot(weight_chunk, chosen[Image.WEIGHT], p.weight_chunks)),
            array.load_row.eq(row),
            array.load_address.eq(weight_word),
            array.load_data.eq(_spread(chunk, p.weight_chunks, len(array.load_data))),
        ]


def _delay(m: Module, value, cycles: int, name: str):
    """The value some cycles later."""
    for stage in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{stage}")
        m.d.sync += later.eq(value)
        value = later
    return value


def _split(address, n_chunks: int):
    """Word and chunk index of an image address."""
    bits = (n_chunks - 1).bit_length()
    return address[bits:], address[:bits]


def _one_hot(index, enable, count: int):
    return Cat(enable & (index == i) if count > 1 else enable for i in range(count))


def _spread(chunk, n_chunks: int, width: int):
    """The used part of a chunk on every place of a memory word."""
    return chunk[: width // n_chunks].replicate(n_chunks)
