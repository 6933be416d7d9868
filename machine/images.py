"""The image format: which memory a write goes to, and how its words are cut into writes.

An address is the memory's select, then word, row (the array's weights only) and chunk, each in as
many bits as its count needs.
"""

import enum
from dataclasses import dataclass

from weft.machine.engine import Engine, Unit, bits_for
from weft.machine.plan import Content

CHUNK_BITS = 36
"""Width of an image write: one block-RAM word of most devices."""

IMAGE_ADDRESS_BITS = 24
SELECT_BITS = 3
WORD_BITS = IMAGE_ADDRESS_BITS - SELECT_BITS
"""Address bits below the memory's select."""

STORE_BITS = 32
"""Width of a store word: two large single-ported RAMs of 16 bits side by side. A wider write takes
two words."""

PARAM_CHUNKS = 2
"""Chunks of one channel's parameters: bias and shift, then the factor."""


class Image(enum.Enum):
    """The memory that an image write goes to: the top bits of its address."""

    REGISTER = 0
    PROGRAM = 1
    ARRAY_PARAM = 2
    VECTOR_PARAM = 3
    VECTOR = 4
    WEIGHT = 5
    STORE = 6

    @property
    def base(self) -> int:
        """Its first address."""
        return self.value << WORD_BITS


SELECT = {
    Content.WEIGHTS: Image.WEIGHT,
    Content.VECTOR: Image.VECTOR,
    Content.ARRAY_PARAMS: Image.ARRAY_PARAM,
    Content.VECTOR_PARAMS: Image.VECTOR_PARAM,
}
"""The memory that each of the plan's images goes to."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A memory's word: ``fields`` of so many bits in each of ``rows`` memories side by side."""

    rows: int = 1
    fields: int
    bits: int

    @property
    def chunk_fields(self) -> int:
        """Fields in one image write: the largest divisor of their number that fits."""
        return max(d for d in range(1, CHUNK_BITS // self.bits + 1) if self.fields % d == 0)

    @property
    def chunk_bits(self) -> int:
        """Bits of an image write that are used."""
        return self.chunk_fields * self.bits

    @property
    def chunks(self) -> int:
        """Image writes to a row."""
        return self.fields // self.chunk_fields

    @property
    def width(self) -> int:
        """Bits of a row's word."""
        return self.fields * self.bits

    @property
    def row_bits(self) -> int:
        """Address bits that select a row."""
        return index_bits(self.rows)

    @property
    def address_bits(self) -> int:
        """Address bits below the word's."""
        return self.row_bits + index_bits(self.chunks)


def weight_word(engine: Engine) -> Word:
    """A tile of the array's weights: a bank for each lane."""
    rows = engine.rows
    return Word(
        rows=engine.lanes,
        fields=rows.fields(engine.columns),
        bits=rows.field_bits(engine.weight_bits),
    )


def vector_word(engine: Engine) -> Word:
    """The vector unit's weights, tap by tap."""
    return Word(fields=engine.lanes * engine.vector_taps, bits=engine.weight_bits)


def param_word(engine: Engine, unit: Unit) -> Word:
    """Parameters of the results that an output path requantises at once."""
    return Word(fields=PARAM_CHUNKS * engine.requant(unit), bits=CHUNK_BITS)


def word_of(engine: Engine, content: Content) -> Word:
    """The words of one of the plan's images."""
    match content:
        case Content.WEIGHTS:
            return weight_word(engine)
        case Content.VECTOR:
            return vector_word(engine)
        case Content.ARRAY_PARAMS:
            return param_word(engine, Unit.ARRAY)
    return param_word(engine, Unit.VECTOR)


def check_addresses(engine: Engine) -> None:
    """Raise ValueError if image addresses cannot reach all of a memory."""
    memories = engine.memories
    depths = {
        Content.WEIGHTS: memories.weight,
        Content.VECTOR: memories.vector,
        Content.ARRAY_PARAMS: memories.param[0],
        Content.VECTOR_PARAMS: memories.param[1],
    }
    bits = max(
        bits_for(memories.program),
        engine.store_address_bits,
        *(bits_for(n) + word_of(engine, content).address_bits for content, n in depths.items()),
    )
    if bits > WORD_BITS:
        raise ValueError(
            f"memories must take at most {WORD_BITS} bits of image address, not {bits}"
        )


def index_bits(count: int) -> int:
    """Address bits that ``count`` items take when rounded up to a power of two; 0 for one."""
    return (count - 1).bit_length()
