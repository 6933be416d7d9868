"""Labels in data files: found, used, or left with a reason."""

from pathlib import Path

import numpy as np
import pytest

from tests.mapper.support import conv_graph
from weft.gen.labels import Labels, largest, load_labels
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window


@pytest.fixture
def graph() -> Graph:
    """One output ``y`` of 4 x 3 x 3 = 36 classes."""
    made = conv_graph((2, 4, 4), 4, Window(kernel=(2, 2)))
    return made.replace(outputs=(made.outputs[0].replace(shape=(36,)),))


def load(tmp_path: Path, graph: Graph, **arrays: np.ndarray) -> Labels:
    np.savez(tmp_path / "data.npz", allow_pickle=False, **arrays)
    found = load_labels(tmp_path / "data.npz", graph, 3)
    return Labels(values=found.values, problem=found.problem.replace(str(tmp_path), "."))


def test_labels_are_found(tmp_path: Path, graph: Graph) -> None:
    for array in (np.array([0, 35, 7, 9]), np.array([[0], [35], [7]], np.uint8)):
        values = load(tmp_path, graph, labels=array).values
        assert values is not None
        assert values.tolist() == [0, 35, 7]
    assert load(tmp_path, graph, other=np.zeros(3)) == Labels()
    assert load_labels(None, graph, 3) == Labels()


def test_an_input_of_that_name_is_none(tmp_path: Path, graph: Graph) -> None:
    named = graph.replace(inputs=(graph.inputs[0].replace(name="labels"),))
    assert load(tmp_path, named, labels=np.array([0, 1, 2])) == Labels()


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros(3), "array 'labels' is float64 [3]; one whole number for each sample is needed"),
        (
            np.eye(3, dtype=np.int64),
            "array 'labels' is int64 [3, 3]; one whole number for each sample is needed",
        ),
        (np.array([0, 1]), "2 labels for 3 samples"),
        (
            np.array([0, 1, 36]),
            "array 'labels' holds 0 to 36, but output 'y' has the classes 0 to 35",
        ),
    ],
)
def test_unusable_labels(tmp_path: Path, graph: Graph, array: np.ndarray, problem: str) -> None:
    assert load(tmp_path, graph, labels=array).problem == f"./data.npz: {problem}"


def test_one_number_has_no_classes(tmp_path: Path, graph: Graph) -> None:
    single = graph.replace(outputs=(graph.outputs[0].replace(shape=(1,)),))
    found = load(tmp_path, single, labels=np.array([0, 0, 0]))
    assert found.problem == "output 'y' is one number, so that labels say nothing"


def test_top1() -> None:
    outputs = np.array([[1, 3, 3], [5, 0, 1], [0, 0, 2]])
    assert largest(outputs).tolist() == [1, 0, 2]
    assert Labels(values=np.array([1, 2, 2])).top1(outputs) == 0.6667
    assert Labels(values=np.array([1, 2, 2])).top1(outputs[:1]) == 1.0
    assert Labels().top1(outputs) is None
