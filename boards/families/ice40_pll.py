"""SB_PLL40_PAD and SB_PLL40_CORE of the iCE40: dividers for a clock.

Ref: Lattice FPGA-DS-02029 (iCE40 LP/HX), FPGA-DS-02008 (iCE40 UltraPlus), sysCLOCK PLL Timing;
FPGA-TN-02052 (iCE40 sysCLOCK PLL Design and Usage Guide), simple feedback.
"""

from collections.abc import Iterator

from weft.boards.families.pll import Dividers, Pll, choose

PAD, CORE = "SB_PLL40_PAD", "SB_PLL40_CORE"
"""Fed by the pin beside the PLL, or by any signal."""

IN_HZ = PFD_HZ = (10e6, 133e6)
OUT_HZ = (16e6, 275e6)
VCO_HZ = (533e6, 1066e6)
N_DIVR, N_DIVF, DIVQ = 16, 128, range(1, 7)
FILTER_BELOW_HZ = (17e6, 26e6, 44e6, 66e6, 101e6)
"""FILTER_RANGE is 1 below the first of these phase-detector rates, 2 below the second, ..."""


def sb_pll40(cell: str, in_hz: int, hz: float) -> Pll:
    """Settings for a clock of ``hz``; ``cell`` is PAD or CORE. Raises ConfigError."""
    best = choose(_settings(in_hz), cell, VCO_HZ, in_hz, hz)
    divr, divf, divq = best.values
    parameters = {
        "FEEDBACK_PATH": "SIMPLE",
        "DIVR": divr,
        "DIVF": divf,
        "DIVQ": divq,
        "FILTER_RANGE": 1 + sum(best.pfd_hz >= limit for limit in FILTER_BELOW_HZ),
    }
    return Pll(
        cell=cell,
        in_hz=in_hz,
        out_hz=best.out_hz,
        pfd_hz=best.pfd_hz,
        vco_hz=best.vco_hz,
        parameters=tuple(parameters.items()),
        pin="PACKAGEPIN" if cell == PAD else "REFERENCECLK",
        out="PLLOUTGLOBAL",
        lock="LOCK",
        inputs=(("RESETB", 1, 1), ("BYPASS", 1, 0)),
    )


def _settings(in_hz: int) -> Iterator[Dividers]:
    """out = in / (divr + 1) * (divf + 1) / 2**divq; the oscillator is the product before divq."""
    if not IN_HZ[0] <= in_hz <= IN_HZ[1]:
        return
    for divr in range(N_DIVR):
        pfd = in_hz / (divr + 1)
        if not PFD_HZ[0] <= pfd <= PFD_HZ[1]:
            continue
        for divf in range(N_DIVF):
            vco = pfd * (divf + 1)
            if not VCO_HZ[0] <= vco <= VCO_HZ[1]:
                continue
            for divq in DIVQ:
                out = vco / 2**divq
                if OUT_HZ[0] <= out <= OUT_HZ[1]:
                    yield Dividers(out_hz=out, pfd_hz=pfd, vco_hz=vco, values=(divr, divf, divq))
