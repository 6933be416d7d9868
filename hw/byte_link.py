"""A minimal link: bytes from a host to an accelerator's words, its results back to bytes."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

COUNTER_BYTES = 4
TIMEOUT_CYCLES = 1 << 20


class ByteLink(wiring.Component):
    """One inference per frame, half duplex, no commands and no checksum.

    A request is ``n_in * lanes`` bytes: ``n_in`` words, the byte of lane 0 first. When the last
    word is in the core, the core is started. The reply is ``n_out * lanes`` bytes in the same
    order, then the core's cycle counter (4 bytes, least significant first).

    Damage: bytes that arrive between the end of a request and the end of its reply are discarded.
    If no byte arrives for ``timeout_cycles`` in the middle of a request, the request is dropped
    without a reply and the next byte starts a new one. Words that the core has taken by then
    cannot be taken back one by one, so ``core_reset`` goes high for one cycle: the core's reset
    makes it expect word 0 again (its memories keep their contents). A host that gets no
    reply waits for longer than that and sends its request again; it must send a request without
    pauses of ``timeout_cycles``. A stray byte that is followed by a request sooner than
    that still spoils this one request (shifted by a byte), but none after a pause.

    Parameters: ``lanes`` K; ``n_in``, ``n_out`` words per inference; ``timeout_cycles``.

    Members: ``rx``, ``tx``, bytes from and to the host; ``words`` to the core; ``start_valid``,
    ``start_ready``, its start; ``results`` from it; ``cycles``, its counter, read after the last
    result; ``core_reset``; ``active``, high from a request's first byte to its reply's last (or
    to the time-out).
    """

    def __init__(self, *, lanes: int, n_in: int, n_out: int, timeout_cycles: int = TIMEOUT_CYCLES):
        for name, value in (("lanes", lanes), ("n_in", n_in), ("n_out", n_out)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value!r}")
        if timeout_cycles < 2:
            raise ValueError(f"timeout_cycles must be 2 or more, not {timeout_cycles!r}")
        self.lanes, self.n_in, self.n_out = lanes, n_in, n_out
        self.timeout_cycles = timeout_cycles
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "words": Out(stream.Signature(8 * lanes)),
                "start_valid": Out(1),
                "start_ready": In(1),
                "results": In(stream.Signature(8 * lanes)),
                "cycles": In(32),
                "core_reset": Out(1),
                "active": Out(1),
            }
        )

    rx: stream.Interface
    tx: stream.Interface
    words: stream.Interface
    start_valid: Signal
    start_ready: Signal
    results: stream.Interface
    cycles: Signal
    core_reset: Signal
    active: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = Signal(8 * self.lanes)
        count = Signal(8 * COUNTER_BYTES)
        n_bytes = Signal(range(max(self.lanes, COUNTER_BYTES)))  # of the current word
        n_words = Signal(range(max(self.n_in, self.n_out)))
        pause = Signal(range(self.timeout_cycles))

        m.d.comb += self.words.payload.eq(word)
        m.d.sync += [self.core_reset.eq(0), pause.eq(0)]

        def next_byte(last: int, state: str) -> None:
            m.d.sync += n_bytes.eq(n_bytes + 1)
            with m.If(n_bytes == last):
                m.d.sync += n_bytes.eq(0)
                m.next = state

        def next_word(n: int, state: str, last_state: str) -> None:
            m.d.sync += n_words.eq(n_words + 1)
            m.next = state
            with m.If(n_words == n - 1):
                m.d.sync += n_words.eq(0)
                m.next = last_state

        # Bytes that nobody expects are discarded; only WORD lets the host's next byte wait.
        m.d.comb += [self.rx.ready.eq(1), self.active.eq(1)]
        with m.FSM(name="link"):
            with m.State("COLLECT"):
                in_frame = (n_bytes != 0) | (n_words != 0)
                m.d.comb += self.active.eq(in_frame)
                with m.If(self.rx.valid):
                    m.d.sync += word.eq(Cat(word, self.rx.payload)[8:])
                    next_byte(self.lanes - 1, "WORD")
                with m.Elif(in_frame):
                    m.d.sync += pause.eq(pause + 1)
                    with m.If(pause == self.timeout_cycles - 1):
                        m.d.sync += [n_bytes.eq(0), n_words.eq(0), self.core_reset.eq(1)]
            with m.State("WORD"):
                m.d.comb += [self.rx.ready.eq(0), self.words.valid.eq(1)]
                with m.If(self.words.ready):
                    next_word(self.n_in, "COLLECT", "START")
            with m.State("START"):
                m.d.comb += self.start_valid.eq(1)
                with m.If(self.start_ready):
                    m.next = "RECEIVE"
            with m.State("RECEIVE"):
                m.d.comb += self.results.ready.eq(1)
                with m.If(self.results.valid):
                    m.d.sync += word.eq(self.results.payload)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(word[:8])]
                m.d.sync += count.eq(self.cycles)
                with m.If(self.tx.ready):
                    m.d.sync += word.eq(word >> 8)
                    m.d.sync += n_bytes.eq(n_bytes + 1)
                    with m.If(n_bytes == self.lanes - 1):
                        m.d.sync += n_bytes.eq(0)
                        next_word(self.n_out, "RECEIVE", "COUNT")
            with m.State("COUNT"):
                m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(count[:8])]
                with m.If(self.tx.ready):
                    m.d.sync += count.eq(count >> 8)
                    next_byte(COUNTER_BYTES - 1, "COLLECT")
        return m
