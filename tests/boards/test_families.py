"""Families: command lines, constraint files, resource counts."""

from typing import Any

import pytest

from weft.boards.board import load_board
from weft.boards.families.family import Files
from weft.boards.families.lookup import FAMILIES, family_of
from weft.boards.top import board_pins
from weft.errors import ConfigError

FILES = Files("n.json", "c", "p", "r.json", "b")


def test_every_board_belongs_to_a_family() -> None:
    assert list(FAMILIES) == ["ecp5", "ice40", "gowin"]
    board = load_board("ulx3s-25f")
    with pytest.raises(ConfigError) as raised:
        family_of(board.replace(device=board.device.replace(name="LFE5U-26F")))
    assert str(raised.value).startswith(
        "board 'ulx3s-25f': unknown ECP5 device 'LFE5U-26F'; known: LFE5U-12F, LFE5U-25F, "
    )
    board = load_board("icebreaker")
    with pytest.raises(ConfigError) as raised:
        family_of(board.replace(clock=board.clock.replace(pll="EHXPLLL")))
    assert str(raised.value) == (
        "board 'icebreaker': clock.pll must be one of SB_PLL40_CORE, SB_PLL40_PAD, not 'EHXPLLL'"
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("ulx3s-85f", "synth_ecp5 -top t -no-rw-check -json n.json"),
        ("icebreaker", "synth_ice40 -top t -device u -no-rw-check -json n.json"),
        ("ice40-hx8k-evn", "synth_ice40 -top t -device hx -no-rw-check -json n.json"),
        ("tang-nano-9k", "synth_gowin -top t -family gw1n -no-rw-check -json n.json"),
        ("tang-nano-20k", "synth_gowin -top t -family gw2a -no-rw-check -json n.json"),
    ],
)
def test_synthesis(name: str, command: str) -> None:
    """No -dsp for iCE40: it miscompiles."""
    board = load_board(name)
    assert family_of(board).synth_command(board.device, "t", "n.json") == command


@pytest.mark.parametrize(
    ("name", "place", "pack"),
    [
        (
            "ulx3s-12f",
            "--12k --package CABGA381 --speed 6 --json n.json --lpf c --textcfg p --report r.json "
            "--freq 50 --detailed-timing-report",
            "--compress p b",
        ),
        (
            "orangecrab-85f",
            "--85k --package CSFBGA285 --speed 8 --json n.json --lpf c --textcfg p "
            "--report r.json --freq 50 --detailed-timing-report",
            "--compress --freq 38.8 p b",
        ),
        (
            "ecp5-evn",
            "--um5g-85k --package CABGA381 --speed 8 --json n.json --lpf c --textcfg p "
            "--report r.json --freq 50 --detailed-timing-report",
            "--compress p b",
        ),
        (
            "icesugar",
            "--up5k --package sg48 --json n.json --pcf c --asc p --report r.json --freq 50",
            "p b",
        ),
        (
            "tang-nano-9k",
            "--device GW1NR-LV9QN88PC6/I5 --vopt family=GW1N-9C --vopt cst=c --json n.json "
            "--write p --report r.json --freq 50",
            "-d GW1N-9C --sspi_as_gpio --mspi_as_gpio -o b p",
        ),
        (
            "tang-nano-20k",
            "--device GW2AR-LV18QN88C8/I7 --vopt family=GW2A-18C --vopt cst=c --json n.json "
            "--write p --report r.json --freq 50",
            "-d GW2A-18C -o b p",
        ),
    ],
)
def test_command_lines(name: str, place: str, pack: str) -> None:
    board = load_board(name)
    family = family_of(board)
    assert family.nextpnr_arguments(board.device, FILES, 50e6) == place.split()
    assert family.pack_arguments(board.device, FILES) == pack.split()


def constraints(name: str) -> list[str]:
    board = load_board(name)
    return family_of(board).constraints(board_pins(board), board.clock).splitlines()


