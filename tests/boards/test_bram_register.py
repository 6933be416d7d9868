"""The netlist pass that moves a register into the block RAM before it."""

import copy
from typing import Any

import pytest

from weft.boards.bram_register import merge_output_registers

CLOCK, DATA, OUT = 2, [10, 11], [20, 21]


def ram() -> dict[str, Any]:
    pins = {"CLKA": ["0"], "CLKB": [CLOCK], "DOA0": [30], "DOB0": [DATA[0]], "DOB1": [DATA[1]]}
    for port in "AB":
        pins |= {f"OCE{port}": ["1"], f"RST{port}": ["0"]}
    return {
        "type": "DP16KD",
        "parameters": {f"REGMODE_{p}": "NOREG" for p in "AB"}
        | {f"CLK{p}MUX": f"CLK{p}" for p in "AB"}
        | {f"DATA_WIDTH_{p}": f"{18:032b}" for p in "AB"},
        "connections": pins,
        "port_directions": {p: "output" if p.startswith("DO") else "input" for p in pins},
    }


def register(i: int) -> dict[str, Any]:
    pins = {"CLK": [CLOCK], "DI": [DATA[i]], "LSR": ["0"], "Q": [OUT[i]]}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"},
        "connections": pins,
        "port_directions": {p: "output" if p == "Q" else "input" for p in pins},
    }


def module() -> dict[str, Any]:
    return {
        "ports": {"out": {"direction": "output", "bits": OUT}},
        "cells": {"ram": ram(), "r0": register(0), "r1": register(1)},
    }


def test_registers_move_into_the_block_ram() -> None:
    m = module()
    assert merge_output_registers(m) == 2
    assert list(m["cells"]) == ["ram"]
    pins = m["cells"]["ram"]["connections"]
    assert (pins["DOB0"], pins["DOB1"], pins["DOA0"]) == ([DATA[0]], [DATA[1]], [30])
    assert m["ports"]["out"]["bits"] == DATA
    parameters = m["cells"]["ram"]["parameters"]
    assert (parameters["REGMODE_A"], parameters["REGMODE_B"]) == ("OUTREG", "OUTREG")
    assert merge_output_registers(m) == 0


def test_36_bit_words_are_read_under_port_b() -> None:
    m = module()
    pins, parameters = m["cells"]["ram"]["connections"], m["cells"]["ram"]["parameters"]
    pins |= {"DOA0": [DATA[0]], "DOB0": [DATA[1]], "DOB1": [31], "OCEA": ["0"]}
    assert merge_output_registers(copy.deepcopy(m)) == 0  # narrow: port A has no clock
    parameters |= {f"DATA_WIDTH_{p}": f"{36:032b}" for p in "AB"}
    assert merge_output_registers(m) == 2
    assert m["ports"]["out"]["bits"] == DATA
    assert (pins["OCEA"], pins["OCEB"]) == (["1"], ["1"])


def lut(*nets: int, z: int = 99) -> dict[str, Any]:
    pins = {pin: [net] for pin, net in zip("ABCD", nets, strict=False)} | {"Z": [z]}
    directions = {pin: "output" if pin == "Z" else "input" for pin in pins}
    return {"type": "LUT4", "parameters": {}, "connections": pins, "port_directions": directions}


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("r0", {"connections": {"CLK": [3]}}),
        ("r1", {"parameters": {"CLKMUX": "INV"}}),
        ("r0", {"parameters": {"CEMUX": "CE"}}),
        ("r0", {"connections": {"LSR": [5]}}),
        ("r0", {"parameters": {"LSRMUX": "INV"}}),
        ("r1", {"parameters": {"REGSET": "SET"}}),
        ("ram", {"connections": {"OCEB": ["0"]}}),
        ("ram", {"connections": {"RSTB": [7]}}),
        ("ram", {"parameters": {"CLKBMUX": "INV"}}),
        ("ram", {"parameters": {"REGMODE_A": "OUTREG"}}),
        ("lut", lut(DATA[0])),  # the data is also used without the register
        ("lut", lut(30)),  # and so is the other port's
        ("r1", lut(DATA[1])),
    ],
)
def test_a_block_ram_that_must_stay(where: str, change: dict[str, Any]) -> None:
    m = module()
    m["ports"]["z"] = {"direction": "output", "bits": [99]}
    cell = m["cells"].setdefault(where, {})
    for key, value in change.items():
        cell[key] = {**cell.get(key, {}), **value} if isinstance(value, dict) else value
    before = copy.deepcopy(m)
    assert merge_output_registers(m) == 0
    assert m == before


def deep_module() -> dict[str, Any]:
    """Two blocks, a block select for each of two bits, and a register behind each."""
    m = module()
    other = ram()
    other["connections"] |= {"DOB0": [12], "DOB1": [13]}
    m["cells"] |= {"other": other, "r0": register(0), "r1": register(1)}
    for i, (own, far) in enumerate(((10, 12), (11, 13))):
        m["cells"][f"mux{i}"] = lut(own, far, 40, z=50 + i)
        m["cells"][f"r{i}"]["connections"]["DI"] = [50 + i]
    return m


def test_registers_move_through_a_block_select() -> None:
    """The block select works a cycle later, so its select signal gets a register: 2 - 1 saved."""
    m = deep_module()
    assert merge_output_registers(m) == 1
    cells = m["cells"]
    assert all(cells[name]["parameters"]["REGMODE_B"] == "OUTREG" for name in ("ram", "other"))
    assert m["ports"]["out"]["bits"] == [50, 51]
    (select,) = (cell for cell in cells.values() if cell["type"] == "TRELLIS_FF")
    pins = select["connections"]
    assert (pins["DI"], pins["CLK"], pins["LSR"]) == ([40], [CLOCK], ["0"])
    for i in range(2):
        mux = cells[f"mux{i}"]["connections"]
        assert (mux["A"], mux["B"], mux["C"]) == ([DATA[i]], [12 + i], pins["Q"])
    assert merge_output_registers(m) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"r0": register(0) | {"parameters": {"CEMUX": "CE"}}},
        {"far": lut(51)},  # the selected word is used without the register
        {"far": lut(12)},  # a block's own word is
        {"other": ram() | {"parameters": ram()["parameters"] | {"REGMODE_B": "OUTREG"}}},
    ],
)
def test_a_block_select_that_must_stay(change: dict[str, Any]) -> None:
    """What meets in one block select moves together or not at all."""
    m = deep_module()
    m["ports"]["z"] = {"direction": "output", "bits": [99]}
    for name, cell in change.items():
        old = m["cells"].get(name, cell)["connections"]
        m["cells"][name] = cell | {"connections": cell["connections"] | old}
    before = copy.deepcopy(m)
    assert merge_output_registers(m) == 0
    assert m == before


def test_data_that_is_an_output_of_the_design() -> None:
    m = module()
    m["ports"]["early"] = {"direction": "output", "bits": [DATA[1]]}
    assert merge_output_registers(m) == 0
