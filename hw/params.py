"""The engine's parameters and every width, depth and latency that follows from them."""

from dataclasses import dataclass
from enum import Enum

COUNT_BITS = 12
"""Bits of every loop count: sizes up to 4096."""

CHUNK_BITS = 36
"""Width of an image write: one block-RAM word of most devices."""

IMAGE_ADDRESS_BITS = 24
"""Image address: memory select in the top 3 bits, then word, row and chunk."""

ROW_LATENCY = 3
"""Cycles from an issued address to lane data at row 0 (read, output register, padding)."""


class Multiplier(Enum):
    """How a multiplier is built: a DSP block or an adder tree in LUTs."""

    DSP = "dsp"
    LUT = "lut"


def bits_for(count: int) -> int:
    """Bits of an index into ``count`` items, at least 1."""
    return max(1, (count - 1).bit_length())


def chunk_lanes(n_lanes: int) -> int:
    """Weights in one image chunk: the largest divisor of the lane count up to 4."""
    return max(d for d in (1, 2, 3, 4) if n_lanes % d == 0)


@dataclass(frozen=True, kw_only=True)
class EngineParams:
    """Shape of one engine.

    lanes: input channels per activation word (K). columns: output channels per weight tile (N).
    requant_lanes: results requantised per cycle (R), a divisor of both. accumulator_bits: width of
    the sums, 25 to 32. weight_bits: 8, or 9 for weights with zero points. The ``_words`` are memory
    depths: activations (K bytes each), weight tiles (K x N each), vector weights (K each),
    requantisation parameters (R channels each), program chunks (36 bits each).
    """

    lanes: int
    columns: int
    requant_lanes: int
    act_words: int
    weight_words: int
    vector_words: int
    param_words: int
    program_words: int
    accumulator_bits: int = 32
    weight_bits: int = 8
    array_multiplier: Multiplier = Multiplier.DSP
    vector_multiplier: Multiplier = Multiplier.DSP
    requant_multiplier: Multiplier = Multiplier.DSP

    def __post_init__(self) -> None:
        depths = ("act_words", "weight_words", "vector_words", "param_words", "program_words")
        for name in ("lanes", "columns", "requant_lanes", *depths):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.lanes % self.requant_lanes or self.columns % self.requant_lanes:
            raise ValueError(
                f"requant_lanes must divide lanes and columns: {self.requant_lanes} does not "
                f"divide both {self.lanes} and {self.columns}"
            )
        if not 25 <= self.accumulator_bits <= 32:
            raise ValueError(f"accumulator_bits must be 25..32, not {self.accumulator_bits}")
        if self.weight_bits not in (8, 9):
            raise ValueError(f"weight_bits must be 8 or 9, not {self.weight_bits}")
        if self.image_word_bits > IMAGE_ADDRESS_BITS - 3:
            raise ValueError(
                f"memories must take at most {IMAGE_ADDRESS_BITS - 3} bits of image address, "
                f"not {self.image_word_bits}"
            )

    @property
    def act_address_bits(self) -> int:
        return bits_for(self.act_words)

    @property
    def weight_address_bits(self) -> int:
        """Width of the weight pointer, shared by the array's banks and the vector unit's."""
        return max(bits_for(self.weight_words), bits_for(self.vector_words))

    @property
    def param_address_bits(self) -> int:
        return bits_for(self.param_words)

    @property
    def groups_per_word(self) -> int:
        """Groups of R lanes in an activation word."""
        return self.lanes // self.requant_lanes

    @property
    def drain_lanes(self) -> int:
        return max(self.lanes, self.columns)

    @property
    def weight_chunks(self) -> int:
        """Image chunks in one word of one weight bank."""
        return self.columns // chunk_lanes(self.columns)

    @property
    def vector_chunks(self) -> int:
        return self.lanes // chunk_lanes(self.lanes)

    @property
    def param_chunks(self) -> int:
        return 2 * self.requant_lanes

    @property
    def image_word_bits(self) -> int:
        """Address bits of the largest image: word, row (weights only), chunk."""
        return max(
            bits_for(self.weight_words) + self.row_bits + _log2(self.weight_chunks),
            bits_for(self.vector_words) + _log2(self.vector_chunks),
            bits_for(self.param_words) + _log2(self.param_chunks),
            bits_for(self.program_words),
        )

    @property
    def row_bits(self) -> int:
        return _log2(self.lanes)

    @property
    def array_latency(self) -> int:
        """Cycles from the issue of a tile's last tap to its load into the drain."""
        return ROW_LATENCY + multiplier_latency(self.array_multiplier, 8) + self.lanes + 1

    @property
    def vector_latency(self) -> int:
        return ROW_LATENCY + multiplier_latency(self.vector_multiplier, 8) + 1

    @property
    def requant_latency(self) -> int:
        """Cycles from a group at the drain's foot to its write into activation memory."""
        return 8 + multiplier_latency(self.requant_multiplier, 16)


def multiplier_latency(style: Multiplier, rows: int) -> int:
    """Cycles from operands to product; ``rows`` is the second operand's width up to 16."""
    if style is Multiplier.DSP:
        return 2
    return 1 + (4 if rows > 8 else 3)


def _log2(count: int) -> int:
    """Address bits that ``count`` items take when rounded up to a power of two; 0 for one."""
    return (count - 1).bit_length()
