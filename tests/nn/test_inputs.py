"""The model's inputs: their batch, and those that nothing depends on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ConfigError, ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model
from weft.nn.onnx.survey import survey

NOTE = (
    "the model has a fixed batch of 4: its samples run one by one, and any number of them can be "
    "given"
)


def network(folder: Path, batches: Sequence[int | str], used: int = 2) -> Path:
    """A sum of the first inputs of these batches, ``used`` of them, then a Gemm."""
    net = Net()
    values = []
    for index, batch in enumerate(batches):
        x = net.input(f"x{index}", [batch, 3, 2, 2])
        if index < used:
            values.append(net.dq(x, 0.05, 3))
    y = values[0]
    for value in values[1:]:
        y = net.dq(net.q(net.node("Add", y, value), 0.07, 1), 0.07, 1)
    size = batches[0] if isinstance(batches[0], int) else -1
    y = net.node("Reshape", y, net.constant([size, 12], "int64"))
    weight = net.dq(net.constant(np.arange(60).reshape(12, 5), "int8"), 0.01, 0)
    net.output(net.q(net.node("Gemm", y, weight), 0.11, 0), 2)
    return net.save(folder)


def test_a_fixed_batch_runs_one_by_one_and_says_so(tmp_path: Path) -> None:
    path = network(tmp_path, [4, 4])
    rng = np.random.default_rng(0)
    inputs = {f"x{i}": rng.integers(-128, 128, (4, 3, 2, 2)).astype(np.int8) for i in (0, 1)}
    graph = import_model(path)
    (got,) = reference_model(graph, inputs).values()
    np.testing.assert_array_equal(got, run_onnx(path, inputs)[0])
    (alone,) = reference_model(graph, {k: v[2:3] for k, v in inputs.items()}).values()
    np.testing.assert_array_equal(alone, got[2:3])
    assert [str(note) for note in graph.notes] == [NOTE]
    looked = survey(path)
    assert looked.graph is not None
    assert [str(note) for note in looked.graph.notes] == [NOTE]


@pytest.mark.parametrize("batches", [(1, 1), ("n", "n"), ("n", 1)], ids=str)
def test_a_batch_of_one_needs_no_words(tmp_path: Path, batches: tuple[int | str, ...]) -> None:
    assert import_model(network(tmp_path, batches)).notes == ()


def test_different_batches_are_refused(tmp_path: Path) -> None:
    """A batch of 1 would be the same for all four."""
    path = network(tmp_path, [4, 1])
    with pytest.raises(ModelError) as error:
        import_model(path)
    assert survey(path).problems == (str(error.value),)
    assert str(error.value) == (
        "net: inputs have different batches ('x0' of 4, 'x1' of 1); one for all is supported: "
        "export with a batch of 1"
    )


def test_inputs_that_nothing_depends_on_are_known(tmp_path: Path) -> None:
    graph = import_model(network(tmp_path, ["n", "n", 7], used=2))
    assert graph.unused_inputs == ("x2",)
    x = np.zeros((2, 3, 2, 2), np.int8)
    with_it = reference_model(graph, {"x0": x, "x1": x, "x2": x})
    without = reference_model(graph, {"x0": x, "x1": x})
    for name, array in with_it.items():
        np.testing.assert_array_equal(array, without[name])
    with pytest.raises(ConfigError) as error:
        reference_model(graph, {"x0": x, "x1": x, "x3": x})
    assert str(error.value) == "the model has no input 'x3'; its inputs: x0, x1"
