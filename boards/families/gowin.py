"""Gowin GW1N(R)-9C and GW2A(R)-18C: synth_gowin, nextpnr-himbaechel, gowin_pack of Apycula."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from weft.boards.board import Clock, Device
from weft.boards.families import gowin_pll
from weft.boards.families.family import Family, Files, Pin, Resources
from weft.boards.families.pll import Pll


class Part(NamedTuple):
    """A device: how its part number begins, its die as Apycula knows it, and yosys' family."""

    prefix: str
    die: str
    yosys: str
    limits: gowin_pll.Limits


PARTS = {
    "GW1NR-9C": Part("GW1NR-LV9", "GW1N-9C", "gw1n", gowin_pll.GW1NR_9_C6),
    "GW2AR-18C": Part("GW2AR-LV18", "GW2A-18C", "gw2a", gowin_pll.GW2AR_18_C8),
}

# LUTs that one cell takes. An ALU is a LUT with a carry; a RAM16SDP4 (16 words of 4 bits) is four
# LUTs as memory. The MUX2 cells join LUTs of a slice and take none.
LUTS_PER_CELL = {"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1, "RAM16SDP4": 4}
BRAMS = ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9")


class Gowin(Family):
    """Devices with the die's letter (GW1NR-9C); package and speed as in the part number.

    nextpnr knows no timing of the multipliers, so the clock that it reports leaves them out: the
    default is the oscillator's own.
    """

    name = "gowin"
    title = "Gowin"
    nextpnr = "nextpnr-himbaechel-gowin"
    packer = "gowin_pack"
    constraints_suffix = "cst"
    placed_suffix = "placed.json"
    bitstream_suffix = "fs"
    default_hz = None
    cells = {  # noqa: RUF012 (never changed)
        "lut": "LUTs",
        "ff": "flip-flops",
        "dsp": "multipliers (MULT18X18)",
        "bram": "block RAMs (BSRAM)",
    }
    devices = tuple(PARTS)
    plls = (gowin_pll.CELL,)

    def pll(self, device: Device, clock: Clock, hz: float) -> Pll:
        """An rPLL."""
        return gowin_pll.rpll(device.name, PARTS[device.name].limits, clock.hz, hz)

    def synth_command(self, device: Device, top: str, netlist: str) -> str:
        """As for ECP5. Multipliers become MULT9X9 and MULT18X18 by themselves."""
        family = PARTS[device.name].yosys
        return f"synth_gowin -top {top} -family {family} -no-rw-check -json {netlist}"

    def resources(self, cells: Mapping[str, int]) -> Resources:
        """LUT4 equivalents as LUTS_PER_CELL says; two MULT9X9 are one multiplier."""
        halves = cells.get("MULT9X9", 0) + 2 * cells.get("MULT18X18", 0)
        return Resources(
            lut=sum(n * cells.get(cell, 0) for cell, n in LUTS_PER_CELL.items()),
            ff=sum(n for cell, n in cells.items() if cell.startswith("DFF")),
            dsp=(halves + 1) // 2,
            bram=sum(cells.get(cell, 0) for cell in BRAMS),
            spram=0,
            carry=cells.get("ALU", 0),
        )

    def constraints(self, pins: list[Pin], clock: Clock) -> str:
        """CST. Every port must have an IO_LOC."""
        lines = []
        for port, pin, io, pull_up in pins:
            pull = " PULL_MODE=UP" if pull_up else ""
            lines.append(f'IO_LOC "{port}" {pin};')
            lines.append(f'IO_PORT "{port}" IO_TYPE={io}{pull};')
        return "\n".join(lines) + "\n"

    def nextpnr_arguments(self, device: Device, files: Files, hz: float) -> list[str]:
        """A CST has no clocks: --freq goes for every clock. Without it nextpnr checks 12 MHz."""
        part = PARTS[device.name]
        return [
            *("--device", f"{part.prefix}{device.package}{device.speed}"),
            *("--vopt", f"family={part.die}", "--vopt", f"cst={files.constraints}"),
            *("--json", files.netlist, "--write", files.placed),
            *("--report", files.report, "--freq", f"{hz / 1e6:g}"),
        ]

    def placed(self, utilisation: Mapping[str, Any]) -> int:
        """LUTs, ALUs and memory; nextpnr's LUT4 include those that only feed a flip-flop."""
        counted = ("LUT4", "ALU", "RAM16SDP4")
        return sum(LUTS_PER_CELL[cell] * utilisation[cell]["used"] for cell in counted)

    def pack_arguments(self, device: Device, files: Files) -> list[str]:
        """By the die, not the part."""
        die = PARTS[device.name].die
        return ["-d", die, *device.pack, "-o", files.bitstream, files.placed]
