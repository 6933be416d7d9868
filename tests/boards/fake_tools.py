"""yosys, nextpnr and packers that only pretend to run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.boards import job, synth
from weft.boards.toolchain import RunError, Tool


def step(delay: float, kind: str, cells: tuple[str, str]) -> dict[str, Any]:
    ends = [{"cell": name, "port": "P"} for name in cells]
    return {"delay": delay, "type": kind, "from": ends[0], "to": ends[1]}


PNR: dict[str, Any] = {
    "fmax": {"clk": {"achieved": 20.004, "constraint": 25.0}},
    "utilization": {"TRELLIS_COMB": {"used": 17, "available": 24288}},
    "critical_paths": [
        {"from": "<async>", "to": "posedge clk", "path": [step(99.0, "routing", ("i", "b"))]},
        {
            "from": "posedge clk",
            "to": "posedge clk",
            "path": [
                step(0.5, "clk-to-q", ("a", "a")),
                step(1.25, "routing", ("a", "m")),
                step(0.25, "logic", ("m", "m")),
                step(0.5, "setup", ("b", "b")),
            ],
        },
    ],
}


def failure(output: str, *, timed_out: bool = False) -> RunError:
    return RunError("nextpnr-ecp5 failed", timed_out=timed_out, output=output, seconds=1.0)


Results = list[RunError | str]
"""How nextpnr ends, run by run: an error, or what its log says."""


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> Callable[[Results], list[list[str]]]:
    """``no_tools(results)``: tools only pretend to run; returns the list of their calls."""

    def install(results: Results) -> list[list[str]]:
        calls: list[list[str]] = []

        def fake_run(tool: Tool, args: list[str], *, cwd: Path, **options: Any) -> float:
            calls.append([tool.name, *args])
            if tool.name == "yosys":
                cells = {"num_cells_by_type": {"LUT4": 10, "CCU2C": 3, "TRELLIS_FF": 7}}
                (cwd / "synth/stat.json").write_text(json.dumps({"design": cells}))
                netlist = {"modules": {"board_top": {"cells": {}, "ports": {}}}}
                (cwd / "synth/board_top.json").write_text(json.dumps(netlist))
            elif tool.name == "nextpnr-ecp5":
                result = results.pop(0)
                if isinstance(result, RunError):
                    raise result
                (cwd / "synth/nextpnr.json").write_text(json.dumps(PNR))
                (cwd / options["log"]).write_text(result)
            else:
                (cwd / args[-1]).write_bytes(b"bits")
            return 2.0

        monkeypatch.setattr(job, "run", fake_run)
        monkeypatch.setattr(synth, "find_tool", lambda name: Tool(name=name, command=name))
        monkeypatch.setattr(synth, "version", lambda tool: "1.0")
        return calls

    return install
