"""Move the register behind ECP5 block RAMs into the block RAMs.

yosys maps memories to DP16KD without their output registers and leaves the register that follows
in the fabric. nextpnr then sees 5.6 ns from clock to data instead of 1 ns. This pass edits the
netlist between the two: same function, fewer flip-flops, and a faster clock. Where a memory is
several blocks deep, the block select stands between the blocks and the register; the register
moves backward through it, and its select signals get a register of their own.
Ref: Lattice, ECP5 and ECP5-5G Memory Usage Guide, output registers (REGMODE, OCE).
"""

from collections.abc import Iterable
from typing import Any

Cell = dict[str, Any]
Net = int | str  # "0", "1" or "x": a constant
PORTS = ("A", "B")
WIDEST = 36  # bits; then port A writes, and B's controls act on both halves that are read
SELECTS = {"LUT4": "Z", "PFUMX": "Z", "L6MUX21": "Z"}
"""Cells that yosys makes of a block select, and their output."""


def merge_output_registers(module: dict[str, Any]) -> int:
    """Edit the module of a flattened, mapped netlist in place; flip-flops that it saved.

    Block RAMs whose outputs meet in the same logic are changed together or not at all. They are
    changed if every data output that is read, and everything computed from it, ends in plain
    flip-flops (no enable, no reset, start at 0) on the clock of their ports and nowhere else.
    """
    before = len(module["cells"])
    retiming = _Retiming(module)
    for cone in [cone for cone in retiming.cones() if retiming.movable(cone)]:
        retiming.move(cone)
    retiming.rename()
    return before - len(module["cells"])


class _Cone:
    """Block RAMs, the block selects that their data goes through, and where it ends."""

    def __init__(self) -> None:
        self.rams: dict[str, set[str]] = {}  # and the outputs of each that are read
        self.selects: set[str] = set()
        self.ends: set[tuple[str, str]] = set()  # cell and pin


class _Retiming:
    def __init__(self, module: dict[str, Any]):
        self.cells: dict[str, Cell] = module["cells"]
        self.ports = module["ports"]
        self.readers = _readers(module)
        pins = [nets for cell in self.cells.values() for nets in cell["connections"].values()]
        self.n_nets = max((net for nets in pins for net in nets if isinstance(net, int)), default=1)
        self.delayed: dict[tuple[Net, Net], Net] = {}
        self.new_names: dict[Net, Net] = {}

    def cones(self) -> Iterable[_Cone]:
        """Of all block RAMs, each in one cone."""
        of_select: dict[str, _Cone] = {}
        found: dict[int, _Cone] = {}
        for name, cell in self.cells.items():
            if cell["type"] != "DP16KD":
                continue
            cone = _Cone()
            cone.rams[name] = set()
            for pin, nets in cell["connections"].items():
                if pin.startswith("DO") and nets and self.readers.get(nets[0]):
                    cone.rams[name].add(pin)
                    self._follow(nets[0], cone)
            for met in {id(c): c for c in map(of_select.get, cone.selects) if c}.values():
                cone.rams |= met.rams
                cone.selects |= met.selects
                cone.ends |= met.ends
                del found[id(met)]
            of_select |= dict.fromkeys(cone.selects, cone)
            found[id(cone)] = cone
        return found.values()

    def _follow(self, net: Net, cone: _Cone) -> None:
        for name, pin in self.readers.get(net, ()):
            output = SELECTS.get(self.cells[name]["type"]) if name else None
            if output is None:
                cone.ends.add((name, pin))
            elif name not in cone.selects:
                cone.selects.add(name)
                self._follow(self._net(name, output), cone)

    def _net(self, name: str, pin: str) -> Net:
        return self.cells[name]["connections"][pin][0]

    def movable(self, cone: _Cone) -> bool:
        """Whether the registers behind the cone may move into its block RAMs."""
        clocks = {_read_clock(self.cells[name], pins) for name, pins in cone.rams.items()}
        if len(clocks) != 1 or None in clocks or not cone.ends:
            return False
        (clock,) = clocks
        return all(pin == "DI" and _plain(self.cells[name], clock) for name, pin in cone.ends)

    def move(self, cone: _Cone) -> None:
        """Move them."""
        for name in cone.rams:
            ram = self.cells[name]
            # A 36-bit word comes out of both ports, and yosys leaves A's enable at 0.
            ram["parameters"].update({f"REGMODE_{port}": "OUTREG" for port in PORTS})
            ram["connections"].update({f"OCE{port}": ["1"] for port in PORTS})
        data = {self._net(ram, pin) for ram, pins in cone.rams.items() for pin in pins}
        data |= {self._net(name, SELECTS[self.cells[name]["type"]]) for name in cone.selects}
        registers = [self.cells.pop(name) for name, _ in sorted(cone.ends)]
        for name in sorted(cone.selects):
            cell = self.cells[name]
            for pin, (net, *_) in cell["connections"].items():
                if cell["port_directions"][pin] == "input" and net not in data:
                    cell["connections"][pin] = [self._delay(net, registers[0])]
        for register in registers:
            pins = register["connections"]
            self.new_names[pins["Q"][0]] = pins["DI"][0]

    def _delay(self, net: Net, like: Cell) -> Net:
        """The net a cycle later, by a register like another."""
        if isinstance(net, str):
            return net
        clock = like["connections"]["CLK"][0]
        if (net, clock) not in self.delayed:
            self.n_nets += 1
            register = {**like, "connections": {**like["connections"]}}
            register["connections"] |= {"DI": [net], "Q": [self.n_nets]}
            self.cells[f"$block_select_{net}"] = register
            self.delayed[net, clock] = self.n_nets
        return self.delayed[net, clock]

    def rename(self) -> None:
        """What read a register that is gone reads what the register read."""
        for holder in (*self.cells.values(), *self.ports.values()):
            pins = holder.get("connections", holder)
            for pin, nets in pins.items():
                if isinstance(nets, list):
                    pins[pin] = [self.new_names.get(net, net) for net in nets]


