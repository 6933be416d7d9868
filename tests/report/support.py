"""A build of digits on a small engine, without the seconds that its Verilog takes."""

import functools
import json
from pathlib import Path
from typing import Any

from weft.boards.board import load_board
from weft.boards.target import target_of
from weft.gen.build_dir import Build, plan_hash
from weft.mapper.search import Options, plan
from weft.nn.onnx.importer import import_model
from weft.report.grow import begin

DIGITS = Path(__file__).resolve().parents[2] / "examples/digits"
SIZES: Options = {"lanes": 4, "columns": 4, "requant_lanes": (2, 2), "cycles": None}
FACTS = {
    "model": {"name": "digits.onnx", "sha256": "00ff"},
    "commands": {"compile": "weft compile digits.onnx --board ulx3s-25f -o BUILD"},
}


@functools.cache
def planned() -> Build:
    """Digits on 4 x 4 multipliers of a ULX3S-25F; a folder of nobody's."""
    graph = import_model(DIGITS / "digits.onnx")
    made = plan(graph, target_of(load_board("ulx3s-25f")), **SIZES)
    manifest = {"weft": "0.1.0", "tools": {"numpy": "2"}, "plan_hash": plan_hash(made)}
    return Build(folder=Path("nowhere"), graph=graph, plan=made, manifest=manifest)


def placed(folder: Path) -> Build:
    """The same in a folder, with the report that compiling begins."""
    known = planned()
    build = Build(folder=folder, graph=known.graph, plan=known.plan, manifest=known.manifest)
    from weft.gen.report import prediction

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps({"prediction": prediction(build.plan)}))
    begin(build, SIZES, FACTS)
    return build


def read_report(folder: Path) -> dict[str, Any]:
    """What lies there."""
    return json.loads((folder / "report.json").read_text("utf-8"))


# As the commands leave them in report.json.
SYNTHESIS = {
    "board": "ulx3s-25f",
    "clock_mhz": 50.0,
    "pll": None,
    "lut": 9000,
    "ff": 8000,
    "dsp": 20,
    "bram": 21,
    "spram": 0,
    "carry": 3,
    "comb": 9100,
    "timing": {
        "clock_mhz": 50.0,
        "fmax_mhz": 81.3,
        "clock_met": True,
        "critical_path": "a -> b: 12.30 ns",
        "hold_slack_ns": None,
    },
    "seeds": [1],
    "yosys_seconds": 1.0,
    "pnr_seconds": 2.0,
    "tools": ["yosys 0.70", "nextpnr-ecp5 0.11"],
    "bitstream": "bitstream.bit",
    "fmax_mhz": 81.3,
}
