"""The step word: every field of it once, with its width and its value.

A step is fetched in two parts: the *front* drives a unit's address generator, the *back* its output
path. Each part fills whole program chunks of 36 bits, lowest bits first. The cycle model counts the
chunks, ``machine.encode`` writes them, the hardware lays its step registers out by them.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from weft.machine.engine import Engine, Unit, bits_for
from weft.machine.images import CHUNK_BITS, MEMORY_BITS
from weft.machine.loads import Load
from weft.machine.plan import Step, VectorOp

GAP_BITS = 7
"""Bits of the cycles between chained steps."""

LEVELS = {
    Unit.ARRAY: ("row", "col", "tile", "kernel_row", "kernel_col", "word"),
    Unit.VECTOR: ("row", "tile", "col", "kernel_row", "kernel_col", "word"),
}
"""The loops of a step, outermost first. The vector unit rolls along a row before the next word."""

VECTOR_OP_BITS = 2

VECTOR_CODES = {
    VectorOp.MAC: 0,
    VectorOp.SUM: 1,
    VectorOp.MAX: 2,
    VectorOp.PAIR: 3,
    VectorOp.PRODUCT: 0,  # with the flag ``product``
}
"""What a lane of the vector unit does with each word."""


class Kind(enum.Enum):
    """Which numbers a field takes."""

    UNSIGNED = enum.auto()
    SIGNED = enum.auto()
    ADDRESS = enum.auto()  # or a move of one: wraps around the memory's size


UNSIGNED, SIGNED, ADDRESS = Kind


def always(engine: Engine) -> bool:
    return True


def overlaps(engine: Engine) -> bool:
    return engine.overlaps


def has_store(engine: Engine) -> bool:
    return engine.has_store


def products(engine: Engine) -> bool:
    return engine.products


@dataclass(frozen=True)
class Field:
    """A field of a step word: its name, its bits in an engine, its value in a step (or load), which
    numbers it takes, and which engines have it."""

    name: str
    bits: int | Callable[[Engine], int]
    value: Callable[[Any], int]
    kind: Kind = UNSIGNED
    only: Callable[[Engine], bool] = always

    def width(self, engine: Engine) -> int:
        """Its bits; 0 in an engine that does not have it."""
        if not self.only(engine):
            return 0
        return self.bits if isinstance(self.bits, int) else self.bits(engine)

    def encode(self, value: int, bits: int) -> int:
        """The field's bits. Raises ValueError where the value does not fit."""
        low, high = (-1 << bits - 1, 1 << bits - 1) if self.kind is SIGNED else (0, 1 << bits)
        if self.kind is not ADDRESS and not low <= value < high:
            raise ValueError(f"step field {self.name}: {value} does not fit {bits} bits")
        return value & (1 << bits) - 1


Part = tuple[Field, ...]


def act_address(engine: Engine) -> int:
    return engine.act_address_bits


def count(engine: Engine) -> int:
    return engine.count_bits


def size(engine: Engine) -> int:
    return engine.count_bits + 1


def coordinate(engine: Engine) -> int:
    return engine.coordinate_bits


def groups_per_tile(engine: Engine) -> int:
    """Bits of the number of groups that leave a drain for one tile."""
    return bits_for(_most_groups(engine) + 1)


def idle_cycles(engine: Engine) -> int:
    """Bits of the idle cycles after a tile: fewer than its groups take to leave."""
    return bits_for(_most_groups(engine) * engine.requant_interval + 1)


def group(engine: Engine) -> int:
    """Bits of a group's place in a word."""
    return bits_for(max(engine.groups_per_word(unit) for unit in Unit))


