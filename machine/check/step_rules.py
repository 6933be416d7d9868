"""Rules for the fields of one step: their ranges, which the engine's widths give, and which of them
go together."""

from collections.abc import Sequence
from operator import attrgetter

from weft.machine import timing
from weft.machine.check.fault import PlanFault, field_name, step_name
from weft.machine.engine import Engine, Unit
from weft.machine.fields import BACK, FRONT, SIGNED, Kind, widths
from weft.machine.plan import MAX_COUNT, Drain, Rows, Step, VectorOp

FIELDS = {
    "loops.rows": "n_row",
    "loops.cols": "n_col",
    "loops.tiles": "n_tile",
    "loops.kernel_rows": "n_kernel_row",
    "loops.kernel_cols": "n_kernel_col",
    "loops.words": "n_word",
    "loops.hold": "hold",
    "loops.lead": "lead",
    "read.bank": "read_bank",
    "read.y.origin": "y0",
    "read.y.move": "y_row",
    "read.y.kernel_move": "y_kernel_row",
    "read.y.size": "height",
    "read.x.origin": "x0",
    "read.x.move": "x_col",
    "read.x.kernel_move": "x_kernel_col",
    "read.x.size": "width",
    "read.pad_value": "pad_value",
    "write.bank": "write_bank",
    "write.group": "out_group",
    "write.groups_per_tile": "groups_per_tile",
    "write.groups_last": "groups_last",
    "write.first_lanes": "first_lanes",
    "output.zero_point": "zero_point",
    "output.low": "low",
    "output.high": "high",
    "output.multiplier": "multiplier",
    "weight_base": "weight_base",
    "param_base": "param_base",
    "gap": "gap",
    "follow.need": "need",
}
"""Fields of a step in the plan file that are numbers, and where they lie in the step word."""

ADDRESSES = (
    "read.base",
    "read.stay",
    *(f"read.moves.{m}" for m in ("row", "col", "tile", "kernel_row", "kernel_col", "word")),
    *("write.base", "write.col", "write.row"),
)
"""Those that wrap around the memory's size: what they add up to is what counts."""

MAX_ADDRESS = 1 << 30
KINDS: dict[str, Kind] = {field.name: field.kind for field in (*FRONT, *BACK)}


