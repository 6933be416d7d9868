"""Lattice ECP5: synth_ecp5, nextpnr-ecp5, ecppack."""

from collections.abc import Mapping
from typing import Any

from weft.boards.board import Clock, Device
from weft.boards.bram_register import merge_output_registers
from weft.boards.constants import localise_constants
from weft.boards.families import ecp5_pll
from weft.boards.families.family import Family, Files, Pin, Resources
from weft.boards.families.pll import Pll

FLAGS = {
    "LFE5U-12F": "--12k",
    "LFE5U-25F": "--25k",
    "LFE5U-45F": "--45k",
    "LFE5U-85F": "--85k",
    "LFE5UM-25F": "--um-25k",
    "LFE5UM-45F": "--um-45k",
    "LFE5UM-85F": "--um-85k",
    "LFE5UM5G-25F": "--um5g-25k",
    "LFE5UM5G-45F": "--um5g-45k",
    "LFE5UM5G-85F": "--um5g-85k",
}

# LUTs that one cell takes. A CCU2C is two LUTs with a carry. A TRELLIS_DPR16X4 (16 words of
# 4 bits) is four LUTs as memory; its write port also blocks two more, which nextpnr does not count.
# PFUMX and L6MUX21 join LUTs of a slice and take none.
LUTS_PER_CELL = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}


class Ecp5(Family):
    """Devices by Lattice's names (LFE5U-25F); packages and speeds as nextpnr has them."""

    name = "ecp5"
    title = "ECP5"
    nextpnr = "nextpnr-ecp5"
    packer = "ecppack"
    constraints_suffix = "lpf"
    placed_suffix = "config"
    bitstream_suffix = "bit"
    default_hz = 50_000_000
    cells = {  # noqa: RUF012 (never changed)
        "lut": "LUTs",
        "ff": "flip-flops",
        "dsp": "multipliers (MULT18X18D)",
        "bram": "block RAMs (DP16KD)",
    }
    devices = tuple(FLAGS)
    plls = (ecp5_pll.CELL,)
    cell_library = ("+/lattice/common_sim.vh", "+/lattice/ccu2c_sim.vh")
    cell_models = ("DP16KD", "MULT18X18D", "EHXPLLL")

    def pll(self, device: Device, clock: Clock, hz: float) -> Pll:
        """An EHXPLLL."""
        return ecp5_pll.ehxplll(clock.hz, hz)

    def synth_command(self, device: Device, top: str, netlist: str) -> str:
        """Without -no-rw-check every memory gets logic for a case that weft never uses."""
        return f"synth_ecp5 -top {top} -no-rw-check -json {netlist}"

    def resources(self, cells: Mapping[str, int]) -> Resources:
        """LUT4 equivalents as LUTS_PER_CELL says."""
        return Resources(
            lut=sum(n * cells.get(cell, 0) for cell, n in LUTS_PER_CELL.items()),
            ff=cells.get("TRELLIS_FF", 0),
            dsp=cells.get("MULT18X18D", 0),
            bram=cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
            spram=0,
            carry=cells.get("CCU2C", 0),
        )

    def finish_netlist(self, module: dict[str, Any]) -> tuple[int, int]:
        """Registers behind block RAMs move into them; constants need no wires."""
        merged = merge_output_registers(module)
        added, dropped = localise_constants(module)
        return added, merged + dropped

    def constraints(self, pins: list[Pin], clock: Clock) -> str:
        """LPF. The frequency is the oscillator's: nextpnr derives that of the PLL's output."""
        lines = []
        for port, pin, io, pull_up in pins:
            pull = " PULLMODE=UP" if pull_up else ""
            lines.append(f'LOCATE COMP "{port}" SITE "{pin}";')
            lines.append(f'IOBUF PORT "{port}" IO_TYPE={io}{pull};')
        lines.append(f'FREQUENCY PORT "clk" {clock.hz / 1e6:g} MHZ;')
        return "\n".join(lines) + "\n"

    def nextpnr_arguments(self, device: Device, files: Files, hz: float) -> list[str]:
        """The clock comes from the constraint file; --freq says it to nextpnr's placer, too."""
        return [
            FLAGS[device.name],
            *("--package", device.package, "--speed", device.speed),
            *("--json", files.netlist, "--lpf", files.constraints),
            *("--textcfg", files.placed, "--report", files.report, "--freq", f"{hz / 1e6:g}"),
            "--detailed-timing-report",  # every register's slack, for those who look for the next
        ]

    def placed(self, utilisation: Mapping[str, Any]) -> int:
        """LUTs, with those that only feed carry chains."""
        return utilisation["TRELLIS_COMB"]["used"]

    def pack_arguments(self, device: Device, files: Files) -> list[str]:
        """Compressed: a small design then loads faster."""
        return ["--compress", *device.pack, files.placed, files.bitstream]
