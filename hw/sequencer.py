"""The address generator: six nested loops, one tap a cycle, no multiplications."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.params import COUNT_BITS, EngineParams
from weft.hw.step import LEVELS, front_layout

FLAGS = data.StructLayout(
    {
        "active": 1,  # a tap is issued in this cycle
        "first": 1,  # it is the first of its tile
        "last": 1,  # it is the last of its tile
        "first_tile": 1,  # ... of the first tile of a pixel
        "first_col": 1,  # ... of the first pixel of a row
        "first_row": 1,  # ... of the first row
        "last_tile": 1,  # ... of the last tile of the step
    }
)


class Sequencer(wiring.Component):
    """Walks a step's loops: row, col, tile, kernel_row, kernel_col, word.

    A pulse on ``start`` loads ``step``; the first tap is issued in the next cycle, then one per
    cycle, with ``hold`` idle cycles between tiles. ``step`` must stay until ``running`` falls.

    Members
    -------
    act_address: word of the tap. inside: low where the tap falls into padding (valid one cycle
    later, in the cycle of the memory's read). weight_address: counts taps, restarts at every pixel.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            {
                "start": In(1),
                "step": In(front_layout(params)),
                "running": Out(1),
                "flags": Out(FLAGS),
                "act_address": Out(params.act_address_bits),
                "weight_address": Out(params.weight_address_bits),
                "inside": Out(1),
            }
        )

    start: Signal
    step: data.View
    running: Signal
    flags: data.View
    act_address: Signal
    weight_address: Signal
    inside: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step = self.step
        active = Signal()

        # ends[i]: loop i is in its last round. A tap advances loop i when all inside it end.
        ends = Signal(len(LEVELS))
        advance = Signal(len(LEVELS))
        counters = [Signal(COUNT_BITS, name=f"left_{level}") for level in LEVELS]
        for i, level in enumerate(LEVELS):
            inner = ends[i + 1 :]
            m.d.comb += advance[i].eq(active & inner.all() if len(inner) else active)
            count = step[f"n_{level}"]
            reload = self.start | (advance[i] & ends[i])
            with m.If(reload):
                m.d.sync += [counters[i].eq(count), ends[i].eq(count == 1)]
            with m.Elif(advance[i]):
                m.d.sync += [counters[i].eq(counters[i] - 1), ends[i].eq(counters[i] == 2)]

        # The loop that a tap moves on: the innermost one that does not end. It takes its stride and
        # all inside it restart.
        level = Signal(range(len(LEVELS)))
        for i in range(len(LEVELS)):
            with m.If(~ends[i]):
                m.d.comb += level.eq(i)

        strides = {name: step[f"act_{name}"] for name in LEVELS}
        address = _walk(m, "act", self.start, active, level, step.act_base, strides)
        y_strides = {"row": step.y_row, "kernel_row": step.y_kernel_row}
        y = _walk(m, "y", self.start, active, level, step.y0.as_signed(), y_strides)
        x_strides = {"col": step.x_col, "kernel_col": step.x_kernel_col}
        x = _walk(m, "x", self.start, active, level, step.x0.as_signed(), x_strides)
        m.d.comb += self.act_address.eq(address)
        # As unsigned numbers, negative coordinates are beyond every size.
        below = Cat(y.as_unsigned() < step.height, x.as_unsigned() < step.width)
        m.d.sync += self.inside.eq(below.all())

        with m.If(self.start | (active & (level <= LEVELS.index("col")))):
            m.d.sync += self.weight_address.eq(step.weight_base)
        with m.Elif(active):
            m.d.sync += self.weight_address.eq(self.weight_address + 1)

        tile_ends = Signal()
        m.d.comb += tile_ends.eq(advance[2])
        self._pace(m, active, tile_ends, ends.all())
        self._flag(m, active, ends, tile_ends)
        return m

    def _pace(self, m: Module, active: Signal, tile_ends: Signal, all_end: Value) -> None:
        """When taps are issued: always, but for ``hold`` cycles after each tile."""
        hold = Signal.like(self.step.hold)
        with m.If(self.start):
            m.d.sync += [self.running.eq(1), active.eq(1)]
        with m.Elif(tile_ends & all_end):
            m.d.sync += [self.running.eq(0), active.eq(0)]
        with m.Elif(tile_ends):
            m.d.sync += [hold.eq(self.step.hold), active.eq(self.step.hold == 0)]
        with m.Elif(self.running):
            m.d.sync += [hold.eq(hold - 1), active.eq(active | (hold == 1))]

    def _flag(self, m: Module, active: Signal, ends: Signal, tile_ends: Signal) -> None:
        first, first_tile, first_col, first_row = (Signal() for _ in range(4))
        with m.If(self.start):
            m.d.sync += [s.eq(1) for s in (first, first_tile, first_col, first_row)]
        with m.Elif(active):
            m.d.sync += first.eq(tile_ends)
            with m.If(tile_ends):
                m.d.sync += first_tile.eq(ends[2])
                with m.If(ends[2]):
                    m.d.sync += first_col.eq(ends[1])
                    with m.If(ends[1]):
                        m.d.sync += first_row.eq(0)
        m.d.comb += [
            self.flags.active.eq(active),
            self.flags.first.eq(first),
            self.flags.last.eq(tile_ends),
            self.flags.first_tile.eq(first_tile),
            self.flags.first_col.eq(first_col),
            self.flags.first_row.eq(first_row),
            self.flags.last_tile.eq(tile_ends & ends.all()),
        ]


def _walk(
    m: Module,
    name: str,
    start: Signal,
    active: Signal,
    level: Signal,
    origin: Value,
    strides: dict[str, Value],
) -> Signal:
    """A position that moves by ``strides[loop]`` whenever that loop is the one that moves on.

    One base register per loop with a stride: the position at which its current round began. A loop
    that moves on adds its stride to its base, and every loop inside restarts from there.
    """
    loops = {LEVELS.index(loop): stride for loop, stride in strides.items()}
    bases = {i: Signal.like(origin, name=f"{name}_{LEVELS[i]}") for i in loops}
    moved = Signal.like(origin, name=f"{name}_moved")
    with m.Switch(level):
        for i in range(len(LEVELS)):
            outer = [bases[j] for j in loops if j <= i]
            source = outer[-1] if outer else origin
            with m.Case(i):
                m.d.comb += moved.eq(source + loops[i] if i in loops else source)
    for i, base in bases.items():
        with m.If(start):
            m.d.sync += base.eq(origin)
        with m.Elif(active & (level <= i)):
            m.d.sync += base.eq(moved)
    return bases[max(bases)]
