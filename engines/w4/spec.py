"""The overlapped engine with weights of four bits in its array, as a value."""

from dataclasses import dataclass
from typing import ClassVar

from weft.engines.overlapped.spec import OverlappedSpec
from weft.engines.w4.row import PAIR_ROW
from weft.machine.engine import Style
from weft.machine.rows import RowFormat


@dataclass(frozen=True, kw_only=True, eq=False)
class W4Spec(OverlappedSpec):
    """An overlapped engine whose array takes weights of -7..7; the vector unit's have 8 bits."""

    kind: ClassVar[str] = "w4"

    def _check(self) -> None:
        if self.styles.array is not Style.DSP:
            raise ValueError(
                f"the array of a w4 engine is made of DSP blocks, not {self.styles.array.value}"
            )
        super()._check()

    @property
    def rows(self) -> RowFormat:
        return PAIR_ROW
