"""rPLL of the Gowin GW1N(R)-9 and GW2A(R)-18: dividers for a clock.

Ref: Gowin DS117 (GW1NR series) and DS226 (GW2AR series), PLL switching characteristics; UG286
(Clock User Guide), rPLL.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from weft.boards.families.pll import Dividers, Pll, choose

CELL = "rPLL"
N_DIVIDERS = 64
OUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
TIED = (
    *((name, 1, 0) for name in ("RESET", "RESET_P", "CLKFB")),
    *((name, 6, 0) for name in ("FBDSEL", "IDSEL", "ODSEL")),
    *((name, 4, 0) for name in ("PSDA", "DUTYDA", "FDLY")),
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a device and its speed grade allow, in hertz."""

    pfd: tuple[float, float]
    vco: tuple[float, float]
    out: tuple[float, float]


GW1NR_9_C6 = Limits(pfd=(3e6, 400e6), vco=(400e6, 1200e6), out=(3.125e6, 600e6))
GW2AR_18_C8 = Limits(pfd=(3e6, 500e6), vco=(500e6, 1250e6), out=(3.90625e6, 625e6))


def rpll(device: str, limits: Limits, in_hz: int, hz: float) -> Pll:
    """Settings for a clock of ``hz``; ``device`` is its DEVICE. Raises ConfigError."""
    best = choose(_settings(limits, in_hz), CELL, limits.vco, in_hz, hz)
    ref, feedback, out = best.values
    parameters = {
        "FCLKIN": f"{in_hz / 1e6:g}",
        "DEVICE": device,
        "IDIV_SEL": ref - 1,
        "FBDIV_SEL": feedback - 1,
        "ODIV_SEL": out,
        "CLKFB_SEL": "internal",
        "CLKOUT_BYPASS": "false",
    }
    return Pll(
        cell=CELL,
        in_hz=in_hz,
        out_hz=best.out_hz,
        pfd_hz=best.pfd_hz,
        vco_hz=best.vco_hz,
        parameters=tuple(parameters.items()),
        pin="CLKIN",
        out="CLKOUT",
        lock="LOCK",
        inputs=TIED,
    )


def _settings(limits: Limits, in_hz: int) -> Iterator[Dividers]:
    """out = in * feedback / ref; the oscillator runs at out * its own divider."""
    for ref in range(1, N_DIVIDERS + 1):
        pfd = in_hz / ref
        if not limits.pfd[0] <= pfd <= limits.pfd[1]:
            continue
        for feedback in range(1, N_DIVIDERS + 1):
            out = pfd * feedback
            if not limits.out[0] <= out <= limits.out[1]:
                continue
            for divider in OUT_DIVIDERS:
                vco = out * divider
                if limits.vco[0] <= vco <= limits.vco[1]:
                    yield Dividers(
                        out_hz=out, pfd_hz=pfd, vco_hz=vco, values=(ref, feedback, divider)
                    )
