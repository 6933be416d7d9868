"""Move the register behind each ECP5 block RAM into the block RAM.

yosys maps memories to DP16KD without their output registers and leaves the register that follows
in the fabric. nextpnr then sees 5.6 ns from clock to data instead of 1 ns. This pass edits the
netlist between the two: same function, fewer flip-flops, and a faster clock.
Ref: Lattice, ECP5 and ECP5-5G Memory Usage Guide, output registers (REGMODE, OCE).
"""

import json
from pathlib import Path
from typing import Any

from weft.nn.errors import ToolError

Cell = dict[str, Any]
PORTS = ("A", "B")
WIDEST = 36  # bits; then port A writes, and B's controls act on both halves that are read


def merge_output_registers(netlist: Path, top: str) -> int:
    """Edit a yosys JSON netlist (flattened, mapped to ECP5) in place; flip-flops that it saved.

    A DP16KD is changed if every data output that is read feeds exactly one plain flip-flop (no
    enable, no reset, starts at 0) on the clock of its port and nothing else. Others stay as they
    are, for example those whose outputs go through the block select of a deep memory.
    Raises ToolError if the file is not such a netlist.
    """
    try:
        data = json.loads(netlist.read_text(encoding="utf-8"))
        module = data["modules"][top]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{netlist}: not the netlist that was expected: {error}") from error
    n_saved = merge_in_module(module)
    if n_saved:
        netlist.write_text(json.dumps(data), encoding="utf-8")
    return n_saved


def merge_in_module(module: dict[str, Any]) -> int:
    """As ``merge_output_registers``, on the module's part of the netlist."""
    cells: dict[str, Cell] = module["cells"]
    readers = _readers(module)
    n_saved = 0
    for ram in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        registers = _output_registers(ram, cells, readers)
        if not registers:
            continue
        for pin, name in registers.items():
            ram["connections"][pin] = cells.pop(name)["connections"]["Q"]
        # A 36-bit word comes out of both ports, and yosys leaves A's register enable at 0.
        ram["parameters"].update({f"REGMODE_{port}": "OUTREG" for port in PORTS})
        ram["connections"].update({f"OCE{port}": ["1"] for port in PORTS})
        n_saved += len(registers)
    return n_saved


def _readers(module: dict[str, Any]) -> dict[int, list[tuple[str, str]]]:
    """(cell, pin) of everything that each net goes into; ("", "") for a port of the module."""
    readers: dict[int, list[tuple[str, str]]] = {}
    for name, cell in module["cells"].items():
        for pin, nets in cell["connections"].items():
            if cell["port_directions"][pin] != "output":
                for net in nets:
                    readers.setdefault(net, []).append((name, pin))
    for port in module["ports"].values():
        for net in port["bits"]:
            readers.setdefault(net, []).append(("", ""))
    return readers


def _output_registers(
    ram: Cell, cells: dict[str, Cell], readers: dict[int, list[tuple[str, str]]]
) -> dict[str, str]:
    """Name of the register behind each data output that is read; empty if the RAM must stay."""
    if any(ram["parameters"].get(f"REGMODE_{port}") != "NOREG" for port in PORTS):
        return {}
    wide = any(int(ram["parameters"][f"DATA_WIDTH_{port}"], 2) == WIDEST for port in PORTS)
    found: dict[str, str] = {}
    for pin, nets in ram["connections"].items():
        if not pin.startswith("DO") or not nets or not readers.get(nets[0]):
            continue
        port = "B" if wide else pin[2]
        to = readers[nets[0]]
        clock = ram["connections"][f"CLK{port}"]
        ready = (
            ram["parameters"].get(f"CLK{port}MUX") == f"CLK{port}"
            and ram["connections"].get(f"OCE{port}") == ["1"]
            and ram["connections"].get(f"RST{port}") == ["0"]
        )
        if not ready or len(to) != 1 or to[0][1] != "DI" or not _plain(cells[to[0][0]], clock):
            return {}
        found[pin] = to[0][0]
    return found


def _plain(cell: Cell, clock: list[Any]) -> bool:
    """Whether a cell is a flip-flop that does nothing but delay by a cycle of ``clock``."""
    parameters, pins = cell["parameters"], cell["connections"]
    return (
        cell["type"] == "TRELLIS_FF"
        and pins["CLK"] == clock
        and parameters.get("CLKMUX", "CLK") == "CLK"
        and parameters.get("CEMUX", "CE").strip() == "1"  # yosys writes "1 "
        and pins.get("LSR", ["0"]) == ["0"]
        and parameters.get("LSRMUX", "LSR") == "LSR"
        and parameters.get("REGSET", "RESET") == "RESET"
        and not pins.get("M")
    )
