"""What a device offers, as far as the mapper needs to know."""

from dataclasses import dataclass

from weft.machine.family import FAMILIES, FamilyFacts
from weft.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Target(Value):
    """A board's budget: counts of LUT4, flip-flops, multipliers (of 16 x 16 bits at least), block
    RAMs and large single-ported RAMs.
    """

    name: str
    family: str  # a name of ``weft.machine.family.FAMILIES``
    lut: int
    ff: int
    dsp: int
    bram: int
    clock_hz: float
    spram: int = 0

    def _check(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family must be one of {', '.join(FAMILIES)}, not {self.family!r}: "
                "weft.machine.family knows no other"
            )

    @property
    def facts(self) -> FamilyFacts:
        """What the mapper must know of the family."""
        return FAMILIES[self.family]
