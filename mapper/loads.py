"""Streamed images: what waits in the store, and which loads bring it before which step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from weft.machine.plan import Content, Engine, Load

CHUNK_BITS, STORE_BITS = 36, 32
"""Widths of an image write and of a store word; a wider write takes two words."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Steps from ``first_step`` on that share the memories' contents.

    begins: words of the images that belong to earlier segments; words: those of this one.
    """

    first_step: int
    begins: dict[Content, int]
    words: dict[Content, int] = field(default_factory=lambda: dict.fromkeys(Content, 0))

    def add(self, content: Content, count: int) -> int:
        """Make room for ``count`` more words; returns the address of the first."""
        self.words[content] += count
        return self.words[content] - count

    def next(self, first_step: int) -> "Segment":
        """An empty segment that begins where this one ends."""
        ends = {content: self.begins[content] + self.words[content] for content in Content}
        return Segment(first_step=first_step, begins=ends)


def loads_of(engine: Engine, segments: Sequence[Segment]) -> dict[int, tuple[Load, ...]]:
    """The loads before the first step of each segment, by that step's index."""
    found: dict[int, tuple[Load, ...]] = {}
    source = 0
    for segment in segments:
        loads = []
        for content, words in segment.words.items():
            if words:
                chunks, bits = write_shape(engine, content)
                load = Load(
                    content=content,
                    first=segment.begins[content],
                    words=words,
                    source=source,
                    chunks=words * chunks,
                    wide=bits > STORE_BITS,
                )
                source += load.store_words
                loads.append(load)
        if loads:
            found[segment.first_step] = tuple(loads)
    return found


def write_shape(engine: Engine, content: Content) -> tuple[int, int]:
    """Image addresses that a memory word takes (holes included), and the bits of a write."""
    bits = engine.weight_bits
    match content:
        case Content.WEIGHTS:
            fields = chunk_lanes(engine.columns, bits)
            rows = 1 << (engine.lanes - 1).bit_length()
            return rows << (engine.columns // fields - 1).bit_length(), fields * bits
        case Content.VECTOR:
            lanes = engine.lanes * engine.vector_taps
            fields = chunk_lanes(lanes, bits)
            return 1 << (lanes // fields - 1).bit_length(), fields * bits
    requant = engine.array_requant if content is Content.ARRAY_PARAMS else engine.vector_requant
    return 1 << (2 * requant - 1).bit_length(), CHUNK_BITS


def chunk_lanes(n_lanes: int, bits: int) -> int:
    """Fields of ``bits`` in one image write: the largest divisor of the lane count that fits."""
    return max(d for d in range(1, CHUNK_BITS // bits + 1) if n_lanes % d == 0)
