"""Board files: the ones that come with weft, and every way to get one wrong."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft.boards.board import Board, board_from_data, list_boards, load_board
from weft.boards.families.gowin import PARTS
from weft.errors import ConfigError

GOOD: dict[str, Any] = load_board("ulx3s-25f").to_json()
KNOWN = (
    "colorlight-i5, colorlight-i9, ecp5-evn, ice40-hx8k-evn, icebreaker, icesugar, "
    "orangecrab-25f, orangecrab-85f, tang-nano-20k, tang-nano-9k, ulx3s-12f, ulx3s-25f, "
    "ulx3s-45f, ulx3s-85f, upduino-3"
)


def test_boards_that_come_with_weft() -> None:
    assert ", ".join(list_boards()) == KNOWN
    for name in list_boards():
        board = load_board(name)
        assert board.name == name
        assert board_from_data(board.to_json(), "x") == board
        assert Board.from_json(board.to_json()) == board


def test_budgets() -> None:
    small, large = (load_board(f"ulx3s-{n}f").budget for n in (25, 85))
    assert (small.lut, small.ff, small.dsp, small.bram, small.spram) == (24288, 24288, 28, 56, 0)
    assert (large.lut, large.ff, large.dsp, large.bram, large.spram) == (83640, 83640, 156, 208, 0)


# Board -> module and class of amaranth-boards that its file names as the source.
SOURCES = {
    **{f"ulx3s-{n}f": ("ulx3s", f"ULX3S_{n}F_Platform") for n in (12, 25, 45, 85)},
    **{f"orangecrab-{n}f": ("orangecrab_r0_2", f"OrangeCrabR0_2_{n}FPlatform") for n in (25, 85)},
    "ecp5-evn": ("ecp5_5g_evn", "ECP55GEVNPlatform"),
    "icebreaker": ("icebreaker", "ICEBreakerPlatform"),
    "icesugar": ("icesugar", "ICESugarPlatform"),
    "upduino-3": ("upduino_v3", "UpduinoV3Platform"),
    "ice40-hx8k-evn": ("ice40_hx8k_b_evn", "ICE40HX8KBEVNPlatform"),
    "tang-nano-9k": ("tang_nano_9k", "TangNano9kPlatform"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_pins_are_those_of_amaranth_boards(name: str) -> None:
    module, cls = SOURCES[name]
    platform = getattr(importlib.import_module(f"amaranth_boards.{module}"), cls)
    board = load_board(name)
    resources = {(r.name, r.number): r for r in platform.resources}
    clock = next(r for r in resources.values() if r.clock is not None)
    assert clock.ios[0].names == [board.clock.pin]
    assert clock.clock.frequency == board.clock.hz
    if ("uart", 0) in resources:
        uart = {sub.name: sub.ios[0].names for sub in resources["uart", 0].ios}
        assert (uart["rx"], uart["tx"]) == ([board.uart.rx], [board.uart.tx])
    leds = [r.ios[0] for (kind, _), r in resources.items() if kind == "led"]
    leds += [sub.ios[0] for sub in getattr(resources.get(("rgb_led", 0)), "ios", ())]
    assert board.leds.pins == tuple(led.names[0] for led in leds)
    assert {led.invert for led in leds} == {board.leds.active == "low"}


@pytest.mark.parametrize("name", SOURCES)
def test_devices_are_those_of_amaranth_boards(name: str) -> None:
    module, cls = SOURCES[name]
    platform = getattr(importlib.import_module(f"amaranth_boards.{module}"), cls)
    device = load_board(name).device
    if device.family == "ecp5":
        package = platform.package.replace("BG", "CABGA").replace("MG", "CSFBGA")
        assert (device.name, device.package) == (platform.device, package)
        assert device.speed == platform.speed
    elif device.family == "ice40":
        assert f"iCE40{device.name}" == platform.device
        assert device.package == platform.package.lower()
    else:
        assert platform.part == f"{PARTS[device.name].prefix}{device.package}{device.speed}"
        assert device.name == platform.family


def test_own_file_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "name": "mine"}))
    assert load_board(path).name == "mine"
    assert load_board(str(path)) == load_board(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ulx3s-85",
            f"unknown board 'ulx3s-85'; did you mean 'ulx3s-85f'? Known boards: {KNOWN}; "
            "or give the path of a board file (.yaml)",
        ),
        (
            "zcu102",
            f"unknown board 'zcu102'. Known boards: {KNOWN}; "
            "or give the path of a board file (.yaml)",
        ),
        ("./no.yaml", "board file no.yaml cannot be read: No such file or directory"),
    ],
)
def test_unknown_board(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_board(name)
    assert str(raised.value) == message


def without(field: str) -> dict[str, Any]:
    return {k: v for k, v in GOOD.items() if k != field}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            without("clock"),
            "field 'clock' is missing; expected a mapping with pin, io, hz, design_hz, pll",
        ),
        (
            {**GOOD, "device": {"family": "ecp5", "name": "x", "package": "y"}},
            "field 'device.speed' is missing; "
            "expected a string (in quotes if it looks like a number)",
        ),
        (
            {**GOOD, "clock": {**GOOD["clock"], "hz": "25e6"}},
            "field 'clock.hz' must be an integer, not '25e6'",
        ),
        (
            {**GOOD, "uart": {**GOOD["uart"], "rx": 35}},
            "field 'uart.rx' must be a string (in quotes if it looks like a number), not 35",
        ),
        (
            {**GOOD, "leds": {**GOOD["leds"], "pins": "B2 C2"}},
            "field 'leds.pins' must be a list of strings, not 'B2 C2'",
        ),
        (
            {**GOOD, "leds": {**GOOD["leds"], "pins": ["B2", 3]}},
            "field 'leds.pins' must be a list of strings, not ['B2', 3]",
        ),
        (
            {**GOOD, "leds": {**GOOD["leds"], "active": "up"}},
            "leds.active must be 'high' or 'low', not 'up'",
        ),
        ({**GOOD, "notes": "solder"}, "field 'notes' must be a list of strings, not 'solder'"),
        ({**GOOD, "uart": "M1"}, "field 'uart' must be a mapping of fields, not 'M1'"),
        (
            {**GOOD, "led": []},
            "unknown field 'led' (did you mean 'leds'?); expected: name, title, device, "
            "budget, clock, uart, leds, flash, high, notes, sources",
        ),
        (
            {**GOOD, "clock": {**GOOD["clock"], "mhz": 2}},
            "unknown field 'clock.mhz' (did you mean 'hz'?); expected: pin, io, hz, design_hz, pll",
        ),
        (
            {**GOOD, "clock": {**GOOD["clock"], "pll": 2}},
            "field 'clock.pll' must be a string (in quotes if it looks like a number), not 2",
        ),
        (
            {**GOOD, "clock": {**GOOD["clock"], "hz": 0}},
            "clock.hz must be more than 0, not 0",
        ),
        (
            {**GOOD, "clock": {**GOOD["clock"], "design_hz": -1}},
            "clock.design_hz must be more than 0, not -1",
        ),
        (
            {**GOOD, "budget": {"lut": 1, "ff": 1, "dsp": -1, "bram": 1, "spram": 0}},
            "budget.dsp must be 0 or more, not -1",
        ),
        (
            {**GOOD, "device": {**GOOD["device"], "family": "xc7"}},
            "device.family must be one of ecp5, ice40, gowin, not 'xc7'",
        ),
        (
            {**GOOD, "flash": {"into": "sram", "command": ["dfu-util"]}},
            "flash.command must be a tool's name and its arguments, with '{bitstream}' where "
            "the file's name goes",
        ),
        (
            {**GOOD, "flash": {"into": "ram", "command": ["x", "{bitstream}"]}},
            "flash.into must be 'flash' or 'sram', not 'ram'",
        ),
        (["x"], "the top level must be a mapping of fields, not ['x']"),
        (None, "the top level must be a mapping of fields, not None"),
    ],
)
def test_wrong_field(tmp_path: Path, data: Any, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as raised:
        load_board(path)
    assert str(raised.value) == f"board file {path}: {message}"


def test_broken_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: x\nclock: {pin: G2\n")
    with pytest.raises(ConfigError) as raised:
        load_board(path)
    assert str(raised.value) == (
        f"board file {path}, line 3: not valid YAML: expected ',' or '}}', but got '<stream end>'"
    )


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as raised:
        load_board(path)
    assert str(raised.value) == f"board file {path} cannot be read: it is not UTF-8 text"