def test_lpf() -> None:
    lines = constraints("ecp5-evn")
    assert lines[:7] == [
        'LOCATE COMP "clk" SITE "A10";',
        'IOBUF PORT "clk" IO_TYPE=LVCMOS33;',
        'LOCATE COMP "uart_rx" SITE "P2";',
        'IOBUF PORT "uart_rx" IO_TYPE=LVCMOS33 PULLMODE=UP;',
        'LOCATE COMP "uart_tx" SITE "P3";',
        'IOBUF PORT "uart_tx" IO_TYPE=LVCMOS33;',
        'LOCATE COMP "led[0]" SITE "A13";',
    ]
    assert lines[7] == 'IOBUF PORT "led[0]" IO_TYPE=LVCMOS25;'
    assert lines[-1] == 'FREQUENCY PORT "clk" 12 MHZ;'  # the oscillator's
    assert len(lines) == 2 * (3 + 8) + 1
    assert 'LOCATE COMP "led" SITE "U16";' in constraints("colorlight-i5")


def test_pcf() -> None:
    assert constraints("icebreaker") == [
        "set_io clk 35",
        "set_io -pullup yes uart_rx 6",
        "set_io uart_tx 9",
        "set_io led[0] 11",
        "set_io led[1] 37",
    ]
    assert constraints("upduino-3")[-1] == "set_io high 16"


def test_cst() -> None:
    lines = constraints("tang-nano-20k")
    assert lines[:4] == [
        'IO_LOC "clk" 4;',
        'IO_PORT "clk" IO_TYPE=LVCMOS33;',
        'IO_LOC "uart_rx" 70;',
        'IO_PORT "uart_rx" IO_TYPE=LVCMOS33 PULL_MODE=UP;',
    ]
    assert len(lines) == 2 * (3 + 6)


@pytest.mark.parametrize(
    ("family", "cells", "expected"),
    [
        (
            "ecp5",
            {"LUT4": 5, "CCU2C": 2, "TRELLIS_DPR16X4": 3, "PFUMX": 9, "DP16KD": 4},
            {"lut": 5 + 2 * 2 + 3 * 4, "bram": 4, "carry": 2},
        ),
        (
            "ecp5",
            {"TRELLIS_FF": 6, "MULT18X18D": 2, "PDPW16KD": 1},
            {"ff": 6, "dsp": 2, "bram": 1},
        ),
        (
            "ice40",
            {"SB_LUT4": 5, "SB_CARRY": 3, "SB_DFF": 1, "SB_DFFESR": 2, "SB_MAC16": 4},
            {"lut": 5, "carry": 3, "ff": 3, "dsp": 4},
        ),
        (
            "ice40",
            {"SB_RAM40_4K": 1, "SB_RAM40_4KNR": 2, "SB_SPRAM256KA": 4},
            {"bram": 3, "spram": 4},
        ),
        (
            "gowin",
            {"LUT1": 1, "LUT4": 2, "ALU": 3, "MUX2_LUT5": 9, "RAM16SDP4": 1, "DFFRE": 2, "DFF": 1},
            {"lut": 1 + 2 + 3 + 4, "carry": 3, "ff": 3},
        ),
        (
            "gowin",
            {"MULT9X9": 3, "MULT18X18": 2, "SDPX9B": 1, "DPX9B": 1, "SPX9": 1, "pROM": 1},
            {"dsp": 4, "bram": 4},
        ),
    ],
)
def test_resources(family: str, cells: dict[str, int], expected: dict[str, Any]) -> None:
    found = FAMILIES[family].resources(cells).to_json()
    zero = dict.fromkeys(("lut", "ff", "dsp", "bram", "spram", "carry"), 0)
    assert found == {**zero, **expected}


def test_placed() -> None:
    use: dict[str, dict[str, int]] = {"TRELLIS_COMB": {"used": 7}, "ICESTORM_LC": {"used": 8}}
    use |= {"LUT4": {"used": 9}, "ALU": {"used": 2}, "RAM16SDP4": {"used": 1}}
    assert [family.placed(use) for family in FAMILIES.values()] == [7, 8, 9 + 2 + 4]
