"""PLL settings: limits, exact arithmetic, and the open tools' own calculators."""

import re
import subprocess
from pathlib import Path

import pytest

from weft.boards.board import load_board
from weft.boards.families import ecp5_pll, gowin_pll, ice40_pll
from weft.boards.families.ecp5_pll import ehxplll
from weft.boards.families.gowin_pll import GW1NR_9_C6, GW2AR_18_C8, rpll
from weft.boards.families.ice40_pll import CORE, PAD, sb_pll40
from weft.boards.families.lookup import design_hz, pll_for
from weft.boards.families.pll import Pll
from weft.boards.toolchain import find_tool
from weft.errors import ConfigError

OSCILLATORS = (12_000_000, 25_000_000, 27_000_000, 48_000_000)
CLOCKS = (20e6, 24e6, 30e6, 40e6, 48e6, 50e6, 54e6, 60e6, 75e6, 100e6)


def within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


@pytest.mark.parametrize("in_hz", OSCILLATORS)
@pytest.mark.parametrize("hz", CLOCKS)
def test_ehxplll(in_hz: int, hz: float) -> None:
    pll = ehxplll(in_hz, hz)
    p = dict(pll.parameters)
    pfd = in_hz / int(p["CLKI_DIV"])
    vco = pfd * int(p["CLKFB_DIV"]) * int(p["CLKOP_DIV"])
    assert (pll.pfd_hz, pll.vco_hz) == (pfd, vco)
    assert pll.out_hz == pytest.approx(vco / int(p["CLKOS_DIV"]))
    assert pll.out_hz == pytest.approx(hz, rel=0.02)
    assert within(pfd, ecp5_pll.PFD_HZ)
    assert within(vco, ecp5_pll.VCO_HZ)
    assert within(pll.out_hz, ecp5_pll.OUT_HZ)
    assert (pll.feedback, p["FEEDBK_PATH"]) == (("CLKOP", "CLKFB"), "CLKOP")


@pytest.mark.parametrize("in_hz", OSCILLATORS)
@pytest.mark.parametrize("hz", CLOCKS)
def test_sb_pll40(in_hz: int, hz: float) -> None:
    pll = sb_pll40(CORE, in_hz, hz)
    p = {name: value for name, value in pll.parameters if isinstance(value, int)}
    vco = in_hz / (p["DIVR"] + 1) * (p["DIVF"] + 1)
    assert pll.out_hz == pytest.approx(vco / 2 ** p["DIVQ"])
    assert pll.out_hz == pytest.approx(hz, rel=0.02)
    assert within(in_hz / (p["DIVR"] + 1), ice40_pll.PFD_HZ)
    assert within(vco, ice40_pll.VCO_HZ)
    assert within(pll.out_hz, ice40_pll.OUT_HZ)


@pytest.mark.parametrize("limits", [GW1NR_9_C6, GW2AR_18_C8])
@pytest.mark.parametrize("hz", CLOCKS)
def test_rpll(limits: gowin_pll.Limits, hz: float) -> None:
    pll = rpll("GW1NR-9C", limits, 27_000_000, hz)
    p = {name: value for name, value in pll.parameters if isinstance(value, int)}
    pfd = 27e6 / (p["IDIV_SEL"] + 1)
    out = pfd * (p["FBDIV_SEL"] + 1)
    assert pll.out_hz == pytest.approx(out)
    assert out == pytest.approx(hz, rel=0.02)
    assert pll.vco_hz == pytest.approx(out * p["ODIV_SEL"])
    assert within(pfd, limits.pfd)
    assert within(out * p["ODIV_SEL"], limits.vco)


