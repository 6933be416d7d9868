"""Networks on which weft was wrong once; they are no part of the project (as in ``model_file``)."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MODELS
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

CASES = MODELS.parent / "cases"


def case(name: str) -> tuple[Path, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A case's model, its inputs and the right outputs."""
    path = CASES / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path.name} not found in {CASES}")
    files = [np.load(CASES / f"{name}{end}.npz") for end in ("", "-expected")]
    inputs, outputs = (dict(file) for file in files)
    return path, inputs, outputs


@pytest.mark.parametrize("name", ["09-normalise-in-graph", "11-conv1x1-pad1", "12-matmul-rank3"])
def test_right(name: str) -> None:
    path, inputs, outputs = case(name)
    got = reference_model(import_model(path), inputs)
    for key, wanted in outputs.items():
        np.testing.assert_array_equal(got[key], wanted)


def test_the_error_of_a_head_that_is_not_quantised_is_told() -> None:
    path, inputs, outputs = case("10-unquantised-head")
    graph = import_model(path)
    (got,), (wanted,) = reference_model(graph, inputs).values(), outputs.values()
    error = got.astype(float) - wanted
    assert 5.3 < np.abs(error).max() <= 5.52
    assert np.sqrt(np.mean(error**2)) == pytest.approx(2.02, rel=0.03)
    (note,) = graph.notes
    assert str(note) == (
        "n_Gemm13: its result is an output that is not quantised; the host reads it in steps of up "
        "to 65536 accumulator steps, of a range of 21787200: values are off by up to 5.52, "
        "typically 2.02, and classes whose scores are closer than 10.8 may change places; quantise "
        "the output: put QuantizeLinear and DequantizeLinear behind it"
    )


def test_coordinates_that_are_refused_are_named() -> None:
    path, _, _ = case("15-resize-align-corners")
    with pytest.raises(ModelError) as error:
        import_model(path)
    assert str(error.value) == (
        "node 'n_Resize9' (Resize): mode 'linear' from 3 to 6 with coordinates 'align_corners', "
        "which is by 5/2; whole factors are supported, or mode 'nearest'"
    )
