"""Networks on which weft was wrong once; they are no part of the project (as in ``model_file``)."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MODELS
from weft.nn.host import reference_model
from weft.nn.importer import import_model

CASES = MODELS.parent / "cases"


def case(name: str) -> tuple[Path, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A case's model, its inputs and the right outputs."""
    path = CASES / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path.name} not found in {CASES}")
    files = [np.load(CASES / f"{name}{end}.npz") for end in ("", "-expected")]
    inputs, outputs = (dict(file) for file in files)
    return path, inputs, outputs


@pytest.mark.parametrize("name", ["09-normalise-in-graph"])
def test_right(name: str) -> None:
    path, inputs, outputs = case(name)
    got = reference_model(import_model(path), inputs)
    for key, wanted in outputs.items():
        np.testing.assert_array_equal(got[key], wanted)