def test_the_fastest_phase_detector_and_the_middle_of_the_oscillator_are_taken() -> None:
    # 25 / 1 * 24 / 12, not 25 / 2 * 48 / 12 and not 25 / 1 * 16 / 8, which is VCO's lower limit.
    assert [ehxplll(25_000_000, 50e6).pfd_hz, ehxplll(25_000_000, 50e6).vco_hz] == [25e6, 600e6]
    assert dict(sb_pll40(PAD, 12_000_000, 48e6).parameters) == {
        "FEEDBACK_PATH": "SIMPLE",
        "DIVR": 0,
        "DIVF": 63,
        "DIVQ": 4,
        "FILTER_RANGE": 1,
    }
    assert dict(rpll("GW1NR-9C", GW1NR_9_C6, 27_000_000, 54e6).parameters) == {
        "FCLKIN": "27",
        "DEVICE": "GW1NR-9C",
        "IDIV_SEL": 0,
        "FBDIV_SEL": 1,
        "ODIV_SEL": 16,
        "CLKFB_SEL": "internal",
        "CLKOUT_BYPASS": "false",
    }


def achieved(tool: str, arguments: list[str], pattern: str, folder: Path) -> float:
    """MHz that an outside calculator says it reaches; icepll and ecppll come with nextpnr."""
    beside = Path(find_tool("yosys").command).parent / f"yowasp-{tool}"
    if not beside.is_file():
        pytest.skip(f"no {beside}")
    done = subprocess.run(
        [beside, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return float(re.findall(pattern, done.stdout)[-1])


@pytest.mark.parametrize("mhz", [50, 60, 62.5, 100])
def test_ehxplll_is_as_near_as_ecppll(tmp_path: Path, mhz: float) -> None:
    words = ["-i", "25", "-o", f"{mhz:g}", "-f", "pll.v", "--highres"]
    theirs = achieved("ecppll", words, r"clkout1 frequency: ([\d.]+) MHz", tmp_path)
    assert abs(ehxplll(25_000_000, mhz * 1e6).out_hz / 1e6 - mhz) <= abs(theirs - mhz) + 1e-3


@pytest.mark.parametrize("mhz", [20, 24, 39, 48, 60])
def test_sb_pll40_is_as_near_as_icepll(tmp_path: Path, mhz: float) -> None:
    words = ["-i", "12", "-o", f"{mhz:g}"]
    theirs = achieved("icepll", words, r"F_PLLOUT: +([\d.]+) MHz \(achieved\)", tmp_path)
    assert sb_pll40(CORE, 12_000_000, mhz * 1e6).out_hz / 1e6 == pytest.approx(theirs, abs=1e-3)


def made(name: str, mhz: float) -> Pll | None:
    return pll_for(load_board(name), mhz * 1e6)


@pytest.mark.parametrize(
    ("name", "mhz", "message"),
    [
        (
            "icebreaker",
            14,
            "SB_PLL40_PAD cannot make a clock of 14 MHz from the board's 12 MHz; the nearest that "
            "it can make: 16.125 MHz",
        ),
        (
            "tang-nano-9k",
            17.5,
            "rPLL cannot make a clock of 17.5 MHz from the board's 27 MHz; the nearest that it can "
            "make: 16.875 and 18 MHz",
        ),
        (
            "ulx3s-25f",
            3,
            "EHXPLLL cannot make a clock of 3 MHz from the board's 25 MHz; the nearest that it can "
            "make: 3.125 MHz",
        ),
    ],
)
def test_a_clock_that_cannot_be_made(name: str, mhz: float, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        made(name, mhz)
    choose = " (choose with --clock, or clock.design_hz in the board file)"
    assert str(raised.value) == message + choose


def test_an_oscillator_that_no_pll_takes() -> None:
    with pytest.raises(ConfigError, match=r"5 MHz; it can make none \(choose"):
        ehxplll(5_000_000, 50e6)


def test_no_pll_for_the_oscillators_own_clock() -> None:
    assert made("ulx3s-25f", 25) is None
    assert made("orangecrab-25f", 48) is None
    assert made("icebreaker", 12) is None


def test_default_clocks() -> None:
    names = ("ulx3s-25f", "orangecrab-85f", "icebreaker", "tang-nano-9k", "tang-nano-20k")
    assert [design_hz(load_board(name)) / 1e6 for name in names] == [50, 48, 24, 27, 54]


def test_text() -> None:
    assert str(made("tang-nano-20k", 54)) == (
        "rPLL: 27 MHz to 54 MHz (phase detector 27 MHz, oscillator 864 MHz)"
    )
