"""Random networks of one to eight layers in Verilator: every bit equal, every cycle predicted."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.e2e.hardware import wrong_on_hardware
from tests.mapper.support import ENDLESS, compact
from tests.nn.hostile_names import hostile
from tests.nn.random_graphs import build as build_model
from tests.nn.random_graphs import is_known, random_layers
from weft.engines.overlapped.spec import OverlappedSpec
from weft.errors import ModelError
from weft.machine.engine import Style, Styles
from weft.mapper.build import FOLD_LEVELS, build, shared_engine
from weft.nn.ir.graph import Graph
from weft.nn.onnx.importer import import_graph
from weft.nn.onnx.model import from_proto
from weft.nn.passes.simplify import simplify

ENGINES = {
    "k8n8": OverlappedSpec(lanes=8, columns=8, array_requant=4, vector_requant=2, vector_taps=3),
    "k16n16-packed": OverlappedSpec(
        lanes=16,
        columns=16,
        array_requant=8,
        vector_requant=4,
        styles=Styles(array=Style.PACKED, vector=Style.LUT, requant=Style.LUT),
    ),
    "k3n5": OverlappedSpec(lanes=3, columns=5, array_requant=1, vector_requant=3),
    "k2n6-compact": compact(2, 6, single_port=True, streamed=True),
}

INPUT_IS_OUTPUT = 115
"""A network without any operator once it is simplified."""


def networks(seeds: Iterable[int]) -> list[Graph]:
    """The random networks with these numbers, but for those that are refused.

    Every third one has names like those that weft invents.
    """
    graphs = []
    for seed in seeds:
        model, _ = build_model(*random_layers(seed))
        try:
            proto = hostile(model, seed) if seed % 3 == 0 else model
            graph = simplify(import_graph(from_proto(proto)))
        except ModelError as error:
            if not is_known(error):
                raise
            continue
        graphs.append(graph.replace(name=f"network {seed}"))
    return graphs


def check(name: str, seeds: Sequence[int], folder: Path) -> None:
    graphs = networks(seeds)
    assert len(graphs) > 0.9 * len(seeds)
    plans = [
        build(graph, ENDLESS, ENGINES[name], FOLD_LEVELS[seed % len(FOLD_LEVELS)])
        for seed, graph in enumerate(graphs)
    ]
    engine = shared_engine(plans)
    plans = [plan.replace(engines=(engine,)) for plan in plans]
    assert wrong_on_hardware(graphs, plans, folder) == []


@pytest.mark.parametrize("name", ["k8n8", "k2n6-compact"])
def test_some_random_graphs(name: str, tmp_path: Path) -> None:
    check(name, (*range(12), INPUT_IS_OUTPUT), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_many_random_graphs(name: str, tmp_path: Path) -> None:
    """Other networks on each engine, 240 in all."""
    first = 100 + 60 * list(ENGINES).index(name)
    check(name, range(first, first + 60), tmp_path)
