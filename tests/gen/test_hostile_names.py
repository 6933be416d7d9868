"""Networks whose names meet weft's own, C's and Verilog's: every generated file is whole."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.gen.test_c_header import STRICT
from tests.mapper.support import ENDLESS, ENDLESS_ICE40, compact, engine
from tests.nn.hostile_names import ODD, hostile
from tests.nn.random_graphs import build as build_model
from tests.nn.random_graphs import random_layers
from weft.gen import hardware, soc
from weft.gen.build_dir import read_build, write_build
from weft.machine.plan import Plan
from weft.mapper.build import build
from weft.nn.ir.graph import Graph
from weft.nn.onnx.importer import import_graph
from weft.nn.onnx.model import from_proto
from weft.nn.passes.simplify import simplify

ENGINES = (
    (ENDLESS, engine(4, 4, 2, 2)),
    (ENDLESS_ICE40, compact(3, 3, single_port=True)),
)
MAIN = """#include <stdio.h>
#include "weft.h"
int main(void) { puts(WEFT_NETWORK); puts(WEFT_INPUT_0_NAME); puts(WEFT_OUTPUT_0_NAME); return 0; }
"""


def network(seed: int) -> tuple[Graph, Graph]:
    """A random network as it is, and with hostile names."""
    model, _ = build_model(*random_layers(seed))
    renamed = hostile(model, seed)
    plain, other = (simplify(import_graph(from_proto(proto))) for proto in (model, renamed))
    return plain, other.replace(name=ODD[seed % len(ODD)])


def planned(graph: Graph, seed: int) -> Plan:
    return build(graph, *ENGINES[seed % len(ENGINES)], seed % 3)


def check_files(seed: int, folder: Path) -> None:
    _, graph = network(seed)
    plan = planned(graph, seed)
    buffers = [buffer.tensor for buffer in plan.buffers]
    assert len(buffers) == len(set(buffers))
    write_build(folder, graph, plan, {"name": "any"})
    made = read_build(folder)
    assert (made.graph, made.plan) == (graph, plan)
    steps = json.loads((folder / "report.json").read_text())["prediction"]["steps"]
    assert {step["name"] for step in steps} <= {op.name for op in graph.operators} | {*buffers}
    core = yaml.safe_load((folder / "weft.core").read_text().removeprefix("CAPI=2:\n"))
    assert re.fullmatch(r"weft:networks:[A-Za-z0-9_-]+:[0-9.]+", core["name"])
    (folder / "main.c").write_text(MAIN)
    flags = [*STRICT, "-Wno-overlength-strings"]  # beyond 4,095 characters of a C99 compiler
    subprocess.run(["cc", "-std=c99", *flags, "-o", "main", "main.c"], cwd=folder, check=True)
    shown = subprocess.run(["./main"], cwd=folder, capture_output=True, check=True).stdout
    names = (graph.name, graph.inputs[0].name, graph.outputs[0].name)
    assert shown.decode() == "".join(f"{name}\n" for name in names)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the seconds that Verilog takes."""
    monkeypatch.setattr(hardware, "verilog_text", lambda plan: "module weft_top;\nendmodule\n")
    monkeypatch.setattr(soc, "soc_verilog", lambda params: "module weft_soc;\nendmodule\n")


@pytest.mark.usefixtures("quick")
def test_files_of_some_networks(tmp_path: Path) -> None:
    for seed in range(0, len(ODD), 2):
        check_files(seed, tmp_path / str(seed))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_files_of_many_networks(first: int, tmp_path: Path) -> None:
    """With their Verilog."""
    for seed in range(first, first + 20):
        check_files(seed, tmp_path / str(seed))


def test_verilog_knows_no_names() -> None:
    texts = [hardware.verilog_text(planned(graph, 3)) for graph in network(3)]
    assert texts[0] == texts[1]
