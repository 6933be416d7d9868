"""Constants of an ECP5 netlist that nextpnr would route, where no wire is needed.

nextpnr drives all constants that a cell cannot make itself from one lookup table: some thousand
wires across the whole chip in a large design, which its router searches long for. This pass edits
the netlist before: registers that never change go, carry chains begin with a cell that makes their
carry-in, lookup tables of carry cells take constant operands into their contents, and
each multiplier gets a zero and a one of its own.
Ref: yosys' models CCU2C and TRELLIS_FF; nextpnr 0.11.1 leaves CIN, C, D, and the multipliers' CE,
RST, SIGNED and SOURCE to the wires.
"""

from collections.abc import Iterable, Iterator
from typing import Any

Cell = dict[str, Any]
CARRY, LUT, MULTIPLIER, REGISTER = "CCU2C", "LUT4", "MULT18X18D", "TRELLIS_FF"
CONTROLS = ("CLK", "CE", "RST")
UPPER_INPUTS = {"C": 4, "D": 8}
"""The operands that a carry cell's LUT4 alone reads, and their weight in its index; its LUT2 is the
LUT4's lowest four entries."""


def localise_constants(module: dict[str, Any]) -> tuple[int, int]:
    """Edit the module of a flattened, mapped netlist in place: LUTs that it added, flip-flops that
    it saved.

    The cells at the start of carry chains are not counted: nextpnr would have added as many.
    """
    cells: dict[str, Cell] = module["cells"]
    dropped = _drop_constant_registers(module)
    chains = list(_constant_starts(cells))
    nets = _unused_nets(module)
    for name, start in chains:
        net = next(nets)
        cells[f"{name}$carry_in"] = _carry_source(start, net)
        cells[name]["connections"]["CIN"] = [net]
    for cell in cells.values():
        if cell["type"] == CARRY:
            _fold_operands(cell)
    added = 0
    for name, cell in [item for item in cells.items() if item[1]["type"] == MULTIPLIER]:
        _free_unused_controls(cell)
        for value in "01":
            pins = [pin for pin, net in cell["connections"].items() if net == [value]]
            pins = [pin for pin in pins if pin.startswith((*CONTROLS, "SIGNED", "SOURCE"))]
            if pins:
                net = next(nets)
                cells[f"{name}$constant_{value}"] = _constant(value, net)
                cell["connections"].update({pin: [net] for pin in pins})
                added += 1
    return added, dropped


def _drop_constant_registers(module: dict[str, Any]) -> int:
    """Flip-flops that start at 0 and take nothing but 0; how many."""
    cells: dict[str, Cell] = module["cells"]
    zeros: set[Any] = {"0"}
    stuck: list[str] = []
    found = True
    while found:
        found = [
            name
            for name, cell in cells.items()
            if cell["type"] == REGISTER
            and cell["connections"]["DI"][0] in zeros
            and cell["parameters"].get("REGSET", "RESET") == "RESET"
            and not cell["connections"].get("M")
            and cell["connections"]["Q"][0] not in zeros
        ]
        zeros |= {cells[name]["connections"]["Q"][0] for name in found}
        stuck += found
    for name in stuck:
        del cells[name]
    zeros.discard("0")
    for holder in (*cells.values(), *module["ports"].values()):
        pins = holder.get("connections", holder)
        for pin, nets in pins.items():
            if isinstance(nets, list):
                pins[pin] = ["0" if net in zeros else net for net in nets]
    return len(stuck)


def _constant_starts(cells: dict[str, Cell]) -> Iterable[tuple[str, str]]:
    """Carry cells with a constant carry-in, and its value."""
    for name, cell in cells.items():
        if cell["type"] == CARRY and cell["connections"]["CIN"][0] in ("0", "1"):
            yield name, cell["connections"]["CIN"][0]


def _unused_nets(module: dict[str, Any]) -> Iterator[int]:
    """Numbers of nets that the module does not have."""
    pins = [nets for cell in module["cells"].values() for nets in cell["connections"].values()]
    pins += [port["bits"] for port in module["ports"].values()]
    last = max((net for nets in pins for net in nets if isinstance(net, int)), default=1)
    while True:
        last += 1
        yield last


def _carry_source(value: str, net: int) -> Cell:
    """A carry cell whose carry-out is constant: its LUT4s give 0, its LUT2s the value."""
    inputs = [f"{pin}{half}" for half in "01" for pin in "ABCD"]
    contents = f"{15 if value == '1' else 0:016b}"
    return {
        "hide_name": 1,
        "type": CARRY,
        "parameters": {"INIT0": contents, "INIT1": contents, "INJECT1_0": "NO", "INJECT1_1": "NO"},
        "attributes": {},
        "port_directions": dict.fromkeys((*inputs, "CIN"), "input") | {"COUT": "output"},
        "connections": {pin: ["1"] for pin in inputs} | {"CIN": ["x"], "COUT": [net]},
    }


def _fold_operands(cell: Cell) -> None:
    """Zeros at C and D become ones, which need no wire: the entries of 0 are copied."""
    pins = cell["connections"]
    for half in "01":
        for name, weight in UPPER_INPUTS.items():
            if pins[f"{name}{half}"] == ["0"]:
                old = int(cell["parameters"][f"INIT{half}"], 2)
                bits = (old >> (i & ~weight) & 1 for i in range(16))
                new = sum(bit << i for i, bit in enumerate(bits))
                cell["parameters"][f"INIT{half}"] = f"{new:016b}"
                pins[f"{name}{half}"] = ["1"]


def _free_unused_controls(cell: Cell) -> None:
    """Clocks, enables and resets that none of a multiplier's registers is set to have no wire."""
    used = set(cell["parameters"].values())
    for kind in CONTROLS:
        for index in range(1, 4):
            pin = f"{kind}{index}"
            if pin not in used and cell["connections"].get(pin) in (["0"], ["1"]):
                cell["connections"][pin] = ["x"]


def _constant(value: str, net: int) -> Cell:
    """A lookup table that is all zeros or all ones."""
    return {
        "hide_name": 1,
        "type": LUT,
        "parameters": {"INIT": value * 16},
        "attributes": {},
        "port_directions": dict.fromkeys("ABCD", "input") | {"Z": "output"},
        "connections": {pin: ["1"] for pin in "ABCD"} | {"Z": [net]},
    }
