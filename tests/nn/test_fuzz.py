"""No damaged or absurd file does anything but be refused with a WeftError, or import."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MODELS
from tests.nn import fuzz
from tests.nn.qdq_builder import Net

ROOT = Path(__file__).resolve().parents[2]


def sources() -> list[Path]:
    """The example's files, and the third-party ones that are there; none of them large."""
    own = sorted((ROOT / "examples" / "digits").glob("*.onnx"))
    found = sorted(MODELS.glob("digits/*.onnx")) + sorted(MODELS.glob("mlperf_tiny/*.tflite"))
    return own + [path for path in found if path.stat().st_size < 100_000]


def moving(folder: Path) -> Path:
    """A network of all that moves and stretches."""
    rng, net = np.random.default_rng(0), Net(opset=18)

    def again(x: str) -> str:
        return net.dq(net.q(x, 0.1, 3), 0.1, 3)

    x = net.dq(net.input("x", (1, 3, 6, 5)), 0.1, 3)
    weight = net.dq(net.constant(rng.integers(-99, 100, (3, 4, 3, 3)), "int8"), 0.01, 0)
    y = again(net.node("ConvTranspose", x, weight, strides=[2, 2], pads=[1, 1, 0, 0]))
    y = again(net.node("PRelu", y, net.constant(rng.normal(0, 1, (4, 1, 1)), "float32")))
    y = again(net.node("Resize", y, "", "", net.constant([1, 4, 7, 9], "int64")))
    y = again(net.node("Resize", y, "", net.constant([1, 1, 2, 2], "float32"), mode="linear"))
    ranges = ([13, 1], [0, 17], [2, 3], [-1, 2])
    y = again(net.node("Slice", y, *(net.constant(part, "int64") for part in ranges)))
    pads, value = net.constant([0, 0, 1, 2, 0, 0, 2, -1], "int64"), net.constant(0.7, "float32")
    y = again(net.node("Pad", y, pads, value))
    y = again(net.node("DepthToSpace", y, blocksize=2))
    y = net.node("SpaceToDepth", net.node("Transpose", y, perm=[0, 1, 3, 2]), blocksize=1)
    net.output(net.q(net.node("Concat", y, y, axis=2), 0.1, 3), 4)
    return net.save(folder)


def check(folder: Path, count: int, seed: int) -> None:
    files = [*sources(), moving(folder)]
    found = fuzz.run_all(fuzz.write(folder, files, count, seed), folder)
    wrong = {k: text for k, text in found.items() if text not in ("imported", "refused")}
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())
    assert len(found) == count
    kinds = list(found.values())
    assert kinds.count("imported") > count // 20
    assert kinds.count("refused") > count // 4


def test_some_files(tmp_path: Path) -> None:
    check(tmp_path, 150, 0)


@pytest.mark.slow
def test_many_files(tmp_path: Path) -> None:
    check(tmp_path, 2000, 7)


def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no WeftError comes back as its traceback."""

    def broken(path: Path) -> None:
        raise IndexError("of a tuple")

    monkeypatch.setattr("weft.nn.onnx.importer.import_model", broken)
    assert "IndexError: of a tuple" in fuzz.outcome(sources()[0])
