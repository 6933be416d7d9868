"""What a user should know of a network that was taken: what is not exactly the model's."""

import enum
from dataclasses import dataclass

from weft.value import Value


class NoteKind(enum.Enum):
    """What a note is about."""

    APPROXIMATION = "approximation"  # codes may differ from what the model computes
    ACCUMULATOR = "accumulator"  # sums that float32 could round, and the accelerator does not
    BATCH = "batch"  # samples run one by one, which changes no result
    QUANTISATION = "quantisation"  # how a float network was quantised, and what that costs


@dataclass(frozen=True, kw_only=True, eq=False)
class Note(Value):
    """One remark. node: the name of the model's node that it is about; "" for the whole model."""

    kind: NoteKind
    text: str
    node: str = ""

    def __str__(self) -> str:
        return f"{self.node}: {self.text}" if self.node else self.text
