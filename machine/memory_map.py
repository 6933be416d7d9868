"""The memory map: an engine's memories as values, and the number that image writes know each by.

An image address is a memory's number, then word, bank and part of a word, each in as many bits as
its count needs. Number 0 is no memory: the registers that say where inputs and outputs lie.
"""

import enum
from dataclasses import dataclass

from weft.machine.engine import Engine, Unit, bits_for
from weft.machine.images import (
    CHUNK_BITS,
    MEMORY_BITS,
    STORE_BITS,
    WORD_BITS,
    Word,
    index_bits,
    param_word,
    vector_word,
    weight_word,
)
from weft.machine.plan import Content
from weft.value import Value

REGISTERS, PROGRAM, STORE = "registers", "program", "store"
"""Names in the map; an image of the plan goes to the memory of its own name (``Content``)."""

ACTIVATIONS = ("activations_0", "activations_1")
"""Names of the two banks of activations."""

MAX_MEMORIES = (1 << MEMORY_BITS) - 1
"""Memories that image writes can name."""


class Level(enum.Enum):
    """Where a memory lies: in block RAM, in the device's large blocks, or outside the device."""

    BLOCK = "block"
    LARGE = "large"
    EXTERNAL = "external"


@dataclass(frozen=True, kw_only=True, eq=False)
class MemorySpec(Value):
    """A memory of an engine.

    width: bits of a word. depth: words. banks: memories of that size side by side.
    ports: 2 where a word can be read while another one is written, else 1.
    grain: bits that are written together, a divisor of ``width``.
    writable: whether image writes reach it; if not, steps of the program write it.
    """

    name: str
    level: Level = Level.BLOCK
    width: int
    depth: int
    banks: int = 1
    ports: int = 2
    grain: int
    writable: bool = True

    def _check(self) -> None:
        for field in ("width", "depth", "banks", "ports", "grain"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"memory {self.name}: {field} must be 1 or more, not {getattr(self, field)}"
                )
        if self.width % self.grain:
            raise ValueError(
                f"memory {self.name}: grain must divide the width of {self.width} bits, not be "
                f"{self.grain}"
            )
        if self.writable and self.grain > CHUNK_BITS:
            raise ValueError(
                f"memory {self.name}: grain must be {CHUNK_BITS} bits or less, as an image write "
                f"has, not {self.grain}"
            )

    @property
    def part_bits(self) -> int:
        """Address bits that choose a part of a word."""
        return index_bits(self.width // self.grain)

    @property
    def bank_bits(self) -> int:
        """Address bits that choose a bank."""
        return index_bits(self.banks)

    @property
    def address_bits(self) -> int:
        """Address bits of an image write below the memory's number."""
        return bits_for(self.depth) + self.bank_bits + self.part_bits


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryMap(Value):
    """The memories of an engine; those that image writes reach are numbered from 1 in their order.

    Raises ValueError where an image address cannot name them all, or not all of one.
    """

    memories: tuple[MemorySpec, ...]

    def _check(self) -> None:
        n_memories = len(self.names) - 1
        if n_memories > MAX_MEMORIES:
            raise ValueError(
                f"image writes must reach at most {MAX_MEMORIES} memories, not {n_memories}"
            )
        if len({memory.name for memory in self.memories} | {REGISTERS}) <= len(self.memories):
            raise ValueError("memories must have names of their own")
        for memory in self.memories:
            if memory.writable and memory.address_bits > WORD_BITS:
                raise ValueError(
                    f"memory {memory.name} must take at most {WORD_BITS} bits of image address, "
                    f"not {memory.address_bits}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """What image writes reach, by number."""
        return (REGISTERS, *(memory.name for memory in self.memories if memory.writable))

    def __contains__(self, name: str) -> bool:
        """Whether image writes reach a memory of that name."""
        return name in self.names

    def number(self, name: str) -> int:
        """The number of a memory. Raises ValueError where image writes reach none of that name."""
        return self.names.index(name)

    def base(self, name: str) -> int:
        """The first image address of a memory."""
        return self.number(name) << WORD_BITS

    @property
    def number_bits(self) -> int:
        """Bits of a number that tell this map's memories apart."""
        return bits_for(len(self.names))


def memory_map(engine: Engine) -> MemoryMap:
    """The memories of an engine. Raises ValueError for sizes that image addresses cannot reach."""
    depths = engine.memories
    words = [
        (Content.ARRAY_PARAMS, param_word(engine, Unit.ARRAY), depths.param[0]),
        (Content.VECTOR_PARAMS, param_word(engine, Unit.VECTOR), depths.param[1]),
        (Content.VECTOR, vector_word(engine), depths.vector),
        (Content.WEIGHTS, weight_word(engine), depths.weight),
    ]
    if engine.path(Unit.VECTOR) is not Unit.VECTOR:  # one output path
        del words[1]
    memories = [
        MemorySpec(name=PROGRAM, width=CHUNK_BITS, depth=depths.program, grain=CHUNK_BITS),
        *(_of_words(content.value, word, depth) for content, word, depth in words),
    ]
    if engine.has_store:
        memories.append(
            MemorySpec(
                name=STORE,
                level=Level.LARGE,
                width=STORE_BITS,
                depth=max(1, depths.store),  # still open: as small as the others are then
                ports=1,
                grain=STORE_BITS,
            )
        )
    return MemoryMap(memories=(*memories, *_activations(engine)))


def _of_words(name: str, word: Word, depth: int) -> MemorySpec:
    return MemorySpec(
        name=name, width=word.width, depth=depth, banks=word.rows, grain=word.chunk_bits
    )


def _activations(engine: Engine) -> list[MemorySpec]:
    """The two banks of activations, each written by result groups, lane by lane."""
    return [
        MemorySpec(
            name=ACTIVATIONS[bank],
            level=Level.LARGE if engine.alternates else Level.BLOCK,
            width=8 * engine.lanes,
            depth=depth,
            ports=1 if engine.alternates else 2,
            grain=8,
            writable=False,
        )
        for bank, depth in enumerate(engine.memories.act)
    ]
