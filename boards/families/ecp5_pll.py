"""EHXPLLL of the ECP5: dividers for a clock.

Ref: Lattice FPGA-DS-02012 (ECP5 and ECP5-5G Family), sysCLOCK PLL Timing; FPGA-TN-02200
(sysCLOCK PLL/DLL Design and Usage Guide), EHXPLLL. The attributes set the loop filter.
"""

from collections.abc import Iterator

from weft.boards.families.pll import Dividers, Pll, choose

CELL = "EHXPLLL"
IN_HZ = (8e6, 400e6)
OUT_HZ = (3.125e6, 400e6)
PFD_HZ = (10e6, 400e6)
VCO_HZ = (400e6, 800e6)
MAX_DIVIDER = 128
ATTRIBUTES = (
    ("ICP_CURRENT", "12"),
    ("LPF_RESISTOR", "8"),
    ("MFG_ENABLE_FILTEROPAMP", "1"),
    ("MFG_GMCREF_SEL", "2"),
)
DISABLED = ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")
TIED_HIGH = ("PHASEDIR", "PHASESTEP", "PHASELOADREG")
TIED_LOW = ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PLLWAKESYNC", "ENCLKOP")
TIED = tuple((name, 1, int(name in TIED_HIGH)) for name in TIED_HIGH + TIED_LOW)


def ehxplll(in_hz: int, hz: float) -> Pll:
    """EHXPLLL settings for a clock of ``hz``. Raises ConfigError.

    CLKOP closes the loop at the phase detector's rate and feeds nothing else; the clock is CLKOS.
    """
    best = choose(_settings(in_hz), CELL, VCO_HZ, in_hz, hz)
    ref, loop, out = best.values
    parameters = {
        **dict.fromkeys(DISABLED, "DISABLED"),
        "CLKI_DIV": ref,
        "CLKFB_DIV": 1,
        "FEEDBK_PATH": "CLKOP",
        **_output("CLKOP", loop),
        **_output("CLKOS", out),
    }
    return Pll(
        cell=CELL,
        in_hz=in_hz,
        out_hz=best.out_hz,
        pfd_hz=best.pfd_hz,
        vco_hz=best.vco_hz,
        parameters=tuple(parameters.items()),
        attributes=ATTRIBUTES,
        pin="CLKI",
        out="CLKOS",
        lock="LOCK",
        feedback=("CLKOP", "CLKFB"),
        inputs=TIED,
    )


def _output(name: str, divider: int) -> dict[str, int | str]:
    """An output that is on, its edge aligned to the reference's (a phase of divider - 1)."""
    return {
        f"{name}_ENABLE": "ENABLED",
        f"{name}_DIV": divider,
        f"{name}_CPHASE": divider - 1,
        f"{name}_FPHASE": 0,
    }


def _settings(in_hz: int) -> Iterator[Dividers]:
    """The oscillator runs at in / ref * loop, the clock at that divided by out."""
    if not IN_HZ[0] <= in_hz <= IN_HZ[1]:
        return
    for ref in range(1, MAX_DIVIDER + 1):
        pfd = in_hz / ref
        if not PFD_HZ[0] <= pfd <= PFD_HZ[1]:
            continue
        for loop in range(1, MAX_DIVIDER + 1):
            vco = pfd * loop
            if not VCO_HZ[0] <= vco <= VCO_HZ[1]:
                continue
            for divider in range(1, MAX_DIVIDER + 1):
                out = vco / divider
                if OUT_HZ[0] <= out <= OUT_HZ[1]:
                    yield Dividers(out_hz=out, pfd_hz=pfd, vco_hz=vco, values=(ref, loop, divider))
