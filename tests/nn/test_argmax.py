"""ArgMax on the host equals ONNX Runtime's, ties included."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.errors import ModelError
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model

CASES: list[dict[str, Any]] = [
    {"axis": 1},
    {"axis": 1, "keepdims": 0},
    {"axis": -1, "select_last_index": 1},
    {"axis": 2, "select_last_index": 1, "keepdims": 0},
]


def scores(net: Net, shape: tuple[int, ...] = (1, 3, 5, 4), dtype: str = "int8") -> str:
    """Codes of few different values, from a convolution by 1."""
    x = net.dq(net.input("x", shape, dtype), 0.5, 3, dtype)
    eye = np.eye(shape[1], dtype=np.int8)[:, :, None, None]
    y = net.node("Conv", x, net.dq(net.constant(eye), 1.0, 0))
    return net.q(y, 4.0, 1, dtype)


def samples(dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    return rng.integers(info.min, info.max + 1, (6, 3, 5, 4)).astype(dtype)


def compare(net: Net, path: Path, x: np.ndarray) -> np.ndarray:
    model = net.save(path)
    (wanted,) = run_onnx(model, {"x": x})
    (found,) = reference_model(import_model(model), {"x": x}).values()
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)
    return found


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("of_codes", [False, True])
@pytest.mark.parametrize("attributes", CASES)
def test_equals_onnx_runtime(
    attributes: dict[str, Any], of_codes: bool, dtype: str, tmp_path: Path
) -> None:
    net = Net()
    y = scores(net, dtype=dtype)
    y = y if of_codes else net.dq(y, 4.0, 1, dtype)
    net.output(net.node("ArgMax", y, **attributes), 3, "int64")
    compare(net, tmp_path, samples(dtype))


def test_cast_and_views_behind_it(tmp_path: Path) -> None:
    net = Net()
    y = net.node("Transpose", net.dq(scores(net), 4.0, 1), perm=[0, 2, 3, 1])
    y = net.node("Cast", net.node("ArgMax", y, axis=3), to=6)
    net.output(net.node("Flatten", y), 2, "int32")
    assert compare(net, tmp_path, samples("int8")).shape == (6, 20)


def test_of_accumulators_and_of_probabilities(tmp_path: Path) -> None:
    """One result per sample: the scores of a last layer that was never quantised, or a Softmax."""
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (6, 20)).astype(np.int8)
    for softmax in (False, True):
        net = Net()
        flat = net.dq(net.input("x", (1, 20)), 0.1, 3)
        weight = net.dq(net.constant(rng.integers(-99, 100, (20, 7)).astype(np.int8)), 0.01, 0)
        y = net.node("MatMul", flat, weight)
        y = net.node("Softmax", y) if softmax else y
        net.output(net.node("ArgMax", y, axis=1, keepdims=0), 1, "int64")
        assert compare(net, tmp_path, x).shape == (6,)


def test_refused(tmp_path: Path) -> None:
    net = Net()
    net.output(net.node("ArgMax", net.dq(scores(net), 4.0, 1)), 4, "int64")
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'argmax5' (ArgMax): attribute 'axis' = 0 of 4 dimensions; 1 to 3 are supported"
    )
    net = Net()
    y = net.node("ArgMax", net.dq(scores(net), 4.0, 1), axis=1)
    net.output(net.node("Cast", y, to=1), 4, "float32")
    with pytest.raises(ModelError) as error:
        import_model(net.save(tmp_path))
    assert str(error.value) == (
        "node 'cast6' (Cast): a Cast of int64 to float on the host is not supported; of an "
        "ArgMax's result to int32 or int64 it is"
    )
