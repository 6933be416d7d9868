"""The whole flow on a small design, family by family: what it writes and reports."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.boards.synth import synthesise
from weft.boards.synth_report import SynthReport

FakeBuild = Callable[[str], Path]


def test_bitstream(fake_build: FakeBuild) -> None:
    """Up to a bitstream for the small board: about 20 s."""
    build = fake_build("ulx3s-25f")
    stages: list[str] = []
    report = synthesise(build, progress=stages.append)
    assert stages == [
        "yosys: synthesis for ulx3s-25f",
        "nextpnr: place and route, seed 1, 50 MHz",
        "ecppack: bitstream",
    ]
    # Four lanes of weft_mul as MULT18X18D (with their registers), two memories, the link's buffer.
    assert (report.dsp, report.bram) == (4, 3)
    assert 300 < report.lut < 1000
    assert 200 < report.ff < 800
    assert report.comb is not None
    assert report.lut <= report.comb < 1.3 * report.lut
    assert report.timing is not None
    assert report.timing.fmax_mhz > 100
    assert (report.timing.clock_mhz, report.timing.met) == (50, True)
    assert report.pll is not None  # 25 MHz come from the oscillator
    assert report.pll.startswith("EHXPLLL: 25 MHz to 50 MHz ")
    assert " ns, " in report.timing.critical_path
    assert report.seeds == (1,)
    assert [line.split()[0] for line in report.tools] == ["yosys", "nextpnr-ecp5", "ecppack"]
    bitstream = (build / "bitstream.bit").read_bytes()
    assert bitstream == (build / "synth/board_top.bit").read_bytes()
    assert b"LFE5U-25F" in bitstream[:200]
    stored = json.loads((build / "report.json").read_text())
    assert stored["prediction"] == {"lut": 1}
    assert stored["synthesis"]["fmax_mhz"] == report.fmax_mhz
    assert SynthReport.from_json(stored["synthesis"]) == report


@pytest.mark.parametrize(
    ("name", "clock_mhz", "suffix", "dsp", "magic"),
    [
        ("icebreaker", 24, "bin", 4, b"\x7e\xaa\x99\x7e"),
        ("ice40-hx8k-evn", 48, "bin", 0, b"\x7e\xaa\x99\x7e"),
        ("tang-nano-9k", 27, "fs", 2, b"0" * 40),
    ],
)
def test_bitstreams_of_other_families(
    fake_build: FakeBuild, name: str, clock_mhz: float, suffix: str, dsp: int, magic: bytes
) -> None:
    """About 15 s each. Four 8 x 8 multipliers: LUTs on an HX8K, halves of two DSPs on Gowin."""
    build = fake_build(name)
    report = synthesise(build, clock_mhz=clock_mhz)
    assert report.dsp == dsp
    assert report.bram in (3, 4)  # with the link's buffer; a block has 16 bits on iCE40
    assert report.comb is not None
    assert report.lut <= report.comb < 2 * report.lut
    assert report.timing is not None
    assert (report.timing.clock_mhz, report.timing.met) == (clock_mhz, True)
    assert report.bitstream == f"bitstream.{suffix}"
    assert magic in (build / f"bitstream.{suffix}").read_bytes()[:20_000]


def test_yosys_only(fake_build: FakeBuild) -> None:
    build = fake_build("ulx3s-85f")
    report = synthesise(build, place_and_route=False)
    assert (report.dsp, report.bram, report.fmax_mhz, report.bitstream) == (4, 3, None, None)
    assert not (build / "bitstream.bit").exists()
    assert json.loads((build / "report.json").read_text())["synthesis"] == report.to_json()
