"""Lattice iCE40: synth_ice40, nextpnr-ice40, icepack."""

from collections.abc import Mapping
from typing import Any

from weft.boards.board import Clock, Device
from weft.boards.families import ice40_pll
from weft.boards.families.family import Family, Files, Pin, Resources
from weft.boards.families.pll import Pll

FLAGS = {
    "UP5K": "--up5k",
    "HX1K": "--hx1k",
    "HX4K": "--hx4k",
    "HX8K": "--hx8k",
    "LP1K": "--lp1k",
    "LP4K": "--lp4k",
    "LP8K": "--lp8k",
}


class Ice40(Family):
    """Devices as in nextpnr's flags, in capitals (UP5K); the speed is part of the device."""

    name = "ice40"
    title = "iCE40"
    nextpnr = "nextpnr-ice40"
    packer = "icepack"
    constraints_suffix = "pcf"
    placed_suffix = "asc"
    bitstream_suffix = "bin"
    default_hz = 24_000_000
    cells = {  # noqa: RUF012 (never changed)
        "lut": "logic cells",
        "ff": "flip-flops",
        "dsp": "multipliers (SB_MAC16)",
        "bram": "block RAMs (SB_RAM40_4K)",
        "spram": "single-ported RAMs (SB_SPRAM256KA)",
    }
    devices = tuple(FLAGS)
    plls = (ice40_pll.CORE, ice40_pll.PAD)
    cell_library = ("+/ice40/cells_sim.v",)
    cell_models = ("SB_SPRAM256KA", "SB_PLL40")
    replaced_cells = ("SB_SPRAM256KA",)

    def pll(self, device: Device, clock: Clock, hz: float) -> Pll:
        """SB_PLL40_PAD or SB_PLL40_CORE, as the board's clock pin needs it."""
        return ice40_pll.sb_pll40(clock.pll or ice40_pll.CORE, clock.hz, hz)

    def synth_command(self, device: Device, top: str, netlist: str) -> str:
        """Never with -dsp: ice40_dsp of yosys 0.60 to 0.70 miscompiles chains of MACs (it takes a
        register of one multiplier for that of its neighbour). weft's cells name their SB_MAC16.
        """
        speed = {"H": "hx", "L": "lp", "U": "u"}[device.name[0]]
        return f"synth_ice40 -top {top} -device {speed} -no-rw-check -json {netlist}"

    def resources(self, cells: Mapping[str, int]) -> Resources:
        """``lut``: SB_LUT4 alone. A logic cell is a LUT, a carry and a flip-flop, and only nextpnr
        knows which of them share one (``placed``).
        """
        return Resources(
            lut=cells.get("SB_LUT4", 0),
            ff=_starting(cells, "SB_DFF"),
            dsp=cells.get("SB_MAC16", 0),
            bram=_starting(cells, "SB_RAM40_4K"),
            spram=cells.get("SB_SPRAM256KA", 0),
            carry=cells.get("SB_CARRY", 0),
        )

    def constraints(self, pins: list[Pin], clock: Clock) -> str:
        """PCF. The IO standard is fixed in hardware except on differential pins."""
        return "".join(
            f"set_io {'-pullup yes ' if pull_up else ''}{port} {pin}\n"
            for port, pin, _io, pull_up in pins
        )

    def nextpnr_arguments(self, device: Device, files: Files, hz: float) -> list[str]:
        """--freq goes for every clock."""
        return [
            *(FLAGS[device.name], "--package", device.package),
            *("--json", files.netlist, "--pcf", files.constraints),
            *("--asc", files.placed, "--report", files.report, "--freq", f"{hz / 1e6:g}"),
        ]

    def placed(self, utilisation: Mapping[str, Any]) -> int:
        """Logic cells."""
        return utilisation["ICESTORM_LC"]["used"]

    def pack_arguments(self, device: Device, files: Files) -> list[str]:
        """No options."""
        return [*device.pack, files.placed, files.bitstream]


def _starting(cells: Mapping[str, int], prefix: str) -> int:
    """Cells of all types that begin so: there is one for each kind of reset and clock edge."""
    return sum(n for cell, n in cells.items() if cell.startswith(prefix))
