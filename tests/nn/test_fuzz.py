"""No damaged or absurd file does anything but be refused with a WeftError, or import."""

from pathlib import Path

import pytest

from tests.conftest import MODELS
from tests.nn import fuzz

ROOT = Path(__file__).resolve().parents[2]


def sources() -> list[Path]:
    """The example's files, and the third-party ones that are there; none of them large."""
    own = sorted((ROOT / "examples" / "digits").glob("*.onnx"))
    found = sorted(MODELS.glob("digits/*.onnx")) + sorted(MODELS.glob("mlperf_tiny/*.tflite"))
    return own + [path for path in found if path.stat().st_size < 100_000]


def check(folder: Path, count: int, seed: int) -> None:
    found = fuzz.run_all(fuzz.write(folder, sources(), count, seed), folder)
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

    monkeypatch.setattr("weft.nn.importer.import_model", broken)
    assert "IndexError: of a tuple" in fuzz.outcome(sources()[0])