def _most_groups(engine: Engine) -> int:
    return max(engine.drain_lanes(unit) // engine.requant(unit) for unit in Unit)


FRONT: Part = (
    Field("read_bank", 1, lambda step: step.read.bank),
    Field("act_base", act_address, lambda step: step.read.base, ADDRESS),
    Field("weight_base", lambda engine: engine.weight_address_bits, lambda step: step.weight_base),
    # A word outside height x width reads as padding.
    Field("pad_value", 8, lambda step: step.read.pad_value, SIGNED),
    # Idle cycles after each tile.
    Field("hold", idle_cycles, lambda step: step.loops.hold),
    Field("height", size, lambda step: step.read.y.size),
    Field("width", size, lambda step: step.read.x.size),
    # First coordinate, and its move per output row and column, and per tap.
    Field("y0", coordinate, lambda step: step.read.y.origin, SIGNED),
    Field("x0", coordinate, lambda step: step.read.x.origin, SIGNED),
    Field("y_row", count, lambda step: step.read.y.move),
    Field("x_col", count, lambda step: step.read.x.move),
    Field("y_kernel_row", count, lambda step: step.read.y.kernel_move),
    Field("x_kernel_col", count, lambda step: step.read.x.kernel_move),
    # Tiles at the start of a row that give no result.
    Field("lead", count, lambda step: step.loops.lead, only=overlaps),
    # Rows wait for rows of the other unit's step: so many for the first, y_row more for each next.
    Field("follow", 1, lambda step: step.follow is not None, only=overlaps),
    Field("need", coordinate, lambda step: step.follow.need if step.follow else 0, only=overlaps),
    # A tile's first tap lies at stay_base, from where only tiles move it on.
    Field("stay", 1, lambda step: step.read.stay is not None, only=products),
    Field("stay_base", act_address, lambda step: step.read.stay or 0, ADDRESS, only=products),
    # Loop counts, and how far the activation address moves at each loop.
    *(
        Field(f"n_{level}", count, lambda step, i=i: step.loops.counts[i])
        for i, level in enumerate(LEVELS[Unit.ARRAY])
    ),
    *(
        Field(f"act_{m}", act_address, lambda step, m=m: getattr(step.read.moves, m), ADDRESS)
        for m in LEVELS[Unit.ARRAY]
    ),
)
"""The address generator's part."""

BACK: Part = (
    Field("unit", 1, lambda step: step.unit.index),
    Field("last_step", 1, lambda step: 0),  # ``machine.encode`` sets it, and ``load``
    # The front part is that of a load.
    Field("load", 1, lambda step: 0, only=has_store),
    # The array may begin so many cycles after the last tap of the step before, while that drains.
    Field("chain", 1, lambda step: step.gap is not None, only=overlaps),
    Field("gap", GAP_BITS, lambda step: step.gap or 0, only=overlaps),
    # Sums move on to the next output column.
    Field("rolling", 1, lambda step: step.output.rolling, only=overlaps),
    # A tile's words, less these zero points, are multiplied; or (PAIR) the second is inverted.
    Field(
        "product",
        1,
        lambda step: step.vector_op is VectorOp.PRODUCT or step.output.minus,
        only=products,
    ),
    Field("zero_first", 8, lambda step: step.output.zeros[0], SIGNED, only=products),
    Field("zero_second", 8, lambda step: step.output.zeros[1], SIGNED, only=products),
    Field("vector_op", VECTOR_OP_BITS, lambda step: VECTOR_CODES[step.vector_op]),
    # The accumulator holds two operands.
    Field("pair", 1, lambda step: step.output.pair),
    # Ties round to odd.
    Field("odd", 1, lambda step: step.output.odd),
    Field("shared_params", 1, lambda step: step.output.shared),
    Field("param_base", lambda engine: engine.param_address_bits, lambda step: step.param_base),
    # Groups of R channels: so many leave the drain; of a pixel's last tile so many are written.
    Field("groups_per_tile", groups_per_tile, lambda step: step.write.groups_per_tile),
    Field("groups_last", groups_per_tile, lambda step: step.write.groups_last),
    # Masks the first group of a pixel.
    Field("first_lanes", lambda engine: engine.max_requant, lambda step: step.write.first_lanes),
    Field("write_bank", 1, lambda step: step.write.bank),
    Field("out_group", group, lambda step: step.write.group),
    Field("out_word", act_address, lambda step: step.write.base, ADDRESS),
    Field("out_col", act_address, lambda step: step.write.col, ADDRESS),
    Field("out_row", act_address, lambda step: step.write.row, ADDRESS),
    Field("zero_point", 8, lambda step: step.output.zero_point, SIGNED),
    Field("low", 8, lambda step: step.output.low, SIGNED),
    Field("high", 8, lambda step: step.output.high, SIGNED),
    # Factor of a pair's upper operand.
    Field("multiplier", 32, lambda step: step.output.multiplier),
)
"""The output path's part."""

LOAD: Part = (
    Field("source", lambda engine: engine.store_address_bits, lambda load: load.source),
    # Image chunks, for consecutive addresses from the memory's first one on.
    Field("count", lambda engine: engine.store_address_bits, lambda load: load.chunks),
    # Two store words to a chunk, the upper bits in the second.
    Field("wide", 1, lambda load: load.wide),
    Field("memory", MEMORY_BITS, lambda load: 0),  # its number; ``machine.encode`` sets it
)
"""A step of the loader, in the place of the front part."""


def widths(part: Part, engine: Engine) -> dict[str, int]:
    """Bits of each field that an engine has, by name, the lowest first."""
    return {field.name: bits for field in part if (bits := field.width(engine))}


def part_bits(part: Part, engine: Engine) -> int:
    """Bits of all fields of a part."""
    return sum(field.width(engine) for field in part)


def part_chunks(part: Part, engine: Engine) -> int:
    """Program chunks that a part fills."""
    return -(-part_bits(part, engine) // CHUNK_BITS)


def step_chunks(engine: Engine) -> int:
    """Program chunks of one step."""
    return part_chunks(FRONT, engine) + part_chunks(BACK, engine)


def values(part: Part, item: Step | Load) -> dict[str, int]:
    """Values of all fields of a part in a step, or of ``LOAD`` in a load."""
    return {field.name: int(field.value(item)) for field in part}


def encode(part: Part, engine: Engine, numbers: dict[str, int]) -> list[int]:
    """A part's program chunks, for a number for each field that the engine has.

    Raises ValueError where one does not fit.
    """
    word = place = 0
    for field in part:
        if bits := field.width(engine):
            word |= field.encode(numbers[field.name], bits) << place
            place += bits
    chunks = range(part_chunks(part, engine))
    return [word >> CHUNK_BITS * i & (1 << CHUNK_BITS) - 1 for i in chunks]
