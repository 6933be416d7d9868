"""Streamed images: which transfers bring them out of the store before which step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from weft.machine.memory_map import STORE
from weft.machine.plan import Content, Transfer


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


def transfers_of(segments: Sequence[Segment]) -> tuple[Transfer, ...]:
    """The transfers out of the store before the first step of each segment."""
    return tuple(
        Transfer(
            source=STORE,
            first=segment.begins[content],
            words=words,
            target=content.value,
            at=0,
            before=segment.first_step,
        )
        for segment in segments
        for content, words in segment.words.items()
        if words
    )
