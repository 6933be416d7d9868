"""The address generator: six nested loops, one tap a cycle, no multiplications."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from weft.hw.delay import delay
from weft.hw.step import front_layout
from weft.machine.engine import Engine, Unit
from weft.machine.fields import LEVELS

FLAGS = data.StructLayout(
    {
        "active": 1,  # a tap is issued in this cycle
        "first": 1,  # it is the first of its tile
        "emit": 1,  # it is the last of a tile that gives results
        "first_tile": 1,  # ... of the first tile of a pixel
        "last_tile": 1,  # ... of the last tile of a pixel
        "first_col": 1,  # ... of the first pixel of a row that gives results
        "last_col": 1,  # ... of the last pixel of a row
        "first_row": 1,  # ... of the first row
        "last_row": 1,  # ... of the last row
        "fresh": 1,  # the tap belongs to the first pixel of a row, results or not
    }
)


class Sequencer(wiring.Component):
    """Walks a step's loops in the order of its unit (``LEVELS``).

    A pulse on ``start`` loads ``step``; the first tap is issued two cycles later (four for a step
    that follows), then one per cycle, with ``hold`` idle cycles between tiles. ``step`` must stay
    until the last tap is issued. The loops run a cycle ahead of what is issued.

    A step that follows issues a row only once the other unit's step has finished enough rows:
    ``need`` of them, then ``y_row`` more for each row. Only steps of engines that overlap follow.

    Members
    -------
    act_address: word of the tap. inside: low where the tap falls into padding (valid one cycle
    later, in the cycle of the memory's read). weight_address: restarts at every pixel (array), or
    at every column of the same tile (vector unit). other_rows: rows that the other unit's step has
    written. other_done: it has ended; high in the cycle before the start of a step that does not
    follow. last: the step's last tap is issued.
    """

    def __init__(self, params: Engine, unit: Unit):
        self.params, self.unit = params, unit
        super().__init__(
            {
                "start": In(1),
                "step": In(front_layout(params)),
                "other_rows": In(params.count_bits),
                "other_done": In(1),
                "flags": Out(FLAGS),
                "last": Out(1),
                "act_address": Out(params.act_address_bits),
                "weight_address": Out(params.weight_address_bits),
                "inside": Out(1),
            }
        )

    start: Signal
    step: data.View
    other_rows: Signal
    other_done: Signal
    flags: data.View
    last: Signal
    act_address: Signal
    weight_address: Signal
    inside: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step, levels = self.step, LEVELS[self.unit]
        active = Signal()

        # ends[i]: loop i is in its last round. A tap advances loop i when all inside it end.
        ends = Signal(len(levels))
        advance = Signal(len(levels))
        for i, name in enumerate(levels):
            left = Signal(self.params.count_bits, name=f"left_{name}")
            count = step[f"n_{name}"]
            m.d.comb += advance[i].eq(active & ends[i + 1 :].all())
            with m.If(self.start | (advance[i] & ends[i])):
                m.d.sync += [left.eq(count), ends[i].eq(count == 1)]
            with m.Elif(advance[i]):
                m.d.sync += [left.eq(left - 1), ends[i].eq(left == 2)]

        # The loop that a tap moves on: the innermost one that does not end. It takes its stride and
        # all inside it restart.
        level = Signal(range(len(levels)))
        for i in range(len(levels)):
            with m.If(~ends[i]):
                m.d.comb += level.eq(i)

        walker = _Walker(m, levels, self.start, advance, level)
        strides = {name: step[f"act_{name}"] for name in levels}
        act = walker.walk("act", step.act_base, strides)
        if self.params.products and Unit.VECTOR in self.params.served(self.unit):
            stays = walker.walk("stay", step.stay_base, {"tile": step.act_tile})
            act = Mux(step.stay & self.flags.first, stays, act)
        m.d.comb += self.act_address.eq(act)
        y_strides = {"row": step.y_row, "kernel_row": step.y_kernel_row}
        y = walker.walk("y", step.y0.as_signed(), y_strides)
        x_strides = {"col": step.x_col, "kernel_col": step.x_kernel_col}
        x = walker.walk("x", step.x0.as_signed(), x_strides)
        # As unsigned numbers, negative coordinates are beyond every size. The sign of a difference
        # is one carry chain; a comparison takes more.
        below = Cat(
            (y.as_unsigned() - step.height)[-1],
            (x.as_unsigned() - step.width)[-1],
        )
        m.d.sync += self.inside.eq(below.all())

        self._walk_weights(m, walker)
        tile_ends, row_ends = advance[2], advance[0]
        opens = Signal()  # the tap to come opens a row
        with m.If(self.start):
            m.d.sync += opens.eq(1)
        with m.Elif(active):
            m.d.sync += opens.eq(row_ends)
        ready = self._wait(m, active & opens) if self.params.overlaps else Const(1)
        self._pace(m, active, tile_ends, row_ends, ends[0], opens, ready)
        self._flag(m, active, ends, tile_ends)
        return m

    def _walk_weights(self, m: Module, walker: "_Walker") -> None:
        """The array's tiles follow each other within a pixel; the vector unit's within a row."""
        levels, base = LEVELS[self.unit], self.step.weight_base
        address, tile = self.weight_address, Signal.like(self.weight_address)
        with m.If(walker.start | walker.moves(levels.index("row"))):
            m.d.sync += [address.eq(base), tile.eq(base)]
        with m.Elif(walker.moves(levels.index("col"))):
            m.d.sync += address.eq(tile)
        with m.Elif(walker.advance[-1]):
            m.d.sync += address.eq(address + 1)
            if self.unit is Unit.VECTOR:
                with m.If(walker.moves(levels.index("tile"))):
                    m.d.sync += tile.eq(address + 1)

    def _wait(self, m: Module, row_begins: Value) -> Signal:
        """Whether the next row may be issued; settles two cycles after a row has begun."""
        # Rows of the other step that the next row reads.
        need = Signal(signed(self.params.coordinate_bits))
        free = Signal()
        ready = Signal()
        with m.If(self.start):
            m.d.sync += need.eq(self.step.need)
        with m.Elif(row_begins):
            m.d.sync += need.eq(need + self.step.y_row)
        m.d.sync += free.eq((free & ~self.start) | ~self.step.follow | self.other_done)
        m.d.sync += ready.eq(free | (self.other_rows >= need))
        return ready

    def _pace(
        self,
        m: Module,
        active: Signal,
        tile_ends: Value,
        row_ends: Value,
        last_row: Value,
        opens: Signal,
        ready: Value,
    ) -> None:
        """When taps are issued: always, but for ``hold`` cycles after a tile and rows not ready."""
        step = self.step
        follow = step.follow if self.params.overlaps else Const(0)
        hold = Signal.like(step.hold)  # idle cycles still to come
        settle = Signal()  # ``ready`` does not belong to the first row yet
        waiting = Signal()
        go = Signal()
        m.d.comb += go.eq(~settle & (hold <= 1) & (ready | ~opens))
        m.d.sync += settle.eq(self.start & follow)
        with m.If(self.start):
            m.d.sync += [active.eq(~follow), waiting.eq(follow), hold.eq(0)]
        with m.Elif(row_ends & last_row):
            m.d.sync += active.eq(0)
        with m.Elif(tile_ends):
            stop = (step.hold != 0) | (row_ends & ~ready)
            m.d.sync += [hold.eq(step.hold), active.eq(~stop), waiting.eq(stop)]
        with m.Elif(waiting):
            m.d.sync += [active.eq(go), waiting.eq(~go)]
            with m.If(hold != 0):
                m.d.sync += hold.eq(hold - 1)

    def _flag(self, m: Module, active: Signal, ends: Signal, tile_ends: Value) -> None:
        levels = LEVELS[self.unit]
        tile, col = levels.index("tile"), levels.index("col")
        outer, inner = min(tile, col), max(tile, col)
        first, fresh, first_row, start_inner, start_outer = (
            Signal(name=name) for name in ("first", "fresh", "first_row", "inner0", "outer0")
        )
        emits = self._emit(m, active, tile_ends, ends[inner])
        with m.If(self.start):
            m.d.sync += [s.eq(1) for s in (first, fresh, first_row, start_inner, start_outer)]
        with m.Elif(active):
            m.d.sync += first.eq(tile_ends)
            with m.If(tile_ends):
                round_ends = ends[inner]
                m.d.sync += [fresh.eq(round_ends), start_inner.eq(round_ends | ~emits)]
                with m.If(round_ends):
                    m.d.sync += start_outer.eq(ends[outer])
                    with m.If(ends[outer]):
                        m.d.sync += first_row.eq(0)
        starts = {inner: start_inner, outer: start_outer}
        m.d.sync += [
            self.last.eq(tile_ends & ends.all()),
            self.flags.active.eq(active),
            self.flags.first.eq(first),
            self.flags.fresh.eq(fresh),
            self.flags.emit.eq(emits),
            self.flags.first_tile.eq(starts[tile]),
            self.flags.last_tile.eq(ends[tile]),
            self.flags.first_col.eq(starts[col]),
            self.flags.last_col.eq(ends[col]),
            self.flags.first_row.eq(first_row),
            self.flags.last_row.eq(ends[0]),
        ]

    def _emit(self, m: Module, active: Signal, tile_ends: Value, round_ends: Value) -> Value:
        """Which tiles give results: in the vector unit not those that open a word's row."""
        if self.unit is Unit.ARRAY:
            return tile_ends
        lead = Signal.like(self.step.lead)
        with m.If(self.start):
            m.d.sync += lead.eq(self.step.lead)
        with m.Elif(active & tile_ends):
            m.d.sync += lead.eq(Mux(round_ends, self.step.lead, Mux(lead == 0, 0, lead - 1)))
        return tile_ends & (lead == 0)


class _Walker:
    """Positions that move with the loops, a cycle later: from registers, which fan out.

    start: the step begins. advance: per loop, that all inside it end with the tap that is issued.
    level: the innermost loop that does not end with it.
    """

    def __init__(
        self, m: Module, levels: tuple[str, ...], start: Signal, advance: Signal, level: Signal
    ):
        self.m, self.levels = m, levels
        self.start, self.advance, self.level = (
            delay(m, signal, 1, f"walker_{name}")
            for name, signal in (("start", start), ("advance", advance), ("level", level))
        )

    def moves(self, level: int) -> Value:
        """Whether a loop is the one that moves on (the outermost also if all end)."""
        return self.advance[-1] & (self.level == level)

    def walk(self, name: str, origin: Value, strides: dict[str, Value]) -> Signal:
        """A position that moves by ``strides[loop]`` whenever that loop is the one that moves on.

        One base register per loop with a stride: the position at which its current round began. A
        loop that moves on adds its stride to its base, and every loop inside restarts from there.
        """
        m = self.m
        loops = {i: strides[loop] for i, loop in enumerate(self.levels) if loop in strides}
        bases = {i: Signal.like(origin, name=f"{name}_{self.levels[i]}") for i in loops}
        moved = Signal.like(origin, name=f"{name}_moved")
        with m.Switch(self.level):
            for i in range(len(self.levels)):
                outer = [bases[j] for j in loops if j <= i]
                source = outer[-1] if outer else origin
                with m.Case(i):
                    m.d.comb += moved.eq(source + loops[i] if i in loops else source)
        for i, base in bases.items():
            with m.If(self.start):
                m.d.sync += base.eq(origin)
            with m.Elif(self.advance[i]):
                m.d.sync += base.eq(moved)
        return bases[max(bases)]
