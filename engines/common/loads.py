"""Streamed images: what waits in the store, and which loads bring it before which step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from weft.machine.engine import Engine
from weft.machine.images import STORE_BITS, word_of
from weft.machine.plan import Content, Load


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
                word = word_of(engine, content)
                load = Load(
                    content=content,
                    first=segment.begins[content],
                    words=words,
                    source=source,
                    chunks=words << word.address_bits,  # holes included
                    wide=word.chunk_bits > STORE_BITS,
                )
                source += load.store_words
                loads.append(load)
        if loads:
            found[segment.first_step] = tuple(loads)
    return found
