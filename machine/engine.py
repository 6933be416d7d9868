"""The engine: its sizes, and the widths that follow from them."""

import abc
import enum
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from weft.machine.rows import DualRow, PackedRow, RowFormat
from weft.value import Value

SERIAL_CYCLES = 4
"""Cycles that a requantisation lane with a single multiplier takes for one result."""


class Unit(enum.Enum):
    """The two datapaths of an engine; each has an output path of its own."""

    ARRAY = "array"
    VECTOR = "vector"

    @property
    def index(self) -> int:
        """Its place in pairs, and its number in a step word."""
        return list(Unit).index(self)

    @property
    def other(self) -> "Unit":
        return Unit.VECTOR if self is Unit.ARRAY else Unit.ARRAY


class Style(enum.Enum):
    """What multipliers are built from."""

    DSP = "dsp"
    LUT = "lut"
    PACKED = "packed"  # two columns of the array to a DSP block; weights in -127..127
    DUAL = "dual"  # two columns, or lanes, to a DSP block that splits into two multipliers


ROWS = {
    Style.DSP: RowFormat(latency=2),
    Style.LUT: RowFormat(latency=3),
    Style.PACKED: PackedRow(latency=4),
    Style.DUAL: DualRow(latency=2),
}
"""The array's weights, by what its multipliers are built from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Styles(Value):
    """What the multipliers of the array, the vector unit and the output paths are built from."""

    array: Style = Style.DSP
    vector: Style = Style.DSP
    requant: Style = Style.DSP

    def _check(self) -> None:
        for name in ("vector", "requant"):
            if getattr(self, name) is Style.PACKED:
                raise ValueError(f"{name} multipliers cannot be packed: only the array's can")
        if self.requant is Style.DUAL:
            raise ValueError("requant multipliers cannot be dual: their operands have 16 bits")


@dataclass(frozen=True, kw_only=True, eq=False)
class Memories(Value):
    """Depths in words: activations of both banks (K bytes), weight tiles (K x N), vector weights
    (T x K), parameters of the array's and the vector unit's output path, program (36 bits), store
    (32 bits)."""

    act: tuple[int, int] = (1, 1)
    weight: int = 1
    vector: int = 1
    param: tuple[int, int] = (1, 1)
    program: int = 1
    store: int = 0

    def _check(self) -> None:
        for name in ("act", "weight", "vector", "param", "program"):
            depth = getattr(self, name)
            depth = min(depth) if isinstance(depth, tuple) else depth
            if depth < 1:
                raise ValueError(f"memories.{name} must have at least 1 word, not {depth}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Engine(Value, abc.ABC):
    """Two datapaths, an array of K lanes and N columns and a vector unit of K lanes with T taps,
    with output paths that requantise so many results per cycle, and their memories.

    Each kind of engine (``weft.engines``) is a subclass, with fields and rules of its own and with
    answers to what is asked below. products: the vector unit multiplies activations with each
    other, and subtracts them. count_bits: width of loop counts and image sizes.

    Raises ValueError for sizes that no hardware is built for.
    """

    kind: ClassVar[str]
    """The kind's name."""
    overlaps: ClassVar[bool]
    """Whether a step may run beside the one before it, or begin while that drains."""
    requant_interval: ClassVar[int]
    """Cycles from one result group to the next."""
    requant_stages: ClassVar[int]
    """Cycles from a group's leaving the drain to its write, the multiplier's apart."""
    weight_registers: ClassVar[int]
    """Registers behind the weight memories."""

    lanes: int
    columns: int
    array_requant: int = 1
    vector_requant: int = 1
    vector_taps: int = 1
    accumulator_bits: int = 25
    weight_bits: int = 8
    count_bits: int = 12
    products: bool = False
    styles: Styles = Styles()
    memories: Memories = Memories()

    @classmethod
    def tag(cls) -> str:
        return cls.kind

    def _check(self) -> None:
        for name in ("lanes", "columns", "array_requant", "vector_requant", "vector_taps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.lanes % self.array_requant or self.columns % self.array_requant:
            raise ValueError(
                f"array_requant must divide lanes and columns: {self.array_requant} does not "
                f"divide both {self.lanes} and {self.columns}"
            )
        if self.lanes % self.vector_requant:
            raise ValueError(
                f"vector_requant must divide lanes: {self.vector_requant} does not divide "
                f"{self.lanes}"
            )
        for name, low, high in (
            ("accumulator_bits", 25, 32),
            ("weight_bits", 8, 9),
            ("count_bits", 2, 12),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low}..{high}, not {getattr(self, name)}")
        self._check_styles()

    def _check_styles(self) -> None:
        self.rows.check(self.columns, self.weight_bits)
        if self.styles.vector is Style.DUAL and self.weight_bits != 8:
            raise ValueError(f"dual multipliers need 8-bit weights, not {self.weight_bits} bits")

    @property
    def multipliers(self) -> int:
        """Array multipliers, the base of every utilisation figure."""
        return self.lanes * self.columns

    @property
    def rows(self) -> RowFormat:
        """How the array's rows keep and multiply their weights."""
        return ROWS[self.styles.array]

    @abc.abstractmethod
    def clock(self) -> Any:
        """A new ``machine.timing.StepClock``: when the steps of a program begin and end."""

    @abc.abstractmethod
    def path(self, unit: Unit) -> Unit:
        """The unit that gives its name to the sequencer, the output path and the parameters that
        ``unit`` uses: itself, or the one that it shares them with."""

    @property
    def has_store(self) -> bool:
        """Whether weights and parameters wait in a store, from which steps load them."""
        return False

    @property
    def alternates(self) -> bool:
        """Whether a step has to read one bank and write the other."""
        return False

    def served(self, unit: Unit) -> tuple[Unit, ...]:
        """The units that use ``unit``'s path."""
        return tuple(u for u in Unit if self.path(u) is unit)

    def words(self, channels: int) -> int:
        """Activation words of one pixel."""
        return math.ceil(channels / self.lanes)

    def requant(self, unit: Unit) -> int:
        """Results that a unit's output path requantises per cycle."""
        return self.array_requant if unit is Unit.ARRAY else self.vector_requant

    @property
    def max_requant(self) -> int:
        return max(self.requant(unit) for unit in Unit)

    def tile_lanes(self, unit: Unit) -> int:
        """Results that a unit hands to its output path at once."""
        return self.columns if unit is Unit.ARRAY else self.lanes

    def drain_lanes(self, unit: Unit) -> int:
        """Results that a unit's output path can take at once."""
        return max(self.tile_lanes(u) for u in self.served(self.path(unit)))

    def groups_per_word(self, unit: Unit) -> int:
        """Result groups in an activation word."""
        return self.lanes // self.requant(unit)

    @property
    def coordinate_bits(self) -> int:
        """Bits of a signed coordinate: a padded position, up to twice the largest size."""
        return self.count_bits + 2

    @property
    def act_address_bits(self) -> int:
        """Address bits within a bank."""
        return bits_for(max(self.memories.act))

    @property
    def weight_address_bits(self) -> int:
        """Width of the weight pointer, for the array's banks and the vector unit's memory."""
        return bits_for(max(self.memories.weight, self.memories.vector))

    @property
    def param_address_bits(self) -> int:
        return bits_for(max(self.memories.param))

    @property
    def store_address_bits(self) -> int:
        return bits_for(self.memories.store)


def bits_for(count: int) -> int:
    """Bits of an index into ``count`` items, at least 1."""
    return max(1, (count - 1).bit_length())
