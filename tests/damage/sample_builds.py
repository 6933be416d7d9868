"""Small builds without their Verilog, which takes seconds, and inputs for them."""

from pathlib import Path
from unittest import mock

import numpy as np

from tests.mapper.support import ENDLESS, ENDLESS_ICE40, compact, engine
from tests.mapper.test_lower import dag
from weft.boards.board import load_board
from weft.gen import hardware, soc
from weft.gen.build_dir import write_build
from weft.machine.plan import Plan
from weft.mapper.build import build
from weft.nn.ir.edges import HostEdge
from weft.nn.ir.graph import Graph
from weft.nn.onnx.importer import import_model

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


def shaped(graph: Graph) -> Graph:
    """With edges that pass the codes of their whole tensors."""

    def of(edge: HostEdge) -> HostEdge:
        return edge.replace(shape=graph.tensor(edge.tensor).shape)

    return graph.replace(inputs=tuple(map(of, graph.inputs)), outputs=tuple(map(of, graph.outputs)))


def samples() -> list[tuple[Graph, Plan]]:
    """Networks and plans of all kinds of engines."""
    digits = import_model(DIGITS)
    made = [
        (digits, build(digits, ENDLESS, engine(4, 4, 2, 2, 2), 2)),
        (digits, build(digits, ENDLESS_ICE40, compact(2, 2, single_port=True, streamed=True), 0)),
    ]
    for seed in (1, 2, 5):
        graph = shaped(dag(seed))
        made.append((graph, build(graph, ENDLESS, engine(4, 8, 2, 1), 1)))
    return made


def write_samples(folder: Path) -> list[Path]:
    """Build directories, each with inputs.npz of three samples."""
    stub = "module weft_top;\nendmodule\n"
    folders = []
    with (
        mock.patch.object(hardware, "verilog_text", return_value=stub),
        mock.patch.object(soc, "soc_verilog", return_value=stub),
    ):
        for number, (graph, plan) in enumerate(samples()):
            where = folder / f"build{number}"
            write_build(where, graph, plan, load_board("ulx3s-25f").to_json())
            np.savez(where / "inputs.npz", **inputs_of(graph))  # pyright: ignore[reportArgumentType]
            folders.append(where)
    return folders


def inputs_of(graph: Graph, n: int = 3) -> dict[str, np.ndarray]:
    """Arrays for every input of a network by name."""
    rng = np.random.default_rng(0)
    arrays = {}
    for edge in graph.inputs:
        codes = rng.integers(-128, 128, (n, *edge.shape))
        arrays[edge.name] = (codes / 64 if edge.dtype == "float32" else codes).astype(edge.dtype)
    return arrays
