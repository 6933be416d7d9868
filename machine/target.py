"""What a device offers, as far as the mapper needs to know."""

from dataclasses import dataclass

from weft.nn.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Target(Value):
    """A board's budget: counts of LUT4, flip-flops, multipliers (of 18 x 18 bits on ECP5 and Gowin,
    16 x 16 on iCE40), block RAMs and large single-ported RAMs.
    """

    name: str
    family: str  # "ecp5", "ice40", "gowin"
    lut: int
    ff: int
    dsp: int
    bram: int
    clock_hz: float
    spram: int = 0

    @property
    def products_per_dsp(self) -> int:
        """Products of 9 x 9 bits that one multiplier gives by itself (Gowin: two MULT9X9)."""
        return 2 if self.family == "gowin" else 1
