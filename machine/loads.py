"""Loads: the transfers that an engine's loader makes out of the store, as it makes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from weft.machine.engine import Engine
from weft.machine.images import STORE_BITS, word_of
from weft.machine.memory_map import STORE
from weft.machine.plan import Content, Transfer


@dataclass(frozen=True, kw_only=True)
class Load:
    """Words of an image, replayed from the store into the memory of their own.

    first, words: which of the image's. source: where they lie in the store. chunks: image writes
    that they take; wide: of two store words each. before: the step that comes next.
    """

    content: Content
    first: int
    words: int
    before: int
    source: int
    chunks: int
    wide: bool

    @property
    def store_words(self) -> int:
        return self.chunks * (2 if self.wide else 1)


def loads_of(engine: Engine, transfers: Sequence[Transfer], index: int = 0) -> list[Load]:
    """The loads of engine ``index``, from its transfers out of the store.

    The store holds the words of one after the other, and once those that are loaded again.
    """
    found: list[Load] = []
    places: dict[tuple[str, int, int], int] = {}
    end = 0
    for transfer in transfers:
        if transfer.source != STORE or transfer.to_engine != index:
            continue
        content = Content(transfer.target)
        word = word_of(engine, content)
        key = transfer.target, transfer.first, transfer.words
        load = Load(
            content=content,
            first=transfer.first,
            words=transfer.words,
            before=transfer.before,
            source=places.setdefault(key, end),
            chunks=transfer.words << word.address_bits,  # holes included
            wide=word.chunk_bits > STORE_BITS,
        )
        end = max(end, load.source + load.store_words)
        found.append(load)
    return found


def by_step(engine: Engine, transfers: Sequence[Transfer], index: int = 0) -> dict[int, list[Load]]:
    """An engine's loads by the step that comes next."""
    found: dict[int, list[Load]] = {}
    for load in loads_of(engine, transfers, index):
        found.setdefault(load.before, []).append(load)
    return found
