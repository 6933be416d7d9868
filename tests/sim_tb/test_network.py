"""A build's samples: from a file, as many as it has; outputs under the names of the graph."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.mapper.support import ENDLESS, conv_graph, edge, engine
from weft.errors import ConfigError
from weft.gen.build_dir import Build
from weft.machine import timing
from weft.machine.layout import to_words
from weft.mapper.build import build
from weft.nn.ir.graph import Graph
from weft.nn.ir.reference import run
from weft.nn.ir.window import Window
from weft.sim_tb import network


def example() -> Graph:
    """Its input is an output, too."""
    graph = conv_graph((2, 1, 1), 3, Window(kernel=(1, 1)))
    shaped = (edge("x").replace(shape=(2, 1, 1)),)
    return graph.replace(inputs=shaped, outputs=(*graph.outputs, edge("x")))


class Engine:
    """Instead of Verilator: the right outputs in the planned time."""

    def __init__(self, **options: object):
        self.trace_path = Path("none")

    def build(self) -> None:
        pass

    def run(self, jobs: list) -> list:
        graph = example()
        plan = build(graph, ENDLESS, engine(4, 4), 0)
        (job,) = jobs
        x = job.inputs[:, 0, :2].reshape(-1, 2, 1, 1)
        outputs = [to_words(part, 4) for part in (run(graph, {"x": x})["y"], x)]
        times = np.full(len(x), timing.cycles(plan))
        return [
            SimpleNamespace(
                fault="",
                outputs=np.concatenate(outputs, axis=1),
                cycles=times,
                busy_cycles=times,
                load_cycles=times,
                read_cycles=times,
            )
        ]


@pytest.mark.parametrize(
    ("available", "asked", "expected"),
    [(1, None, 1), (3, None, 3), (4, None, 4), (9, None, 4), (9, 7, 7)],
)
def test_samples_of_a_file(
    available: int,
    asked: int | None,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four if nothing is said, or fewer where the file has fewer."""
    result = simulate(available, asked, tmp_path, monkeypatch)
    assert result.samples == expected
    assert result.ok, result.differences


def test_more_samples_than_the_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="has 3 samples, fewer than --samples 4"):
        simulate(3, 4, tmp_path, monkeypatch)


def simulate(
    available: int, asked: int | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> network.Result:
    monkeypatch.setattr(network, "Simulator", Engine)
    graph = example()
    path = folder / "inputs.npz"
    np.savez(path, x=np.arange(2 * available, dtype=np.int8).reshape(available, 2, 1, 1))
    plan = build(graph, ENDLESS, engine(4, 4), 0)
    made = Build(folder=folder, graph=graph, plan=plan, manifest={"sources": []})
    return network.simulate(made, inputs=path, samples=asked)