class StepRules:
    """The rules for step ``index`` of a program."""

    def __init__(self, engine: Engine, steps: Sequence[Step], index: int):
        self.engine, self.step = engine, steps[index]
        mine = (i for i in range(index - 1, -1, -1) if steps[i].engine == self.step.engine)
        self.last = next(mine, None)
        self.before = None if self.last is None else steps[self.last]
        self.where = step_name(index, self.step)

    def check(self) -> None:
        """Raise PlanFault where the step breaks one."""
        self._ranges()
        self._coordinates()
        self._operation()
        if self.step.unit is Unit.VECTOR:
            self._vector()
        else:
            self._array()
        self._write()
        self._order()

    def _need(self, condition: object, field: str, why: str, works: str = "") -> None:
        if not condition:
            value = _value(self.step, field)
            if isinstance(value, VectorOp):
                value = value.value
            raise PlanFault(self.where, field_name(self.step, field), value, why, works)

    def _ranges(self) -> None:
        bits = widths(FRONT, self.engine) | widths(BACK, self.engine)
        for path, name in FIELDS.items():
            value = _value(self.step, path)
            if value is None:
                continue
            count = path.startswith("loops.") and path not in ("loops.hold", "loops.lead")
            low, high = int(count or path.endswith("size")), (1 << bits.get(name, 0)) - 1
            if KINDS[name] is SIGNED:
                low, high = -(1 << bits[name] - 1), (1 << bits[name] - 1) - 1
            high = min(high, MAX_COUNT) if count else high
            only = "" if name in bits else ": this engine has nothing for it"
            works = f"{low}..{high}" if low < high else f"{low}"
            self._need(low <= value <= high, path, f"out of range{only}", works)
        for path in ADDRESSES:
            value = _value(self.step, path)
            small = value is None or abs(value) <= MAX_ADDRESS
            self._need(small, path, "out of range", f"{-MAX_ADDRESS}..{MAX_ADDRESS}")
        for value in self.step.output.zeros:
            works = (
                "-128..127" if self.engine.products else "0: the engine multiplies no activations"
            )
            fits = -128 <= value <= 127 if self.engine.products else value == 0
            self._need(fits, "output.zeros", "out of range", works)

    def _coordinates(self) -> None:
        """No coordinate that the step reaches is beyond the engine's counters."""
        loops, read = self.step.loops, self.step.read
        limit = 1 << self.engine.coordinate_bits - 1
        for name, axis, positions, taps in (
            ("y", read.y, loops.rows, loops.kernel_rows),
            ("x", read.x, loops.cols, loops.kernel_cols),
        ):
            last = axis.origin + (positions - 1) * axis.move + (taps - 1) * axis.kernel_move
            why = f"the last tap is at {last}, beyond the engine's {limit - 1}"
            self._need(last < limit, f"read.{name}.origin", why)
        if self.step.follow is not None:
            last = self.step.follow.need + loops.rows * read.y.move
            why = f"with the last row it grows to {last}, beyond the engine's {limit - 1}"
            self._need(last < limit, "follow.need", why)

    def _operation(self) -> None:
        step, output = self.step, self.step.output
        pair, product = step.vector_op is VectorOp.PAIR, step.vector_op is VectorOp.PRODUCT
        self._need(output.low <= output.high, "output.low", "above output.high", f"{output.high}")
        self._need(output.pair == pair, "output.pair", f"vector_op is {step.vector_op.value}")
        self._need(output.minus <= pair, "output.minus", "only a pair is subtracted", "false")
        both = output.zeros == (0, 0) or product
        self._need(both, "output.zeros", "only a product has them", "[0, 0]")
        factor = output.multiplier == 0 or pair
        self._need(factor, "output.multiplier", "only a pair has a second factor", "0")
        needed = product or output.minus
        why = "the engine neither multiplies nor subtracts activations"
        self._need(self.engine.products or not needed, "vector_op", why, "the engine's products")
        read = step.read
        self._need(read.stay is None or product, "read.stay", "only a product has it", "null")
        self._need(read.stay is None or self.engine.products, "read.stay", why, "null")

    def _array(self) -> None:
        step = self.step
        why = "the array multiplies and adds, no more"
        self._need(step.vector_op is VectorOp.MAC, "vector_op", why, "mac, or unit vector")
        why = "only the vector unit's sums roll"
        self._need(not step.output.rolling, "output.rolling", why, "false, or unit vector")
        self._need(step.loops.lead == 0, "loops.lead", why, "0, or unit vector")

    def _vector(self) -> None:
        step, loops, output = self.step, self.step.loops, self.step.output
        self._need(loops.words == 1, "loops.words", "the vector unit takes a word at a time", "1")
        if step.vector_op in (VectorOp.PAIR, VectorOp.PRODUCT):
            taps = loops.kernel_rows == 1 and loops.kernel_cols == 2
            shape = f"its two operands are two taps of one row, not {loops.kernel_rows} rows of "
            self._need(taps, "vector_op", f"{shape}{loops.kernel_cols}")
        rolls = not output.rolling or (step.vector_op is VectorOp.MAC and self.engine.overlaps)
        self._need(rolls, "output.rolling", "only weighted sums of a larger engine roll", "false")
        lead = loops.lead == 0 or output.rolling
        self._need(lead, "loops.lead", "only of sums that roll the first are left out", "0")
        self._need(loops.lead < loops.cols, "loops.lead", "no column has a result")

    def _write(self) -> None:
        step, write, engine = self.step, self.step.write, self.engine
        lanes = engine.requant(step.unit)
        groups = engine.tile_lanes(step.unit) // lanes
        at_once = 1 <= write.groups_per_tile <= groups
        why = f"a tile of the {step.unit.value} gives {groups} groups of results"
        self._need(at_once, "write.groups_per_tile", why, f"1..{groups}")
        last = 1 <= write.groups_last <= write.groups_per_tile
        why = "the last tile has at least one group, and no more than any other"
        self._need(last, "write.groups_last", why, f"1..{write.groups_per_tile}")
        per_word = engine.groups_per_word(step.unit)
        self._need(write.group < per_word, "write.group", f"a word has {per_word} groups")
        mask = (1 << lanes) - 1
        some = 1 <= write.first_lanes <= mask if step.unit is Unit.ARRAY else True
        self._need(some, "write.first_lanes", f"a group has {lanes} lanes", f"1..{mask}")
        whole = step.unit is Unit.ARRAY or write.first_lanes == mask
        self._need(whole, "write.first_lanes", "the vector unit writes whole groups", f"{mask}")
        least = write.groups_per_tile * engine.requant_interval
        why = "a tile's results take longer to leave than the next tile takes"
        works = f"at least {least - step.loops.taps}"
        self._need(step.loops.taps + step.loops.hold >= least, "loops.hold", why, works)
        apart = not engine.alternates or step.read.bank != write.bank
        why = "it reads this bank, too, and the memory has a single port"
        self._need(apart, "write.bank", why, f"{1 - step.read.bank}")

    def _order(self) -> None:
        step, before = self.step, self.before
        kinds = [type(dependency).__name__ for dependency in step.after]
        for i, dependency in enumerate(step.after):
            field, kind = f"after[{i}]", kinds[i]
            if not isinstance(dependency, Rows | Drain):
                continue
            if kind in kinds[:i]:
                raise PlanFault(self.where, field, kind, "it has one already", "one of each")
            if self.last is not None and dependency.step != self.last:
                why, works = "only the step before it can be waited for", f"{self.last}"
                raise PlanFault(self.where, f"{field}.step", dependency.step, why, works)
        if step.follow is not None:
            why = "it is the first" if self.engine.overlaps else "the engine's units take turns"
            there = before is not None and self.engine.overlaps
            self._need(there, "follow.need", why, "no Rows")
            assert before is not None
            other = before.unit is not step.unit
            why = f"the step before is the {step.unit.value}'s as well, which runs one at a time"
            self._need(other, "follow.need", why, "no Rows")
            least = timing.MIN_FOLLOW_CYCLES
            why = (
                f"rows of {step.loops.row_cycles} cycles cannot follow: they take at least {least}"
            )
            self._need(step.loops.row_cycles >= least, "follow.need", why, "no Rows")
            why = "a row that waits for none could begin before the step before does"
            self._need(step.follow.need >= 1, "follow.need", why, "at least 1")
        if step.gap is not None:
            there = before is not None and self.engine.overlaps
            why = "it is the first" if self.engine.overlaps else "the engine's units take turns"
            self._need(there, "gap", why, "no Drain")
            assert before is not None
            both = step.unit is before.unit is Unit.ARRAY and step.follow is None
            why = "only a step of the array is chained, to one of the array, and follows none"
            self._need(both, "gap", why, "no Drain")


def _value(step: Step, path: str) -> int | None:
    """A field by its path; None where what holds it is left out."""
    if path == "follow.need":
        return None if step.follow is None else step.follow.need
    return attrgetter(path)(step)
