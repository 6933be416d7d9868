"""The numbers that a user may give, with their limits: for the command line and for Python.

The limits are far beyond what any device of today has or any design reaches. They are there so that
a slip of the keyboard is one message and not gigabytes of memory.
"""

import math
from dataclasses import dataclass

from weft.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A number from ``low`` to ``high``, both included; ``whole``: without a fraction."""

    name: str
    low: float
    high: float
    whole: bool = True

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:.10g} to {self.high:.10g}"

    def check(self, value: float | None) -> None:
        """Raise ConfigError unless the value is within the limits, or not given."""
        if value is not None and not self._holds(value):
            raise ConfigError(f"{self.name} must be {self}, not {value}")

    def parse(self, text: str) -> float:
        """The number that a text holds. Raises ConfigError."""
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = math.nan
        if not self._holds(value):
            raise ConfigError(f"must be {self}, not {text[:40]!r}")
        return value

    def _holds(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.whole and value != int(value))


LANES = Limit(name="lanes", low=1, high=4096)
COLUMNS = Limit(name="columns", low=1, high=4096)
REQUANT_LANES = Limit(name="requant lanes", low=1, high=4096)
CYCLES = Limit(name="cycles", low=1, high=(1 << 32) - 1)  # what the hardware counts
SAMPLES = Limit(name="samples", low=1, high=1_000_000)
CLOCK_MHZ = Limit(name="the clock in MHz", low=0.001, high=1000, whole=False)
WEIGHT_BITS = Limit(name="weight bits", low=2, high=8)
SEED = Limit(name="seed", low=0, high=(1 << 31) - 1)  # nextpnr's type
PLACEMENTS = Limit(name="placements", low=1, high=100)
TIMEOUT = Limit(name="timeout in seconds", low=0.001, high=7 * 24 * 3600, whole=False)
BAUD = Limit(name="baud", low=1, high=100_000_000)
