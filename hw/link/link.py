"""The host link: commands and data for an accelerator over a stream of bytes.

``docs/link.md`` describes the protocol.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft.hw.core import core_ports
from weft.hw.delay import delay
from weft.hw.link.crc import Crc32
from weft.hw.link.cursor import Cursor
from weft.hw.link.loader import Loader
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import IMAGE_BYTES, Command, Error
from weft.hw.link.reader import Reader
from weft.hw.link.replier import Replier
from weft.hw.link.teller import Teller
from weft.hw.link.word import Word
from weft.hw.progress import Progress, State
from weft.hw.ram import Ram

IMAGE = "1---"  # the command, with any memory
BUFFER_BYTES = 256
TIMEOUT_BITS = 20


class Link(wiring.Component):
    """Answers one request after the other; of one that is not sound the core sees nothing.

    A reader collects a request in a buffer; a loader takes it on into the core, if it is to; a
    replier sends what a teller has to tell. They take turns, and so share the CRC, the cursor and
    the one wide register.

    Parameters: ``params``; ``timeout_bits``, see ``Reader``.

    Members: ``rx``, ``tx``, bytes from and to the host; ``active``, high from a request's first
    byte to its reply's last; the core's ports, see ``core_ports``.
    """

    def __init__(self, params: LinkParams, *, timeout_bits: int = TIMEOUT_BITS):
        self.params, self.timeout_bits = params, timeout_bits
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "active": Out(1),
                **core_ports(params.lanes),
            }
        )

    rx: stream.Interface
    tx: stream.Interface
    active: Signal
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
        m.submodules.reader = reader = Reader(timeout_bits=self.timeout_bits)
        m.submodules.loader = loader = Loader(self.params)
        m.submodules.progress = progress = Progress(
            n_in=self.params.inputs.count, n_out=self.params.outputs.count
        )
        m.submodules.teller = teller = Teller(self.params)
        m.submodules.replier = replier = Replier()
        command, error = reader.command, Signal(Error)
        answer_bytes = Mux(error == Error.NONE, teller.length, 0)
        self._cursor(m, reader, loader, replier, answer_bytes)
        self._registers(m, reader, loader, teller)
        due = self._due(m, progress)
        self._core(m, loader, progress.state, due, teller)
        good = self._crc(m, reader, replier)
        verdict = self._verdict(m, reader, progress.state, due, good)
        connect(m, flipped(self.rx), reader.rx)
        self._send(m, replier)
        connect(m, teller.payload, replier.payload)
        m.d.comb += [
            self.active.eq(reader.active),
            teller.command.eq(command),
            teller.payload_due.eq(replier.payload_due),
            loader.is_image.eq(command[3]),
            loader.select.eq(command[:3]),
            replier.code.eq(Cat(command, error)),
        ]
        self._take_turns(m, verdict, error, reader, loader, progress, replier)
        return m

    def _send(self, m: Module, replier: Replier) -> None:
        """A register between the bytes of a reply and the line."""
        m.d.comb += replier.tx.ready.eq(~self.tx.valid)
        with m.If(~self.tx.valid):
            m.d.sync += [self.tx.valid.eq(replier.tx.valid), self.tx.payload.eq(replier.tx.payload)]
        with m.Elif(self.tx.ready):
            m.d.sync += self.tx.valid.eq(0)

    def _take_turns(
        self,
        m: Module,
        verdict: Signal,
        error: Signal,
        reader: Reader,
        loader: Loader,
        progress: Progress,
        replier: Replier,
    ) -> None:
        """A request that is sound goes into the core, and every one gets its reply."""
        command = reader.command
        step = Signal()  # a register behind it: the core's answers come from far
        m.d.sync += [self.core_reset.eq(0), progress.step.eq(step)]
        with m.FSM(name="link"):
            with m.State("LISTEN"):
                m.d.comb += progress.finished.eq(self.results.valid)
                m.d.sync += error.eq(verdict)
                with m.If(reader.valid):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.next = "ANSWER"
                with m.If(error == Error.NONE):
                    with m.Switch(command):
                        with m.Case(Command.RESET):
                            m.d.comb += progress.restart.eq(1)
                            m.d.sync += self.core_reset.eq(1)
                        with m.Case(IMAGE, Command.INPUT):
                            m.next = "LOAD"
                        with m.Case(Command.START):
                            m.next = "START"
            with m.State("LOAD"):
                m.d.comb += loader.go.eq(1)
                with m.If(loader.done):
                    m.d.comb += step.eq(command == Command.INPUT)
                    with m.If(loader.bad_address):
                        m.d.sync += error.eq(Error.ADDRESS)
                    m.next = "ANSWER"
            with m.State("START"):
                m.d.comb += self.start_valid.eq(1)
                with m.If(self.start_ready):
                    m.d.comb += step.eq(1)
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [replier.go.eq(1), reader.taken.eq(replier.done)]
                with m.If(replier.done):
                    with m.If(error == Error.NONE):
                        m.d.comb += step.eq(command == Command.OUTPUT)
                    m.next = "LISTEN"

    def _crc(self, m: Module, reader: Reader, replier: Replier) -> Signal:
        """The CRC of both directions; high if the request's own was right."""
        m.submodules.crc = crc = Crc32()
        m.d.comb += crc.byte.eq(Mux(replier.go, replier.tx.payload, reader.rx.payload))
        _share(m, crc.port, [reader.crc, replier.crc])
        return crc.port.good

    def _cursor(
        self, m: Module, reader: Reader, loader: Loader, replier: Replier, answer_bytes: Any
    ) -> None:
        m.submodules.cursor = cursor = Cursor()
        _share(m, cursor.port, [reader.cursor, loader.cursor, replier.cursor])
        m.d.comb += [
            cursor.set_length.eq(reader.set_length | replier.set_length),
            cursor.new_length.eq(Mux(replier.go, answer_bytes, reader.rx.payload)),
        ]

    def _registers(self, m: Module, reader: Reader, loader: Loader, teller: Teller) -> None:
        """The buffer of a whole payload and the register of one word."""
        m.submodules.buffer = buffer = Ram(width=8, depth=BUFFER_BYTES)
        m.submodules.word = word = Word(
            n_bytes=self.params.word_bytes, load_bytes=self.params.lanes
        )
        m.d.comb += [
            buffer.w_en.eq(reader.write_en),
            buffer.w_addr.eq(reader.cursor.index),
            buffer.w_data.eq(reader.rx.payload),
            buffer.r_addr.eq(loader.cursor.index),
            loader.byte.eq(buffer.r_data),
            word.byte.eq(buffer.r_data),
            word.new.eq(self.results.payload),
            word.shift.eq(delay(m, loader.shift | teller.shift, 1, "word_shift")),
            word.load.eq(teller.load),
            loader.word.eq(word.value),
            teller.lane_0.eq(word.value[-8 * self.params.lanes :][:8]),
        ]

    def _due(self, m: Module, progress: Progress) -> Signal:
        """Bytes of the next frame of inputs or outputs."""
        inputs, outputs, due = self.params.inputs, self.params.outputs, Signal(8)
        with m.If(progress.state == State.DONE):
            m.d.comb += due.eq(Mux(progress.last, outputs.last_bytes, outputs.full_bytes))
        with m.Else():
            m.d.comb += due.eq(Mux(progress.last, inputs.last_bytes, inputs.full_bytes))
        return due

    def _core(self, m: Module, loader: Loader, state: Signal, due: Signal, teller: Teller) -> None:
        connect(m, loader.words, flipped(self.words))
        m.d.comb += [
            self.image_valid.eq(loader.image_valid),
            self.image.eq(loader.image),
            self.results.ready.eq(teller.result_ready),
            teller.result_valid.eq(self.results.valid),
            teller.cycles.eq(self.cycles),
            teller.state.eq(state),
            teller.due.eq(due),
            teller.index.eq(loader.cursor.index),
        ]

    def _verdict(
        self, m: Module, reader: Reader, state: Signal, due: Signal, good: Signal
    ) -> Signal:
        """What is wrong with the request, as far as its first bytes and its CRC show."""
        length = reader.cursor.length
        wrong_state, wrong_length, unknown = Signal(), Signal(), Signal()
        m.d.comb += wrong_length.eq(length != 0)
        with m.Switch(reader.command):
            with m.Case(Command.IDENTIFY, Command.STATUS, Command.RESET):
                pass
            with m.Case(IMAGE):
                m.d.comb += wrong_state.eq(state == State.RUN)
                m.d.comb += wrong_length.eq((length == 0) | (length % IMAGE_BYTES != 0))
            with m.Case(Command.INPUT):
                m.d.comb += wrong_state.eq(state != State.LOAD)
                m.d.comb += wrong_length.eq(length != due)
            with m.Case(Command.START):
                m.d.comb += wrong_state.eq(state != State.READY)
            with m.Case(Command.OUTPUT):
                m.d.comb += wrong_state.eq(state != State.DONE)
            with m.Default():
                m.d.comb += unknown.eq(1)

        verdict = Signal(Error)
        for wrong, error in (
            (wrong_length, Error.LENGTH),
            (wrong_state, Error.STATE),
            (unknown, Error.COMMAND),
            (~good, Error.CHECKSUM),
            (reader.incomplete, Error.INCOMPLETE),
        ):
            with m.If(wrong):  # the last one that holds counts
                m.d.comb += verdict.eq(error)
        return verdict


def _share(m: Module, shared: Any, users: list[Any]) -> None:
    """Give a port to users who take turns, and are silent when it is not theirs."""
    for name, member in shared.signature.members.items():
        ports = [getattr(user, name) for user in users]
        if member.flow is Out:
            m.d.comb += [port.eq(getattr(shared, name)) for port in ports]
        else:
            m.d.comb += getattr(shared, name).eq(Cat(ports).any())
