"""The engine's parameters and every width, depth and latency that follows from them."""

from dataclasses import dataclass
from enum import Enum

CHUNK_BITS = 36
"""Width of an image write: one block-RAM word of most devices."""

IMAGE_ADDRESS_BITS = 24
"""Image address: memory select in the top 3 bits, then word, row and chunk."""

SERIAL_CYCLES = 4
"""Cycles that a lane with a single multiplier takes for one result."""

DATA = "data"
"""Clock domain of datapaths: ``sync``'s clock and no reset, which would be the largest net by
far. What stays after a reset is flushed: no flag says that it is valid."""

READ_LATENCY = 2
"""Cycles from a memory's address to its data."""

BANK_LATENCY = 1 + READ_LATENCY + 1
"""The same of a bank of activations, with the registers at its ports."""

ROW_LATENCY = BANK_LATENCY + 2
"""Cycles from an issued address to lane data at row 0 (the bank, its choice, padding)."""


class Multiplier(Enum):
    """How multipliers are built: a DSP block each, an adder tree in LUTs, or a DSP block for two:
    of one activation and two packed weights (in the array only), or two that have nothing in
    common, where a block splits into halves (not for requantisation)."""

    DSP = "dsp"
    LUT = "lut"
    PACKED = "packed"
    DUAL = "dual"


def bits_for(count: int) -> int:
    """Bits of an index into ``count`` items, at least 1."""
    return max(1, (count - 1).bit_length())


