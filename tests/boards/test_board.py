"""Board files: the ones that come with weft, and every way to get one wrong."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from weft.boards.board import Board, board_from_data, list_boards, load_board
from weft.nn.errors import ConfigError

GOOD: dict[str, Any] = load_board("ulx3s-25f").to_json()


def test_boards_that_come_with_weft() -> None:
    assert list_boards() == ["ulx3s-25f", "ulx3s-85f"]
    for name in list_boards():
        board = load_board(name)
        assert board.name == name
        assert board_from_data(board.to_json(), "x") == board
        assert Board.from_json(board.to_json()) == board


def test_budgets() -> None:
    small, large = (load_board(f"ulx3s-{n}f").budget for n in (25, 85))
    assert (small.lut, small.ff, small.dsp, small.bram, small.spram) == (24288, 24288, 28, 56, 0)
    assert (large.lut, large.ff, large.dsp, large.bram, large.spram) == (83640, 83640, 156, 208, 0)


@pytest.mark.parametrize("size", [25, 85])
def test_pins_are_those_of_amaranth_boards(size: int) -> None:
    module = importlib.import_module("amaranth_boards.ulx3s")
    platform = getattr(module, f"ULX3S_{size}F_Platform")
    board = load_board(f"ulx3s-{size}f")
    pins: dict[tuple[str, int], Any] = {}
    for resource in platform.resources:
        pins[resource.name, resource.number] = resource.ios
    uart = {sub.name: sub.ios[0].names for sub in pins["uart", 0]}
    assert (board.device.name, board.device.speed) == (platform.device, platform.speed)
    assert board.device.package == platform.package.replace("BG", "CABGA")
    assert pins["clk25", 0][0].names == [board.clock.pin]
    assert (uart["rx"], uart["tx"]) == ([board.uart.rx], [board.uart.tx])
    assert board.leds == tuple(pins["led", i][0].names[0] for i in range(8))


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
            "unknown board 'ulx3s-85'; did you mean 'ulx3s-85f'? Known boards: ulx3s-25f, "
            "ulx3s-85f; or give the path of a board file (.yaml)",
        ),
        (
            "zcu102",
            "unknown board 'zcu102'. Known boards: ulx3s-25f, ulx3s-85f; "
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
            "field 'clock' is missing; expected a mapping with pin, hz",
        ),
        (
            {**GOOD, "device": {"family": "ecp5", "name": "x", "package": "y"}},
            "field 'device.speed' is missing; "
            "expected a string (in quotes if it looks like a number)",
        ),
        (
            {**GOOD, "clock": {"pin": "G2", "hz": "25e6"}},
            "field 'clock.hz' must be an integer, not '25e6'",
        ),
        (
            {**GOOD, "uart": {"rx": 35, "tx": "L4"}},
            "field 'uart.rx' must be a string (in quotes if it looks like a number), not 35",
        ),
        ({**GOOD, "leds": "B2 C2"}, "field 'leds' must be a list of strings, not 'B2 C2'"),
        ({**GOOD, "leds": ["B2", 3]}, "field 'leds' must be a list of strings, not ['B2', 3]"),
        ({**GOOD, "uart": "M1"}, "field 'uart' must be a mapping of fields, not 'M1'"),
        (
            {**GOOD, "led": []},
            "unknown field 'led' (did you mean 'leds'?); expected: name, title, device, "
            "budget, clock, uart, leds, flash, sources",
        ),
        (
            {**GOOD, "clock": {"pin": "G2", "hz": 1, "pll": 2}},
            "unknown field 'clock.pll'; expected: pin, hz",
        ),
        ({**GOOD, "clock": {"pin": "G2", "hz": 0}}, "clock.hz must be more than 0, not 0"),
        (
            {**GOOD, "budget": {"lut": 1, "ff": 1, "dsp": -1, "bram": 1, "spram": 0}},
            "budget.dsp must be 0 or more, not -1",
        ),
        (
            {**GOOD, "device": {**GOOD["device"], "family": "xc7"}},
            "device.family must be one of ecp5, ice40, gowin, not 'xc7'",
        ),
        (
            {**GOOD, "flash": ["dfu-util"]},
            "flash must contain '{bitstream}' where the file's name goes",
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
