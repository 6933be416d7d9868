"""Synthesis: the flow on a small design, and what it says when something is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.boards.fake_tools import PNR
from weft.boards import synth
from weft.boards.build_dir import merge_report, open_build
from weft.boards.families.lookup import FAMILIES
from weft.boards.synth import finish_netlist, synthesise
from weft.boards.synth_report import read_pnr, read_stat
from weft.errors import ConfigError, FitError, ToolError

FakeBuild = Callable[[str], Path]


def edit_manifest(build: Path, **changes: Any) -> None:
    path = build / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("name", "pll"),
    [
        ("ulx3s-25f", "EHXPLLL: 25 MHz to 60 MHz"),
        ("upduino-3", "SB_PLL40_CORE: 12 MHz to 60 MHz"),
        ("tang-nano-20k", "rPLL: 27 MHz to 60 MHz"),
    ],
)
def test_the_uart_follows_the_clock(
    fake_build: FakeBuild, no_tools: Any, name: str, pll: str
) -> None:
    no_tools([])
    build = fake_build(name)
    report = synthesise(build, clock_mhz=60, place_and_route=False)
    assert report.pll is not None
    assert report.pll.startswith(pll)
    text = (build / "synth/board_top.v").read_text()
    assert f"{report.pll.split(':')[0]} #(" in text
    assert "6'h3b" in text  # 59: the receiver counts 60 cycles per bit
    assert "6'h2f" not in text


@pytest.mark.parametrize("name", ["icebreaker", "ice40-hx8k-evn"])
def test_multipliers_are_portable_on_a_device_without_any(fake_build: FakeBuild, name: str) -> None:
    build = fake_build(name)
    (build / "synth").mkdir()
    opened = open_build(build)
    own = synth.vendor_sources(opened, "ice40") != list(opened.sources)
    assert own == (opened.board.budget.dsp > 0)


def test_vendor_cells_replace_portable_ones(fake_build: FakeBuild) -> None:
    build = fake_build("ulx3s-25f")
    (build / "synth").mkdir()
    sources = synth.vendor_sources(open_build(build), "ecp5")
    assert sources == ["rtl/weft_top.v", "rtl/cells/weft_ram.v", "synth/cells/weft_mul.v"]
    assert "MULT18X18D" in (build / "synth/cells/weft_mul.v").read_text()


def test_broken_verilog(fake_build: FakeBuild) -> None:
    build = fake_build("ulx3s-25f")
    (build / "rtl/weft_top.v").write_text("module weft_top(;\nendmodule\n")
    (build / "bitstream.bit").write_text("of an earlier design")
    with pytest.raises(ToolError) as raised:
        synthesise(build)
    lines = str(raised.value).splitlines()
    assert lines[:3] == [
        "yosys failed with exit code 1",
        "  command: yosys -q -l synth/yosys.log -s synth/yosys.ys",
        f"  log: {build / 'synth/yosys.log'}",
    ]
    assert lines[3].startswith("  | rtl/weft_top.v:1: ERROR: syntax error")
    assert not (build / "bitstream.bit").exists()
    assert json.loads((build / "report.json").read_text()) == {"prediction": {"lut": 1}}


def test_does_not_fit(fake_build: FakeBuild) -> None:
    build = fake_build("ulx3s-25f")
    board = json.loads((build / "manifest.json").read_text())["board_file"]
    board["budget"]["dsp"] = 1
    edit_manifest(build, board_file=board)
    with pytest.raises(FitError) as raised:
        synthesise(build)
    assert str(raised.value) == (
        "the design does not fit ulx3s-25f: it needs 4 multipliers (MULT18X18D), the board has 1; "
        "try fewer --lanes or --columns, or a larger board"
    )
    assert json.loads((build / "report.json").read_text())["synthesis"]["dsp"] == 4


def test_missed_timing_is_refused(fake_build: FakeBuild, no_tools: Any) -> None:
    build = fake_build("ulx3s-25f")
    (build / "bitstream.bit").write_text("of an earlier design")
    calls = no_tools([""])
    with pytest.raises(FitError) as raised:
        synthesise(build, clock_mhz=25)
    assert str(raised.value) == (
        "timing: the design reaches 20 MHz on ulx3s-25f, its clock is 25 MHz; "
        "no bitstream was written\n"
        "  critical path: a.P -> b.P: 2.50 ns, 1.25 of it routing, logic levels: 1\n"
        "  try --clock 19, --placements 3, another --seed, or --allow-timing-failure for a "
        "bitstream that may compute wrong results"
    )
    assert not (build / "bitstream.bit").exists()
    assert [call[0] for call in calls] == ["yosys", "nextpnr-ecp5"]
    stored = json.loads((build / "report.json").read_text())["synthesis"]
    assert (stored["fmax_mhz"], stored["bitstream"]) == (20.0, None)


HOLD = """
Info: 2 Hold/min time violations (showing 10 worst paths):
Warning: Hold/min time violation for clock 'posedge clk$5':
Info:       type curr  total name
Info:   clk-to-q  0.20  0.20 Source a.Q
Info:    routing  0.64  0.85 Net n (5,2) -> (4,9)
Info:       hold -0.12  0.73 Source b.ADB5
Info:       hold -0.67 -0.02 Source c.D
"""


def test_a_hold_violation_is_refused(
    fake_build: FakeBuild, no_tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Then with slack left, as Gowin's block RAMs have it.
    no_tools([HOLD, HOLD.rpartition("Info:")[0]])
    monkeypatch.setitem(PNR["fmax"]["clk"], "achieved", 30.0)
    build = fake_build("ulx3s-25f")
    with pytest.raises(FitError) as raised:
        synthesise(build, clock_mhz=25)
    assert str(raised.value) == (
        "timing: a path on ulx3s-25f is 0.02 ns too fast (hold time); no bitstream was written; "
        "try another --seed, or --allow-timing-failure for a bitstream that may compute wrong "
        "results"
    )
    report = synthesise(build, clock_mhz=25)
    assert report.timing is not None
    assert (report.timing.hold_slack_ns, report.timing.met) == (0.73, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top": "x"}, "{manifest}: field 'top' must be 'weft_top', not 'x'"),
        (
            {"lanes": 0},
            "{manifest}: field 'lanes' must be an integer of 1 or more, not 0",
        ),
        (
            {"output_words": None},
            "{manifest}: field 'output_words' must be an integer of 1 or more, not None",
        ),
        (
            {"image_limits": [1, 2.0]},
            "{manifest}: field 'image_limits' must be a list of integers, not [1, 2.0]",
        ),
        (
            {"image_limits": [1, -2]},
            "{manifest}: image_limits must be 1 to 256 numbers of 0 to 16777216, not (1, -2)",
        ),
        (  # of a weft whose image writes had other addresses
            {"image_memories": None},
            "{manifest}: field 'image_memories' must name the memories of 'image_limits', not be "
            "None: the build is of another weft; compile the model again",
        ),
        (
            {"plan_hash": "12"},
            "{manifest}: field 'plan_hash' must be 64 hexadecimal digits, not '12'",
        ),
        (
            {"sources": "a.v"},
            "{manifest}: field 'sources' must be a list of file names, not 'a.v'",
        ),
        ({"sources": ["a.v"]}, "{manifest}: source 'a.v' does not exist in {build}"),
        (
            {"board_file": {}},
            "{manifest}, 'board_file': field 'name' is missing; "
            "expected a string (in quotes if it looks like a number)",
        ),
    ],
)
def test_wrong_manifest(fake_build: FakeBuild, changes: dict[str, Any], message: str) -> None:
    build = fake_build("ulx3s-25f")
    edit_manifest(build, **changes)
    with pytest.raises(ConfigError) as raised:
        synthesise(build)
    assert str(raised.value) == message.format(manifest=build / "manifest.json", build=build)


def test_no_build_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        synthesise(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} is not a build directory: it has no manifest.json; "
        f"make one with `weft compile MODEL.onnx --board NAME -o {tmp_path}`"
    )


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            {"family": "ice40"},
            "board 'ulx3s-25f': unknown iCE40 device 'LFE5U-25F'; known: UP5K, HX1K, HX4K, HX8K, "
            "LP1K, LP4K, LP8K",
        ),
        (
            {"family": "gowin", "name": "GW1N-1"},
            "board 'ulx3s-25f': unknown Gowin device 'GW1N-1'; known: GW1NR-9C, GW2AR-18C",
        ),
    ],
)
def test_unsupported_device(fake_build: FakeBuild, device: dict[str, str], message: str) -> None:
    build = fake_build("ulx3s-25f")
    board = json.loads((build / "manifest.json").read_text())["board_file"]
    board["device"].update(device)
    edit_manifest(build, board_file=board)
    with pytest.raises(ConfigError) as raised:
        synthesise(build)
    assert str(raised.value) == message


@pytest.mark.parametrize("mhz", [-1, 0, float("nan"), float("inf")])
def test_the_clock_is_checked(fake_build: FakeBuild, mhz: float) -> None:
    with pytest.raises(ConfigError) as raised:
        synthesise(fake_build("ulx3s-25f"), clock_mhz=mhz)
    assert str(raised.value) == f"the clock in MHz must be a number from 0.001 to 1000, not {mhz}"


def test_merge_report(tmp_path: Path) -> None:
    merge_report(tmp_path, "synthesis", {"lut": 1})
    merge_report(tmp_path, "other", {"x": 2})
    merge_report(tmp_path, "synthesis", {"lut": 3})
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == {"synthesis": {"lut": 3}, "other": {"x": 2}}
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(ConfigError) as raised:
        merge_report(tmp_path, "synthesis", {})
    assert (
        str(raised.value)
        == f"{tmp_path / 'report.json'} must hold a JSON object; compile the model again"
    )


def test_stat(tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    path.write_text(json.dumps({"design": {"num_cells_by_type": {"LUT4": 5, "CCU2C": 2}}}))
    assert read_stat(path, FAMILIES["ecp5"]).lut == 5 + 2 * 2
    path.write_text("{}")
    with pytest.raises(ToolError) as raised:
        read_stat(path, FAMILIES["ecp5"])
    assert str(raised.value) == f"{path}: not the report that was expected: no field 'design'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fmax": {}}, "nextpnr found no clock; has the design any register?"),
        (
            {"fmax": {"clk": {"achieved": 99.0, "constraint": 12.0}}},
            "nextpnr took the clock for 12 MHz, but it runs at 25 MHz",
        ),
        ({"utilization": {}}, "not the report that was expected: no 'TRELLIS_COMB'"),
    ],
)
def test_pnr_report_that_says_something_else(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path, log = tmp_path / "nextpnr.json", tmp_path / "log"
    path.write_text(json.dumps({**PNR, **change}))
    log.touch()
    with pytest.raises(ToolError) as raised:
        read_pnr(path, log, FAMILIES["ecp5"], 25e6)
    assert str(raised.value) == f"{path}: {message}"


def test_a_file_that_is_not_the_netlist(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"modules": {"top": {"cells": {}, "ports": {}}}}))
    assert finish_netlist(FAMILIES["ecp5"], path, "top") == (0, 0)
    for text, why in ((path.read_text(), "'other'"), ("[1]", "list indices must be integers or")):
        path.write_text(text)
        with pytest.raises(ToolError) as raised:
            finish_netlist(FAMILIES["ecp5"], path, "other")
        assert str(raised.value).startswith(f"{path}: not the netlist that was expected: {why}")
