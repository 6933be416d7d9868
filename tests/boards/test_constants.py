"""The netlist pass that takes constants off the wires."""

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from weft.boards.constants import localise_constants

HALVES = [f"{pin}{half}" for half in "01" for pin in "ABCD"]


def carry(**pins: int | str) -> dict[str, Any]:
    nets = dict.fromkeys((*HALVES, "CIN"), "1") | pins
    return {
        "type": "CCU2C",
        "parameters": {
            "INIT0": f"{0x7888:016b}",
            "INIT1": f"{0x96AA:016b}",
            "INJECT1_0": "NO",
            "INJECT1_1": "NO",
        },
        "connections": {pin: [net] for pin, net in nets.items()},
        "port_directions": {p: "output" if p in ("S0", "S1", "COUT") else "input" for p in nets},
    }


def register(di: int | str, q: int, **parameters: str) -> dict[str, Any]:
    pins = {"CLK": [2], "DI": [di], "LSR": ["0"], "Q": [q]}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "1 ", "LSRMUX": "LSR", "REGSET": "RESET"} | parameters,
        "connections": pins,
        "port_directions": {p: "output" if p == "Q" else "input" for p in pins},
    }


def multiplier() -> dict[str, Any]:
    zeros = [f"{kind}{i}" for kind in ("CLK", "RST") for i in range(4)] + ["SOURCEA", "A1"]
    pins = dict.fromkeys(zeros, "0") | {"CLK0": 2, "A0": 3, "P0": 4}
    pins |= dict.fromkeys(("CE0", "CE1", "CE2", "CE3", "SIGNEDA"), "1")
    return {
        "type": "MULT18X18D",
        "parameters": {"REG_INPUTA_CLK": "CLK0", "REG_INPUTA_CE": "CE1"},
        "connections": {pin: [net] for pin, net in pins.items()},
        "port_directions": {p: "output" if p == "P0" else "input" for p in pins},
    }


def module(**cells: dict[str, Any]) -> dict[str, Any]:
    return {"ports": {"o": {"direction": "output", "bits": [5, 6, 7]}}, "cells": cells}


def evaluate(cell: dict[str, Any], values: Mapping[Any, int]) -> tuple[int, int, int]:
    """S0, S1 and COUT of a carry cell, as yosys' model CCU2C has them."""
    value = {"0": 0, "1": 1, "x": 1} | dict(values)
    pins = {pin: value[nets[0]] for pin, nets in cell["connections"].items() if nets[0] in value}
    level, sums = pins["CIN"], []
    for half in "01":
        init = int(cell["parameters"][f"INIT{half}"], 2)
        lut4 = init >> sum(pins[f"{p}{half}"] << i for i, p in enumerate("ABCD")) & 1
        lut2 = init >> sum(pins[f"{p}{half}"] << i for i, p in enumerate("AB")) & 1
        sums.append(lut4 ^ level)
        level = level if lut4 else lut2
    return sums[0], sums[1], level


ZEROS = [
    pins
    for n in range(4)
    for pins in itertools.combinations(["C0", "D0", "C1", "D1", "A0", "B1"], n)
]


@pytest.mark.parametrize("zeros", ZEROS)
def test_carry_cells_compute_the_same(zeros: tuple[str, ...]) -> None:
    nets = {pin: 10 + i for i, pin in enumerate(HALVES)} | {"CIN": 30} | dict.fromkeys(zeros, "0")
    before = carry(**nets, S0=5, S1=6, COUT=7)
    m = module(add=copy.deepcopy(before))
    assert localise_constants(m) == (0, 0)
    after = m["cells"]["add"]
    assert not [
        pin for pin in after["connections"] if after["connections"][pin] == ["0"] and pin[0] in "CD"
    ]
    for bits in itertools.product((0, 1), repeat=9):
        values = dict(zip((*range(10, 18), 30), bits, strict=True))
        assert evaluate(after, values) == evaluate(before, values)


@pytest.mark.parametrize("value", ["0", "1"])
def test_a_carry_in_is_made_in_the_chain(value: str) -> None:
    m = module(add=carry(CIN=value, A0=3, S0=5, COUT=6), more=carry(CIN=6, S1=7))
    assert localise_constants(m) == (0, 0)
    assert set(m["cells"]) == {"add", "more", "add$carry_in"}
    source = m["cells"]["add$carry_in"]
    assert m["cells"]["add"]["connections"]["CIN"] == source["connections"]["COUT"] == [8]
    assert m["cells"]["more"]["connections"]["CIN"] == [6]
    assert {net for nets in source["connections"].values() for net in nets} == {"1", "x", 8}
    for unknown in (0, 1):  # whatever a chain's first carry-in is
        assert evaluate(source, {"x": unknown})[2] == int(value)


def test_multipliers_have_constants_of_their_own() -> None:
    m = module(mul=multiplier(), other=multiplier())
    assert localise_constants(m) == (4, 0)
    made = {}
    for name in ("mul", "other"):
        pins = m["cells"][name]["connections"]
        zero = m["cells"][f"{name}$constant_0"]
        one = m["cells"][f"{name}$constant_1"]
        assert (zero["parameters"]["INIT"], one["parameters"]["INIT"]) == ("0" * 16, "1" * 16)
        made[name] = (*zero["connections"]["Z"], *one["connections"]["Z"])
        assert [pins[pin][0] for pin in ("RST0", "SOURCEA", "CE0", "CE1", "SIGNEDA")] == [
            *made[name][:1] * 2,
            *made[name][1:] * 3,
        ]
        assert (pins["A0"], pins["A1"], pins["CLK0"], pins["P0"]) == ([3], ["0"], [2], [4])
        for pin in ("CLK1", "CLK2", "CLK3", "CE2", "CE3", "RST1", "RST2", "RST3"):
            assert pins[pin] == ["x"]
    assert len({net for nets in made.values() for net in nets}) == 4


def test_registers_that_never_change() -> None:
    """Also one behind another; not one that is set, or that has a second data input."""
    second = register("0", 20)
    second["connections"]["M"] = [21]
    m = module(
        first=register("0", 10),
        behind=register(10, 5),
        set=register("0", 6, REGSET="SET"),
        second=second,
        add=carry(CIN=9, A0=10, C0=10, S0=7),
    )
    assert localise_constants(m) == (0, 2)
    assert set(m["cells"]) == {"set", "second", "add"}
    assert m["ports"]["o"]["bits"] == ["0", 6, 7]
    pins = m["cells"]["add"]["connections"]
    assert (pins["A0"], pins["C0"]) == (["0"], ["1"])


def test_nothing_to_do() -> None:
    m = module(add=carry(CIN=9, A0=3, C0=4, S0=5), ff=register(3, 6))
    before = copy.deepcopy(m)
    assert localise_constants(m) == (0, 0)
    assert m == before
