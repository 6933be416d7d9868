"""The step controller: fetches step words and starts each step as soon as it may run."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.fetch import StepFetch
from weft.hw.step import back_layout, front_layout
from weft.machine.engine import Engine, Unit, bits_for
from weft.machine.fields import GAP_BITS
from weft.machine.images import CHUNK_BITS


class Control(wiring.Component):
    """Runs the program, and fetches each step as soon as the one before has begun.

    A step begins when both units are idle; one that follows, when its own unit is idle; a chained
    one of the array while the results of the step before still drain.

    Members (those of a unit once for each: ``array_*``, ``vector_*``)
    -------
    go: begins the program. busy: high from the next cycle until the cycle of the last result.
    array_issued: the array's step issues its last tap. start: pulse at which a unit's step starts,
    two cycles after its begin. front, back: its step word, from that cycle on (``back`` later for a
    chained step, when the results of the one before are written). row_done, done: a row's, the
    step's last result is written. rows: rows written. running: a step has started and not ended.
    idle: no step, or its last result is being written. load_*: writes program chunks.
    """

    def __init__(self, params: Engine, image_dir: str = ""):
        self.params, self.image_dir = params, image_dir
        self.front_layout, self.back_layout = front_layout(params), back_layout(params)
        ports: dict[str, object] = {
            "go": In(1),
            "busy": Out(1),
            "array_issued": In(1),
            "load_en": In(1),
            "load_address": In(bits_for(params.memories.program)),
            "load_data": In(CHUNK_BITS),
        }
        for name in _names():
            ports |= {
                f"{name}_start": Out(1),
                f"{name}_front": Out(self.front_layout),
                f"{name}_back": Out(self.back_layout),
                f"{name}_row_done": In(1),
                f"{name}_done": In(1),
                f"{name}_rows": Out(params.count_bits),
                f"{name}_idle": Out(1),
                f"{name}_running": Out(1),
            }
        super().__init__(ports)  # type: ignore[arg-type]

    go: Signal
    array_issued: Signal
    busy: Signal
    load_en: Signal
    load_address: Signal
    load_data: Signal
    array_start: Signal
    array_front: data.View
    array_back: data.View
    array_row_done: Signal
    array_done: Signal
    array_rows: Signal
    array_idle: Signal
    array_running: Signal
    vector_start: Signal
    vector_front: data.View
    vector_back: data.View
    vector_row_done: Signal
    vector_done: Signal
    vector_rows: Signal
    vector_idle: Signal
    vector_running: Signal

    @property
    def step_chunks(self) -> int:
        """Program chunks of one step."""
        return StepFetch(self.params).step_chunks

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fetch = fetch = StepFetch(self.params, self.image_dir)
        m.d.comb += [
            fetch.load_en.eq(self.load_en),
            fetch.load_address.eq(self.load_address),
            fetch.load_data.eq(self.load_data),
        ]
        front, back = fetch.front, fetch.back
        begin = Signal()
        draining = Signal()  # results of the array's step before its present one are still to come
        never = Const(0, 1)
        idle = {
            "array": self._unit(m, "array", begin, front, back, draining),
            "vector": self._unit(m, "vector", begin, front, back, never),
        }
        chained = self._chain(m, begin, back, draining)
        both = Signal()
        own = Signal()
        m.d.comb += [
            both.eq(Cat(idle.values()).all()),
            own.eq(Mux(back.unit == Unit.VECTOR.index, idle["vector"], idle["array"])),
        ]

        with m.FSM() as machine:
            with m.State("IDLE"):
                m.d.comb += fetch.restart.eq(1)
                with m.If(self.go):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += fetch.fetch.eq(1)
                with m.If(fetch.done):
                    m.next = "READY"
            with m.State("READY"):
                with m.If(both | (own & front.follow) | chained):
                    m.d.comb += begin.eq(1)
                    m.next = "FETCH"
                    with m.If(back.last_step):
                        m.next = "FINISH"
            with m.State("FINISH"):
                with m.If(both):
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~machine.ongoing("IDLE"))
        return m

    def _unit(
        self,
        m: Module,
        name: str,
        begin: Signal,
        front: data.View,
        back: data.View,
        draining: Value,
    ) -> Signal:
        """A unit's step registers and progress; returns whether it is idle.

        A step's registers are loaded in the cycle after its begin: from a register, since there
        are hundreds of them.
        """
        done, row_done = getattr(self, f"{name}_done"), getattr(self, f"{name}_row_done")
        idle = getattr(self, f"{name}_idle")
        running = getattr(self, f"{name}_running")
        begins = begin & (back.unit == Unit[name.upper()].index)
        taken = Signal(name=f"{name}_taken")  # a step has begun and not ended
        loads = delay(m, begins, 1, f"{name}_loads")
        loads_back = delay(m, begins & idle, 1, f"{name}_loads_back")
        rows = Signal(self.params.count_bits, name=f"{name}_rows_written")
        m.d.comb += [
            idle.eq(~taken | (done & ~draining)),
            # A step that follows counts the rows of the present step only.
            getattr(self, f"{name}_rows").eq(Mux(draining, 0, rows)),
        ]
        m.d.sync += [getattr(self, f"{name}_start").eq(loads), rows.eq(rows + row_done)]
        with m.If(begins):
            m.d.sync += taken.eq(1)
        with m.Elif(idle):
            m.d.sync += taken.eq(0)
        with m.If(loads):
            m.d.sync += [running.eq(1), getattr(self, f"{name}_front").eq(front)]
        with m.Elif(idle):
            m.d.sync += running.eq(0)
        with m.If(loads_back):
            m.d.sync += [rows.eq(0), getattr(self, f"{name}_back").eq(back)]
        with m.Elif(done & draining):
            m.d.sync += rows.eq(0)
        return idle

    def _chain(self, m: Module, begin: Signal, back: data.View, draining: Signal) -> Value:
        """Whether the next step may begin on the array while the results of the last one drain.

        The output path changes over to its ``back`` with the last of those results.
        """
        issued = Signal()  # the array's step has issued its last tap
        since = Signal(GAP_BITS)  # cycles since then
        with m.If(self.array_issued):
            m.d.sync += [issued.eq(1), since.eq(0)]
        with m.Elif(begin):
            m.d.sync += issued.eq(0)
        with m.Elif(~since.all()):
            m.d.sync += since.eq(since + 1)

        next_back = Signal(self.back_layout, reset_less=True)
        drained = self.array_done & draining
        chains = begin & (back.unit == Unit.ARRAY.index) & ~self.array_idle
        with m.If(drained):
            m.d.sync += draining.eq(0)
        with m.Elif(chains):
            m.d.sync += draining.eq(1)
        with m.If(delay(m, chains, 1, "chain_loads")):
            m.d.sync += next_back.eq(back)
        with m.If(delay(m, drained, 1, "chain_moves")):
            m.d.sync += self.array_back.eq(next_back)
        return back.chain & issued & (since >= back.gap) & ~draining & self.vector_idle


def _names() -> list[str]:
    return [unit.name.lower() for unit in Unit]
