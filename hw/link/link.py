"""The host link: commands and data for an accelerator over a stream of bytes.

``docs/link.md`` describes the protocol.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from weft.hw.core import core_ports
from weft.hw.delay import delay
from weft.hw.link.crc import Crc32
from weft.hw.link.frame_receiver import FrameReceiver
from weft.hw.link.frame_sender import FrameSender
from weft.hw.link.params import LinkParams
from weft.hw.link.payload_counter import PayloadCounter
from weft.hw.link.payload_unpacker import PayloadUnpacker
from weft.hw.link.protocol import IMAGE_BYTES, Command, Error
from weft.hw.link.reply_payload import ReplyPayload
from weft.hw.link.word_shifter import WordShifter
from weft.hw.progress import Progress, State
from weft.hw.ram import Ram

BUFFER_BYTES = 256
TIMEOUT_BITS = 20


class Link(wiring.Component):
    """Answers one request after the other; of one that is not sound the core sees nothing.

    A receiver collects a request in a buffer; an unpacker takes it into the core, if it is sound; a
    sender sends the reply. They take turns, and so share the CRC, the counter and
    the one wide register.

    Parameters: ``params``; ``timeout_bits``, see ``FrameReceiver``.

    Members
    -------
    rx, tx: bytes from and to the host.

    active: high from a request's first byte to its reply's last.

    The core's ports, see ``core_ports``.
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
        m.submodules.receiver = receiver = FrameReceiver(timeout_bits=self.timeout_bits)
        m.submodules.unpacker = unpacker = PayloadUnpacker(self.params)
        m.submodules.progress = progress = Progress(
            n_in=self.params.inputs.count, n_out=self.params.outputs.count
        )
        m.submodules.reply = reply = ReplyPayload(self.params)
        m.submodules.sender = sender = FrameSender()
        command, error = receiver.command, Signal(Error)
        answer_bytes = Mux(error == Error.NONE, reply.length, 0)
        self._counter(m, receiver, unpacker, sender, answer_bytes)
        self._registers(m, receiver, unpacker, reply)
        due = self._due(m, progress)
        self._core(m, unpacker, progress.state, due, reply)
        good = self._crc(m, receiver, sender)
        verdict = self._verdict(m, receiver, progress.state, due, good)
        connect(m, flipped(self.rx), receiver.rx)
        self._send(m, sender)
        connect(m, reply.payload, sender.payload)
        m.d.comb += [
            self.active.eq(receiver.active),
            reply.command.eq(command),
            reply.payload_due.eq(sender.payload_due),
            unpacker.is_image.eq(command[2]),  # of the two commands that it has to do with
            sender.code.eq(Cat(command, Const(0, 1), error)),
        ]
        self._take_turns(m, verdict, error, receiver, unpacker, progress, sender)
        return m

    def _send(self, m: Module, sender: FrameSender) -> None:
        """A register between the bytes of a reply and the line."""
        m.d.comb += sender.tx.ready.eq(~self.tx.valid)
        with m.If(~self.tx.valid):
            m.d.sync += [self.tx.valid.eq(sender.tx.valid), self.tx.payload.eq(sender.tx.payload)]
        with m.Elif(self.tx.ready):
            m.d.sync += self.tx.valid.eq(0)

    def _take_turns(
        self,
        m: Module,
        verdict: Signal,
        error: Signal,
        receiver: FrameReceiver,
        unpacker: PayloadUnpacker,
        progress: Progress,
        sender: FrameSender,
    ) -> None:
        """A request that is sound goes into the core, and every one gets its reply."""
        command = receiver.command
        step = Signal()  # a register behind it: the core's answers come from far
        m.d.sync += [self.core_reset.eq(0), progress.step.eq(step)]
        with m.FSM(name="link"):
            with m.State("LISTEN"):
                m.d.comb += progress.finished.eq(self.results.valid)
                m.d.sync += error.eq(verdict)
                with m.If(receiver.valid):
                    m.next = "JUDGE"
            with m.State("JUDGE"):
                m.next = "ANSWER"
                with m.If(error == Error.NONE):
                    with m.Switch(command):
                        with m.Case(Command.RESET):
                            m.d.comb += progress.restart.eq(1)
                            m.d.sync += self.core_reset.eq(1)
                        with m.Case(Command.IMAGE, Command.INPUT):
                            m.next = "LOAD"
                        with m.Case(Command.START):
                            m.next = "START"
            with m.State("LOAD"):
                m.d.comb += unpacker.go.eq(1)
                with m.If(unpacker.done):
                    m.d.comb += step.eq(command == Command.INPUT)
                    with m.If(unpacker.bad_address):
                        m.d.sync += error.eq(Error.ADDRESS)
                    m.next = "ANSWER"
            with m.State("START"):
                m.d.comb += self.start_valid.eq(1)
                with m.If(self.start_ready):
                    m.d.comb += step.eq(1)
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += [sender.go.eq(1), receiver.taken.eq(sender.done)]
                with m.If(sender.done):
                    with m.If(error == Error.NONE):
                        m.d.comb += step.eq(command == Command.OUTPUT)
                    m.next = "LISTEN"

    def _crc(self, m: Module, receiver: FrameReceiver, sender: FrameSender) -> Signal:
        """The CRC of both directions; high if the request's own was right."""
        m.submodules.crc = crc = Crc32()
        m.d.comb += crc.byte.eq(Mux(sender.go, sender.tx.payload, receiver.rx.payload))
        _share(m, crc.port, [receiver.crc, sender.crc])
        return crc.port.good

    def _counter(
        self,
        m: Module,
        receiver: FrameReceiver,
        unpacker: PayloadUnpacker,
        sender: FrameSender,
        answer_bytes: Value,
    ) -> None:
        m.submodules.counter = counter = PayloadCounter()
        _share(m, counter.port, [receiver.counter, unpacker.counter, sender.counter])
        m.d.comb += [
            counter.set_length.eq(receiver.set_length | sender.set_length),
            counter.new_length.eq(Mux(sender.go, answer_bytes, receiver.rx.payload)),
        ]

    def _registers(
        self, m: Module, receiver: FrameReceiver, unpacker: PayloadUnpacker, reply: ReplyPayload
    ) -> None:
        """The buffer of a whole payload and the register of one word."""
        m.submodules.buffer = buffer = Ram(width=8, depth=BUFFER_BYTES)
        m.submodules.shifter = shifter = WordShifter(
            n_bytes=self.params.word_bytes, load_bytes=self.params.lanes
        )
        m.d.comb += [
            buffer.w_en.eq(receiver.write_en),
            buffer.w_addr.eq(receiver.counter.index),
            buffer.w_data.eq(receiver.rx.payload),
            buffer.r_addr.eq(unpacker.counter.index),
            unpacker.byte.eq(buffer.r_data),
            shifter.byte.eq(buffer.r_data),
            shifter.new.eq(self.results.payload),
            shifter.shift.eq(delay(m, unpacker.shift | reply.shift, 1, "word_shift")),
            shifter.load.eq(reply.load),
            unpacker.word.eq(shifter.value),
            reply.lane_0.eq(shifter.value[-8 * self.params.lanes :][:8]),
        ]

    def _due(self, m: Module, progress: Progress) -> Signal:
        """Bytes of the next frame of inputs or outputs."""
        inputs, outputs, due = self.params.inputs, self.params.outputs, Signal(8)
        with m.If(progress.state == State.DONE):
            m.d.comb += due.eq(Mux(progress.last, outputs.last_bytes, outputs.full_bytes))
        with m.Else():
            m.d.comb += due.eq(Mux(progress.last, inputs.last_bytes, inputs.full_bytes))
        return due

    def _core(
        self, m: Module, unpacker: PayloadUnpacker, state: Signal, due: Signal, reply: ReplyPayload
    ) -> None:
        connect(m, unpacker.words, flipped(self.words))
        m.d.comb += [
            self.image_valid.eq(unpacker.image_valid),
            self.image.eq(unpacker.image),
            self.results.ready.eq(reply.result_ready),
            reply.result_valid.eq(self.results.valid),
            reply.cycles.eq(self.cycles),
            reply.state.eq(state),
            reply.due.eq(due),
            reply.index.eq(unpacker.counter.index),
        ]

    def _verdict(
        self, m: Module, receiver: FrameReceiver, state: Signal, due: Signal, good: Signal
    ) -> Signal:
        """What is wrong with the request, as far as its first bytes and its CRC show."""
        length = receiver.counter.length
        wrong_state, wrong_length, unknown = Signal(), Signal(), Signal()
        m.d.comb += wrong_length.eq(length != 0)
        with m.Switch(receiver.command):
            with m.Case(Command.IDENTIFY, Command.STATUS, Command.RESET):
                pass
            with m.Case(Command.IMAGE):
                m.d.comb += wrong_state.eq(state == State.RUN)
                m.d.comb += wrong_length.eq((length == 1) | (length % IMAGE_BYTES != 1))
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
            (receiver.incomplete, Error.INCOMPLETE),
        ):
            with m.If(wrong):  # the last one that holds counts
                m.d.comb += verdict.eq(error)
        return verdict


def _share(m: Module, shared: wiring.PureInterface, users: Sequence[wiring.PureInterface]) -> None:
    """Give a port to users who take turns, and are silent when it is not theirs."""
    for name, member in shared.signature.members.items():
        ports = [getattr(user, name) for user in users]
        if member.flow is Out:
            m.d.comb += [port.eq(getattr(shared, name)) for port in ports]
        else:
            m.d.comb += getattr(shared, name).eq(Cat(ports).any())