def _readers(module: dict[str, Any]) -> dict[Net, list[tuple[str, str]]]:
    """(cell, pin) of everything that each net goes into; ("", "") for a port of the module."""
    readers: dict[Net, list[tuple[str, str]]] = {}
    for name, cell in module["cells"].items():
        for pin, nets in cell["connections"].items():
            if cell["port_directions"][pin] != "output":
                for net in nets:
                    readers.setdefault(net, []).append((name, pin))
    for port in module["ports"].values():
        for net in port["bits"]:
            readers.setdefault(net, []).append(("", ""))
    return readers


def _read_clock(ram: Cell, pins: set[str]) -> Net | None:
    """The clock of the ports that are read; None if their registers cannot be used."""
    parameters, connections = ram["parameters"], ram["connections"]
    if any(parameters.get(f"REGMODE_{port}") != "NOREG" for port in PORTS):
        return None
    wide = any(int(parameters[f"DATA_WIDTH_{port}"], 2) == WIDEST for port in PORTS)
    clocks = set()
    for port in {"B" if wide else pin[2] for pin in pins}:
        if (
            parameters.get(f"CLK{port}MUX") != f"CLK{port}"
            or connections.get(f"OCE{port}") != ["1"]
            or connections.get(f"RST{port}") != ["0"]
        ):
            return None
        clocks.add(connections[f"CLK{port}"][0])
    return clocks.pop() if len(clocks) == 1 else None


def _plain(cell: Cell, clock: Net | None) -> bool:
    """Whether a cell is a flip-flop that does nothing but delay by a cycle of ``clock``."""
    parameters, pins = cell["parameters"], cell["connections"]
    return (
        cell["type"] == "TRELLIS_FF"
        and pins["CLK"] == [clock]
        and parameters.get("CLKMUX", "CLK") == "CLK"
        and parameters.get("CEMUX", "CE").strip() == "1"  # yosys writes "1 "
        and pins.get("LSR", ["0"]) == ["0"]
        and parameters.get("LSRMUX", "LSR") == "LSR"
        and parameters.get("REGSET", "RESET") == "RESET"
        and not pins.get("M")
    )
