"""A phase-locked loop as a value, and the choice among a cell's possible settings."""

from collections.abc import Iterable
from dataclasses import dataclass

from weft.errors import ConfigError
from weft.value import Value

MAX_ERROR = 0.02
"""Largest deviation from the clock that was asked for. Everything works with the one that is made:
the UART's divider, the timing check, the report.
"""

Setting = tuple[str, int | str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pll(Value):
    """One PLL cell, ready to be instantiated: its settings and how it is wired.

    ``pfd_hz`` is the rate at the phase detector, ``vco_hz`` the oscillator's. ``pin``, ``out`` and
    ``lock`` name the cell's ports for the reference, the clock that it makes and the lock signal;
    ``feedback`` an output and the input that it drives, for a cell whose loop is closed outside.
    ``inputs`` are further inputs and their constants: (port, width, value).
    """

    cell: str
    in_hz: int
    out_hz: float
    pfd_hz: float
    vco_hz: float
    parameters: tuple[Setting, ...]
    attributes: tuple[Setting, ...] = ()
    pin: str
    out: str
    lock: str
    feedback: tuple[str, ...] = ()
    inputs: tuple[tuple[str, int, int], ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.cell}: {self.in_hz / 1e6:g} MHz to {self.out_hz / 1e6:g} MHz "
            f"(phase detector {self.pfd_hz / 1e6:g} MHz, oscillator {self.vco_hz / 1e6:g} MHz)"
        )


@dataclass(frozen=True, kw_only=True)
class Dividers:
    """One possible setting of a PLL: the frequencies, and the dividers by the cell's names."""

    out_hz: float
    pfd_hz: float
    vco_hz: float
    values: tuple[int, ...]


def choose(
    candidates: Iterable[Dividers], cell: str, vco_range: tuple[float, float], in_hz: int, hz: float
) -> Dividers:
    """The setting nearest to ``hz``; among equals the one with the fastest phase detector (least
    jitter), then the one with its oscillator nearest to the middle of its range (most margin).

    Raises ConfigError, with the nearest clocks there are, if none is within MAX_ERROR.
    """
    middle = sum(vco_range) / 2

    def rank(one: Dividers) -> tuple[float, float, float]:
        # Rounded to whole hertz: equal clocks by different dividers may differ in the last bit.
        return (abs(round(one.out_hz - hz)), -one.pfd_hz, abs(one.vco_hz - middle))

    every = list(candidates)
    best = min(every, key=rank, default=None)
    if best is not None and abs(best.out_hz / hz - 1) <= MAX_ERROR:
        return best
    below = max((one.out_hz for one in every if one.out_hz < hz), default=None)
    above = min((one.out_hz for one in every if one.out_hz > hz), default=None)
    clocks = " and ".join(f"{x / 1e6:g}" for x in (below, above) if x is not None)
    nearest = f"the nearest that it can make: {clocks} MHz" if clocks else "it can make none"
    raise ConfigError(
        f"{cell} cannot make a clock of {hz / 1e6:g} MHz from the board's {in_hz / 1e6:g} MHz; "
        f"{nearest} (choose with --clock, or clock.design_hz in the board file)"
    )