def chunk_lanes(n_lanes: int, bits: int) -> int:
    """Fields of ``bits`` in one image chunk: the largest divisor of the lane count that fits."""
    return max(d for d in range(1, CHUNK_BITS // bits + 1) if n_lanes % d == 0)


class Unit(Enum):
    """The two datapaths of an engine; each has an output path of its own."""

    ARRAY = 0
    VECTOR = 1


@dataclass(frozen=True, kw_only=True)
class EngineParams:
    """Shape of one engine.

    lanes: input channels per activation word (K). columns: output channels per weight tile (N).
    array_requant, vector_requant: results that each unit requantises per cycle; the first divides
    lanes and columns, the second the lanes. vector_taps: output columns that a lane of the vector
    unit works on at once (T). accumulator_bits: width of the sums, 25 to 32. weight_bits: 8, or 9
    for weights with zero points. requant_interval: cycles between the groups of results that leave
    a drain; 1, or ``SERIAL_CYCLES`` with one lane of a single multiplier per output path.

    The ``_words`` are memory depths: activations in each of two banks (K bytes), weight tiles
    (K x N), vector weights (T x K), requantisation parameters of the array's and of the vector
    unit's output path, program chunks (36 bits), store (32 bits).

    count_bits: width of loop counts and image sizes. compact: the units take turns at one
    sequencer and one output path (``CompactEngine``), whose parameters are the first of the two.
    single_port: activations lie in memories with one port, so that a step reads one bank and writes
    the other. products: the vector unit multiplies activations with each other, and subtracts
    them. store_words: 0 for an engine without a loader.
    """

    lanes: int
    columns: int
    array_requant: int
    vector_requant: int
    vector_taps: int
    act_words: tuple[int, int]
    weight_words: int
    vector_words: int
    param_words: tuple[int, int]
    program_words: int
    accumulator_bits: int = 32
    weight_bits: int = 8
    count_bits: int = 12
    requant_interval: int = 1
    compact: bool = False
    single_port: bool = False
    products: bool = False
    store_words: int = 0
    array_multiplier: Multiplier = Multiplier.DSP
    vector_multiplier: Multiplier = Multiplier.DSP
    requant_multiplier: Multiplier = Multiplier.DSP

    def __post_init__(self) -> None:
        counts = {
            name: getattr(self, name)
            for name in ("lanes", "columns", "array_requant", "vector_requant", "vector_taps")
        }
        counts |= {name: getattr(self, name) for name in ("weight_words", "vector_words")}
        counts |= {"program_words": self.program_words}
        counts |= {"act_words": min(self.act_words), "param_words": min(self.param_words)}
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, not {count}")
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
        if not 25 <= self.accumulator_bits <= 32:
            raise ValueError(f"accumulator_bits must be 25..32, not {self.accumulator_bits}")
        if self.weight_bits not in (8, 9):
            raise ValueError(f"weight_bits must be 8 or 9, not {self.weight_bits}")
        if not 2 <= self.count_bits <= 12:
            raise ValueError(f"count_bits must be 2..12, not {self.count_bits}")
        if self.compact and (self.requant_interval == 1 or self.vector_taps > 1):
            raise ValueError("a compact engine has a serial requantisation lane and one vector tap")
        if self.compact and self.lanes > 8:  # flags of a step must not outlive it
            raise ValueError(f"a compact engine has at most 8 lanes, not {self.lanes}")
        if not self.compact and (self.single_port or self.store_words):
            raise ValueError("only a compact engine has single-ported memories or a loader")
        if self.requant_interval not in (1, SERIAL_CYCLES):
            raise ValueError(
                f"requant_interval must be 1 or {SERIAL_CYCLES}, not {self.requant_interval}"
            )
        if self.requant_interval > 1 and self.max_requant > 1:
            raise ValueError(
                f"requant_interval {self.requant_interval} needs array_requant and vector_requant "
                f"of 1, not {self.array_requant} and {self.vector_requant}"
            )
        self._check_multipliers()
        if self.image_word_bits > IMAGE_ADDRESS_BITS - 3:
            raise ValueError(
                f"memories must take at most {IMAGE_ADDRESS_BITS - 3} bits of image address, "
                f"not {self.image_word_bits}"
            )

    def _check_multipliers(self) -> None:
        for name in ("vector_multiplier", "requant_multiplier"):
            if getattr(self, name) is Multiplier.PACKED:
                raise ValueError(f"{name} cannot be packed: only the array's can")
        if self.packed and (self.columns % 2 or self.weight_bits != 8):
            raise ValueError(
                "packed multipliers need an even number of columns and 8-bit weights, not "
                f"{self.columns} columns and {self.weight_bits} bits"
            )
        if self.requant_multiplier is Multiplier.DUAL:
            raise ValueError("requant_multiplier cannot be dual: its operands have 16 bits")
        dual = Multiplier.DUAL in (self.array_multiplier, self.vector_multiplier)
        if dual and self.weight_bits != 8:
            raise ValueError(f"dual multipliers need 8-bit weights, not {self.weight_bits} bits")

    def requant(self, unit: Unit) -> int:
        """Results that a unit's output path requantises per cycle."""
        return self.array_requant if unit is Unit.ARRAY else self.vector_requant

    def tile_lanes(self, unit: Unit) -> int:
        """Results that an output path takes at once: its unit's, or the larger unit's."""
        if self.compact:
            return max(self.columns, self.lanes)
        return self.columns if unit is Unit.ARRAY else self.lanes

    def groups_per_word(self, unit: Unit) -> int:
        """Result groups in an activation word."""
        return self.lanes // self.requant(unit)

    @property
    def coordinate_bits(self) -> int:
        """Bits of a signed coordinate: a padded position, up to twice the largest size."""
        return self.count_bits + 2

    @property
    def store_address_bits(self) -> int:
        return bits_for(self.store_words)

    @property
    def act_address_bits(self) -> int:
        """Address bits within a bank."""
        return bits_for(max(self.act_words))

    @property
    def weight_address_bits(self) -> int:
        """Width of the weight pointer, for the array's banks and the vector unit's memory."""
        return max(bits_for(self.weight_words), bits_for(self.vector_words))

    @property
    def param_address_bits(self) -> int:
        return bits_for(max(self.param_words))

    @property
    def group_bits(self) -> int:
        """Bits of a group's place in a word."""
        return bits_for(max(self.groups_per_word(unit) for unit in Unit))

    @property
    def groups_per_tile_bits(self) -> int:
        """Bits of the number of groups that leave a drain for one tile."""
        return bits_for(max(self.tile_lanes(u) // self.requant(u) for u in Unit) + 1)

    @property
    def hold_bits(self) -> int:
        """Bits of the idle cycles after a tile: fewer than its groups take to leave."""
        groups = max(self.tile_lanes(u) // self.requant(u) for u in Unit)
        return bits_for(groups * self.requant_interval + 1)

    @property
    def max_requant(self) -> int:
        return max(self.array_requant, self.vector_requant)

    @property
    def weight_registers(self) -> int:
        """Registers behind the weight memories: multipliers lie far from them in a large engine."""
        return 0 if self.compact else 1

    @property
    def weight_issue(self) -> int:
        """Cycles from a tap's issue to that of its weights' address: the data meet at row 0."""
        return ROW_LATENCY - READ_LATENCY - self.weight_registers

    @property
    def packed(self) -> bool:
        """Whether two columns share a multiplier, and their weights a field of 18 bits."""
        return self.array_multiplier is Multiplier.PACKED

    @property
    def weight_fields(self) -> tuple[int, int]:
        """Number and bits of the fields in a word of a weight bank."""
        return (self.columns // 2, 18) if self.packed else (self.columns, self.weight_bits)

    @property
    def weight_chunks(self) -> int:
        """Image chunks in one word of one weight bank."""
        return self.weight_fields[0] // chunk_lanes(*self.weight_fields)

    @property
    def vector_lanes(self) -> int:
        """Weights in one word of the vector unit's memory."""
        return self.lanes * self.vector_taps

    @property
    def vector_chunks(self) -> int:
        return self.vector_lanes // chunk_lanes(self.vector_lanes, self.weight_bits)

    @property
    def row_bits(self) -> int:
        """Image address bits that select a weight bank."""
        return _log2(self.lanes)

    @property
    def image_word_bits(self) -> int:
        """Address bits below the memory select that the largest image takes."""
        return max(
            bits_for(self.program_words),
            bits_for(self.param_words[0]) + _log2(2 * self.array_requant),
            bits_for(self.param_words[1]) + _log2(2 * self.vector_requant),
            bits_for(self.vector_words) + _log2(self.vector_chunks),
            bits_for(self.weight_words) + self.row_bits + _log2(self.weight_chunks),
            self.store_address_bits,
        )

    def unit_latency(self, unit: Unit) -> int:
        """Cycles from the issue of a tile's last tap to its load into the drain."""
        if unit is Unit.ARRAY:
            return ROW_LATENCY + multiplier_latency(self.array_multiplier, 8) + self.lanes + 1
        return ROW_LATENCY + multiplier_latency(self.vector_multiplier, 8) + 1

    @property
    def requant_latency(self) -> int:
        """Cycles from a group at the drain's foot to its write into activation memory.

        Four more where one multiplier makes four products and a sum is shifted byte by byte.
        """
        cycles = 9 if self.requant_interval == 1 else 13
        return cycles + multiplier_latency(self.requant_multiplier, 16)


def multiplier_latency(style: Multiplier, rows: int) -> int:
    """Cycles from operands to product; ``rows`` is the second operand's width up to 16."""
    if style in (Multiplier.DSP, Multiplier.DUAL):
        return 2
    if style is Multiplier.PACKED:
        return 4
    return 4 if rows > 8 else 3


def _log2(count: int) -> int:
    """Address bits that ``count`` items take when rounded up to a power of two; 0 for one."""
    return (count - 1).bit_length()
