"""Which seeds are placed and routed, and in which order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.boards.fake_tools import failure
from weft.boards.place_route import MAX_SEEDS
from weft.boards.synth import synthesise
from weft.boards.toolchain import RunError
from weft.errors import ConfigError, ToolError

FakeBuild = Callable[[str], Path]


def seeds_of(calls: list[list[str]], *, placed: bool) -> list[str]:
    """Seeds of nextpnr's runs: of those that only place, or of the others."""
    runs = [call for call in calls if call[0] == "nextpnr-ecp5"]
    return [run[run.index("--seed") + 1] for run in runs if ("--no-route" in run) == placed]


def test_other_seeds_are_tried_and_reported(fake_build: FakeBuild, no_tools: Any) -> None:
    build = fake_build("ulx3s-25f")
    calls = no_tools([failure("ERROR: Failed to route arc 7"), failure("", timed_out=True), ""])
    stages: list[str] = []
    report = synthesise(
        build, seed=5, clock_mhz=25, allow_timing_failure=True, progress=stages.append
    )
    assert report.seeds == (5, 6, 7)
    assert report.pnr_seconds == 4.0  # the failed runs count
    assert [c[c.index("--seed") + 1] for c in calls if c[0] == "nextpnr-ecp5"] == ["5", "6", "7"]
    assert stages[2] == "nextpnr: no result with seed 5, trying the next one"
    assert (report.lut, report.ff, report.carry) == (16, 7, 3)
    assert report.timing is not None
    assert (report.timing.fmax_mhz, report.timing.clock_mhz) == (20.0, 25.0)
    assert not report.timing.met
    assert report.bitstream == "bitstream.bit"
    assert report.timing.critical_path == "a.P -> b.P: 2.50 ns, 1.25 of it routing, logic levels: 1"
    assert 'FREQUENCY PORT "clk" 25 MHZ;' in (build / "synth/board_top.lpf").read_text()


def test_seeds_are_bounded(fake_build: FakeBuild, no_tools: Any) -> None:
    calls = no_tools([failure("", timed_out=True)] * 4)
    with pytest.raises(RunError):
        synthesise(fake_build("ulx3s-25f"))
    assert sum(call[0] == "nextpnr-ecp5" for call in calls) == MAX_SEEDS


def test_no_seed_cures_other_errors(fake_build: FakeBuild, no_tools: Any) -> None:
    calls = no_tools([failure("ERROR: cell type 'FOO' is unsupported"), ""])
    with pytest.raises(RunError):
        synthesise(fake_build("ulx3s-25f"))
    assert sum(call[0] == "nextpnr-ecp5" for call in calls) == 1


def estimate(mhz: float) -> str:
    """What nextpnr logs after placing, of two clocks."""
    line = "Info: Max frequency for clock '$glbnet$c': {:.2f} MHz (FAIL at 125.00 MHz)\n"
    return line.format(mhz) + line.format(mhz + 7)


def test_the_fastest_placement_is_routed(fake_build: FakeBuild, no_tools: Any) -> None:
    calls = no_tools([estimate(80), estimate(95.5), estimate(90), failure("Failed to route"), ""])
    stages: list[str] = []
    report = synthesise(
        fake_build("ulx3s-25f"),
        clock_mhz=25,
        seed=3,
        placements=3,
        allow_timing_failure=True,
        progress=stages.append,
    )
    assert seeds_of(calls, placed=True) == ["3", "4", "5"]
    assert seeds_of(calls, placed=False) == ["4", "5"]  # from the fastest down
    assert report.seeds == (4, 5)
    assert report.pnr_seconds == 9.0
    assert stages[2] == "nextpnr: seed 4 placed: 95.5 MHz before routing"


def test_what_cannot_be_placed_is_left_out(fake_build: FakeBuild, no_tools: Any) -> None:
    fails = failure("ERROR: Unable to find legal placement")
    calls = no_tools([fails, estimate(80), fails, ""])
    build = fake_build("ulx3s-25f")
    report = synthesise(build, clock_mhz=25, placements=3, allow_timing_failure=True)
    assert seeds_of(calls, placed=False) == ["2"]
    assert (report.seeds, report.bitstream) == ((2,), "bitstream.bit")


def test_no_placement_at_all(fake_build: FakeBuild, no_tools: Any) -> None:
    calls = no_tools([failure("ERROR: Unable to find legal placement")] * 3)
    with pytest.raises(RunError):
        synthesise(fake_build("ulx3s-25f"), placements=2)
    assert seeds_of(calls, placed=True) == ["1", "2"]
    assert seeds_of(calls, placed=False) == []


def test_an_estimate_is_needed(fake_build: FakeBuild, no_tools: Any) -> None:
    no_tools(["Info: something else"])
    build = fake_build("ulx3s-25f")
    with pytest.raises(ToolError) as raised:
        synthesise(build, placements=2)
    log = build / "synth/place-1.log"
    assert str(raised.value) == (
        f"{log}: nextpnr gives no estimate of the clock to choose by; leave out --placements"
    )


def test_the_number_of_placements_is_checked(fake_build: FakeBuild) -> None:
    with pytest.raises(ConfigError) as raised:
        synthesise(fake_build("ulx3s-25f"), placements=0)
    assert str(raised.value) == "placements must be a whole number from 1 to 100, not 0"
