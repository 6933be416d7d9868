"""``weft evaluate``: digits in all its forms, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.support import DIGITS, placed, read_report
from weft.cli.main import main
from weft.errors import ModelError
from weft.nn.onnx.importer import import_model
from weft.report import accuracy
from weft.report.accuracy import FLOAT, REFERENCE, RUNTIME, Subject, evaluate
from weft.report.layer_errors import sqnr_db
from weft.report.onnx_runs import run_file

DATA = DIGITS / "digits_test.npz"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    graph = import_model(DIGITS / "digits.onnx", simplify=False)
    original, int8 = DIGITS / "digits_float.onnx", DIGITS / "digits.onnx"
    return evaluate(Subject(graph=graph, original=original, int8=int8), DATA, samples=100)


def test_runs(found: dict[str, Any]) -> None:
    runs = {row["run"]: row for row in found["runs"]}
    assert list(runs) == [FLOAT, RUNTIME, REFERENCE]
    assert (found["samples"], found["labels"], found["base"]) == (100, True, FLOAT)
    assert runs[FLOAT]["top1"] > 0.95
    assert runs[REFERENCE]["top1"] > 0.95
    assert runs[REFERENCE]["agreement"] > 0.97
    assert runs[FLOAT]["sqnr_db"] is None  # nothing is off from itself
    assert 20 < runs[REFERENCE]["sqnr_db"] < 50
    assert sum(map(sum, found["confusion"])) == 100
    right = sum(row[i] for i, row in enumerate(found["confusion"]))
    assert right / 100 == runs[REFERENCE]["top1"]


def test_layers(found: dict[str, Any]) -> None:
    rows = {row["layer"]: row for row in found["layers"]}
    assert list(rows) == [
        "stem", "depthwise", "pointwise", "residual", "reduce", "mix", "pool", "classify"
    ]  # fmt: skip
    assert all(20 < row["sqnr_db"] < 60 for row in rows.values())
    worst = max(row["lost_db"] for row in rows.values())
    assert found["worst"]["lost_db"] == worst > 0
    assert rows["classify"]["sqnr_db"] == pytest.approx(found["runs"][-1]["sqnr_db"], abs=3)


def test_without_labels_there_is_agreement(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", image=np.load(DATA)["image"][:20])
    graph = import_model(DIGITS / "digits.onnx")
    found = evaluate(Subject(graph=graph), tmp_path / "data.npz")
    assert [(row["run"], row["top1"], row["agreement"]) for row in found["runs"]] == [
        (REFERENCE, None, 1.0)
    ]
    assert (found["confusion"], found["layers"], found["worst"]) == (None, [], None)


def test_fixed_batches_are_filled_up(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(DIGITS / "digits_float.onnx")
    for item in (*model.graph.input, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 8
    onnx.save(model, tmp_path / "eight.onnx")
    images = {"image": np.load(DATA)["image"][:11]}
    (fixed,) = run_file(tmp_path / "eight.onnx", images).values()
    (free,) = run_file(DIGITS / "digits_float.onnx", images).values()
    assert fixed.shape == free.shape
    np.testing.assert_allclose(fixed, free, rtol=1e-5, atol=1e-5)


def test_sqnr() -> None:
    wanted = np.array([1.0, -1.0, 1.0, -1.0])
    assert sqnr_db(wanted, wanted + 0.1) == 20.0
    assert sqnr_db(wanted, wanted) is None
    assert sqnr_db(np.ones(4), wanted) is None


def test_a_float_network_with_other_inputs() -> None:
    model = DIGITS / "digits_float.onnx"
    with pytest.raises(ModelError) as caught:
        run_file(model, {"picture": np.zeros((1, 1, 8, 8), np.float32)})
    assert str(caught.value) == f"{model}: the data have no array for its input 'image'"


def refused(capsys: Captured, *words: str) -> str:
    assert main(["evaluate", *words]) == 1
    return capsys.readouterr().err.removeprefix("weft evaluate: ").rstrip("\n")


def test_refusals(tmp_path: Path, capsys: Captured) -> None:
    model, data = str(DIGITS / "digits.onnx"), ["--data", str(DATA)]
    assert refused(capsys, model, *data, "--rtl", "2") == (
        f"--rtl simulates the hardware of a build directory, and {model} is none; compile the "
        "model, then give `weft evaluate` the build directory"
    )
    assert refused(capsys, model, *data, "--int8", model) == (
        "--int8 goes with a build directory; a model is its own quantised file"
    )
    plain = str(DIGITS / "digits_float.onnx")
    assert refused(capsys, plain, *data) == (
        f"{plain} is a float model: give samples of its inputs with --calibrate, by which it is "
        "quantised first"
    )
    images = np.load(DATA)["image"][:2]
    np.savez(tmp_path / "odd.npz", image=images, labels=np.array([1, 11]))
    assert refused(capsys, model, "--data", str(tmp_path / "odd.npz")).endswith(
        "odd.npz: array 'labels' holds 1 to 11, but output 'logits' has the classes 0 to 9"
    )


def test_a_build_keeps_the_result(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = placed(tmp_path / "build")
    monkeypatch.setattr("weft.cli.evaluate.read_build", lambda folder: build)
    seen = {"samples": 2, "bit_exact": True, "cycles": 7, "predicted_cycles": 8}
    monkeypatch.setattr(
        accuracy, "_hardware", lambda build, inputs, rtl, tell: (seen, np.zeros((2, 10)))
    )
    words = ["evaluate", str(build.folder), "--data", str(DATA), "--samples", "20", "--rtl", "2"]
    assert main([*words, "--json"]) == 1  # other cycles than planned
    shown = json.loads(capsys.readouterr().out)
    report = read_report(build.folder)
    assert report["evaluation"] == shown
    assert report["commands"]["evaluate"] == (
        "weft evaluate BUILD --data digits_test.npz --samples 20 --rtl 2 --json"
    )
    assert report["answer"]["exact"]["good"] is False
    assert "digits_test.npz" in (build.folder / "report.html").read_text("utf-8")
