"""The registers behind a bus, and the core behind them."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft.hw.bus.image_writer import ImageWriter
from weft.hw.bus.params import AccessInterface, AccessPort, BusParams
from weft.hw.bus.registers import BY_NAME, MAGIC, MAP_VERSION, REGISTERS
from weft.hw.bus.runner import Runner
from weft.hw.core import core_ports
from weft.hw.progress import State


class RegisterBank(wiring.Component):
    """Gives a bus the core's commands, counters, images and, where asked to, words.

    What is refused changes nothing but ``ERRORS``. Every access takes one cycle; ``OUTPUT_DATA`` is
    held until the core offers the word, a few cycles at most.

    Parameters: ``params``.

    Members
    -------
    bus: accesses.

    irq: high while an enabled bit of IRQ_PENDING is set.

    i, o: the streams of input and output words, unless they go over the bus.

    last: with ``o``, the inference's last word.

    The core's ports, see ``core_ports``.
    """

    def __init__(self, params: BusParams):
        self.params = params
        word = stream.Signature(8 * params.lanes)
        super().__init__(
            {
                "bus": In(AccessPort),
                "i": In(word),
                "o": Out(word),
                "last": Out(1),
                "irq": Out(1),
                **core_ports(params.lanes),
            }
        )

    bus: AccessInterface
    i: stream.Interface
    o: stream.Interface
    last: Signal
    irq: Signal
    image_valid: Signal
    image: data.View
    words: stream.Interface
    start_valid: Signal
    start_ready: Signal
    results: stream.Interface
    cycles: Signal
    core_reset: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        m.submodules.runner = runner = Runner(self.params)
        m.submodules.images = images = ImageWriter(self.params)
        mode, errors, enable, pending = map(_bits, ("MODE", "ERRORS", "IRQ_ENABLE", "IRQ_PENDING"))
        chosen = {r.name: Signal(name=f"is_{r.name.lower()}") for r in REGISTERS}
        m.d.comb += [chosen[r.name].eq(bus.address[2:] == r.offset // 4) for r in REGISTERS]
        wrong = self._refusals(m, chosen, runner, images.inside)
        take, write = Signal(), Signal()
        m.d.comb += [
            bus.refused.eq(Cat(wrong.values()).any()),
            take.eq(bus.request & ~bus.hold),
            write.eq(take & bus.write & ~bus.refused),
        ]
        writes = {name: write & signal for name, signal in chosen.items()}

        for name, signals in (("MODE", mode), ("IRQ_ENABLE", enable)):
            with m.If(writes[name]):
                m.d.sync += [s.eq(_field(bus.w_data, name, bit)) for bit, s in signals.items()]
        for name, signals in (("ERRORS", errors), ("IRQ_PENDING", pending)):
            with m.If(writes[name]):
                m.d.sync += [s.eq(s & ~_field(bus.w_data, name, bit)) for bit, s in signals.items()]
        for bit, signal in errors.items():
            with m.If(take & wrong[bit]):
                m.d.sync += signal.eq(1)
        with m.If(runner.finished):
            m.d.sync += pending["FINISHED"].eq(1)

        m.d.comb += [
            self.irq.eq(Cat(s & enable[bit] for bit, s in pending.items()).any()),
            *(getattr(runner, bit.lower()).eq(signal) for bit, signal in mode.items()),
            runner.reset.eq(writes["CONTROL"] & _field(bus.w_data, "CONTROL", "RESET")),
            runner.start.eq(writes["CONTROL"] & _field(bus.w_data, "CONTROL", "START")),
            runner.push.eq(writes["INPUT_DATA"]),
            runner.piece.eq(bus.w_data),
            runner.pop.eq(take & chosen["OUTPUT_DATA"] & ~bus.refused),
            images.set_address.eq(writes["IMAGE_ADDRESS"]),
            images.set_low.eq(writes["IMAGE_LOW"]),
            images.set_high.eq(writes["IMAGE_HIGH"]),
            images.w_data.eq(bus.w_data),
        ]
        self._core(m, runner, images)
        status = {"STATE": runner.state, **pending, "REFUSED": Cat(errors.values()).any()}
        values = self._constants() | {
            "STATUS": _value("STATUS", status),
            "MODE": _value("MODE", mode),
            "ERRORS": _value("ERRORS", errors),
            "IRQ_ENABLE": _value("IRQ_ENABLE", enable),
            "IRQ_PENDING": _value("IRQ_PENDING", pending),
            "CYCLES": self.cycles,
            "WORDS_LEFT": runner.words_left,
            "OUTPUT_DATA": runner.next_piece,
            "IMAGE_ADDRESS": images.address,
            "IMAGE_LOW": images.low,
        }
        with m.Switch(bus.address[2:]):
            for name, value in values.items():
                with m.Case(BY_NAME[name].offset // 4):
                    m.d.comb += bus.r_data.eq(value)
        return m

    def _refusals(
        self, m: Module, chosen: dict[str, Signal], runner: Runner, inside: Signal
    ) -> dict[str, Signal]:
        """What is wrong with the access that is there, by the names of ERRORS; and its hold."""
        bus, state, wrong = self.bus, runner.state, _bits("ERRORS", "wrong_")
        exists, writable = (Cat(chosen[r.name] for r in rs).any() for rs in (REGISTERS, WRITABLE))
        runs = (state == State.RUN) | ((state == State.READY) & runner.auto_start)
        rests = (state == State.LOAD) | (state == State.READY)
        starts = _field(bus.w_data, "CONTROL", "START") & ~_field(bus.w_data, "CONTROL", "RESET")
        with m.If(bus.write):
            m.d.comb += [
                wrong["ADDRESS"].eq(~writable),
                wrong["SELECT"].eq(bus.partial),
                wrong["LIMIT"].eq(chosen["IMAGE_HIGH"] & ~inside),
                wrong["STATE"].eq(
                    (chosen["CONTROL"] & starts & (state != State.READY))
                    | (chosen["MODE"] & ~rests)
                    | (chosen["INPUT_DATA"] & ~runner.takes)
                    | (chosen["IMAGE_HIGH"] & runs)
                ),
                bus.hold.eq(chosen["INPUT_DATA"] & runner.full),
            ]
        with m.Else():
            m.d.comb += [
                wrong["ADDRESS"].eq(~exists),
                wrong["STATE"].eq(chosen["OUTPUT_DATA"] & ~runner.gives),
                bus.hold.eq(chosen["OUTPUT_DATA"] & runner.gives & ~runner.there),
            ]
        return wrong

    def _core(self, m: Module, runner: Runner, images: ImageWriter) -> None:
        connect(m, flipped(self.i), runner.i)
        connect(m, runner.o, flipped(self.o))
        connect(m, runner.words, flipped(self.words))
        connect(m, flipped(self.results), runner.results)
        m.d.comb += [
            self.last.eq(runner.last),
            self.start_valid.eq(runner.start_valid),
            runner.start_ready.eq(self.start_ready),
            self.core_reset.eq(runner.core_reset),
            self.image_valid.eq(images.image_valid),
            self.image.eq(images.image),
        ]

    def _constants(self) -> dict[str, Value]:
        """Registers that never change."""
        p = self.params
        numbers = {
            "ID": MAGIC,
            "VERSION": MAP_VERSION,
            "PREDICTED_CYCLES": p.predicted_cycles,
            "LANES": p.lanes,
            "INPUT_WORDS": p.n_in,
            "OUTPUT_WORDS": p.n_out,
            **{f"PLAN_HASH_{i}": word for i, word in enumerate(p.hash_words)},
        }
        return {name: Const(number, 32) for name, number in numbers.items()}


WRITABLE = tuple(register for register in REGISTERS if register.writable)


def _bits(name: str, prefix: str = "") -> dict[str, Signal]:
    """A signal for every field of a register whose fields have one bit."""
    fields = BY_NAME[name].fields
    return {field.name: Signal(name=f"{prefix}{field.name.lower()}") for field in fields}


def _field(value: Value, register: str, name: str) -> Value:
    """A field's bits of a register's value."""
    field = BY_NAME[register].field(name)
    return value[field.low : field.low + field.bits]


def _value(register: str, fields: Mapping[str, Value]) -> Value:
    """A register's value from its fields'."""
    parts, place = [], 0
    for field in sorted(BY_NAME[register].fields, key=lambda field: field.low):
        parts += [Const(0, field.low - place), fields[field.name]]
        place = field.low + field.bits
    return Cat(parts)
