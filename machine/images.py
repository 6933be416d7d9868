"""The image format: the bits of an image write, and how memory words are cut into writes.

``machine.memory_map`` says which memory a write goes to.
"""

from dataclasses import dataclass

from weft.machine.engine import Engine, Unit
from weft.machine.plan import Content

CHUNK_BITS = 36
"""Width of an image write: one block-RAM word of most devices."""

MEMORY_BITS, WORD_BITS = 8, 24
"""Bits of an image address: the memory's number on top, then the place in the memory."""

IMAGE_ADDRESS_BITS = MEMORY_BITS + WORD_BITS

STORE_BITS = 32
"""Width of a store word: two large single-ported RAMs of 16 bits side by side. A wider write takes
two words."""

PARAM_CHUNKS = 2
"""Chunks of one channel's parameters: bias and shift, then the factor."""


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


def index_bits(count: int) -> int:
    """Address bits that ``count`` items take when rounded up to a power of two; 0 for one."""
    return (count - 1).bit_length()
