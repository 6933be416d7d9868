"""What a device offers, as far as the mapper needs to know."""

from dataclasses import dataclass

from weft.nn.value import Value


@dataclass(frozen=True, kw_only=True, eq=False)
class Target(Value):
    """A board's budget: counts of LUT4, flip-flops, multipliers and block RAMs."""

    name: str
    family: str  # "ecp5"
    lut: int
    ff: int
    dsp: int
    bram: int
    clock_hz: float
