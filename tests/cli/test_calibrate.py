"""``--calibrate``: the digits network from its float form, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.nn.golden import run_onnx
from tests.nn.qdq_builder import Net
from weft.cli.arguments import RANGES
from weft.cli.main import main
from weft.nn.ir.host import reference_model
from weft.nn.onnx.importer import import_model
from weft.nn.quantise.calibration import METHODS

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def digits(root: Path) -> Path:
    return root / "examples/digits"


def quantised(digits: Path, target: Path, *words: str) -> int:
    data = ["--calibrate", str(digits / "digits_calibrate.npz"), "-o", str(target)]
    return main(["quantise", str(digits / "digits_float.onnx"), *data, *words])


def test_ranges_are_the_calibrations() -> None:
    assert RANGES == METHODS


@pytest.mark.parametrize("method", RANGES)
def test_digits_keep_their_accuracy(
    digits: Path, tmp_path: Path, method: str, capsys: Captured
) -> None:
    target = tmp_path / "new" / "int8.onnx"
    assert quantised(digits, target, "--ranges", method, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (loss,) = found.pop("outputs")
    assert found == {"output": str(target), "ranges": method, "samples": 512, "operators": 8}
    assert loss["name"] == "logits"
    assert 30 < loss["snr_db"] < 40
    assert 0.5 < loss["steps"] < 4
    assert [path.name for path in target.parent.iterdir()] == ["int8.onnx"]
    with np.load(digits / "digits_test.npz") as file:
        images, labels = file["image"], file["labels"]
    (plain,) = run_onnx(digits / "digits_float.onnx", {"image": images})
    (codes,) = reference_model(import_model(target), {"image": images}).values()
    shares = [float(np.mean(scores.argmax(axis=1) == labels)) for scores in (plain, codes)]
    assert shares[0] > 0.97
    assert shares[1] >= shares[0] - 0.005
    assert np.mean(plain.argmax(axis=1) == codes.argmax(axis=1)) > 0.99


def test_compile_says_so(digits: Path, tmp_path: Path, capsys: Captured) -> None:
    words = ["compile", str(digits / "digits_float.onnx"), "--board", "ulx3s-25f"]
    words += ["-o", str(tmp_path / "b"), "--lanes", "4", "--columns", "4", "--requant-lanes", "2"]
    assert main([*words, "--calibrate", str(digits / "digits_calibrate.npz")]) == 0
    shown = capsys.readouterr()
    note = "quantised from float: ranges by minmax over 512 samples"
    assert f"note: {note}\n" in shown.err
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert report["prediction"]["notes"][0] == note
    said = "output 'logits': the error of quantisation is 3"
    assert report["prediction"]["notes"][1].startswith(said)
    assert "digits_float on ulx3s-25f" in shown.out


@pytest.fixture
def refusal(digits: Path, tmp_path: Path, capsys: Captured):
    """The message for one array of calibration data."""

    def run(arrays: dict[str, np.ndarray], model: Path | None = None, *words: str) -> str:
        data = tmp_path / "data.npz"
        np.savez(data, allow_pickle=False, **arrays)
        target = tmp_path / "int8.onnx"
        line = ["quantise", str(model or digits / "digits_float.onnx"), "--calibrate", str(data)]
        assert main([*line, "-o", str(target), *words]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]
        return shown.err.removeprefix("weft quantise: ").replace(str(data), "DATA").rstrip("\n")

    return run


def test_calibration_data_are_checked(refusal, digits: Path) -> None:
    good = np.ones((3, 1, 8, 8), np.float32)
    assert refusal({"a": good[:, 0], "b": good[:, 0]}) == (
        "DATA has no array for input 'image'; it has: a, b"
    )
    assert refusal({"image": good[:, :, :7]}) == (
        "DATA: array 'image' has shape [3, 1, 7, 8], input 'image' needs [n, 1, 8, 8]"
    )
    assert refusal({"image": good[:0]}) == "DATA: array 'image' holds no samples"
    plain = "DATA is not a readable .npz file: array 'image' holds no plain numbers"
    assert refusal({"image": good.astype(complex)}) == plain
    assert refusal({"image": good * np.float64(0.1)}) == (
        "DATA: array 'image' is float64 and has 0.1 at [0, 0, 0, 0], which is no float32; round it "
        "first: array.astype(np.float32)"
    )
    bad = good.copy()
    bad[1, 0, 2, 3] = np.nan
    assert refusal({"image": bad}) == (
        "DATA: array 'image' has the value nan at [1, 0, 2, 3]; finite numbers are needed"
    )
    assert refusal({"image": good}, None, "--samples", "4") == (
        "DATA has 3 samples, fewer than --samples 4"
    )


def test_other_refusals(refusal, digits: Path, tmp_path: Path, capsys: Captured) -> None:
    good = {"image": np.ones((3, 1, 8, 8), np.float32)}
    assert refusal(good, digits / "digits.onnx") == (
        f"{digits / 'digits.onnx'} is quantised already (node 'classify.bias_DequantizeLinear' "
        "(DequantizeLinear)); only float models are calibrated"
    )
    (tmp_path / "data.npz").unlink()
    assert quantised(digits, tmp_path) == 1
    assert capsys.readouterr().err == (f"weft quantise: {tmp_path} is a folder; name a file\n")
    (tmp_path / "file").touch()
    assert quantised(digits, tmp_path / "file" / "q.onnx") == 1
    assert capsys.readouterr().err == (
        f"weft quantise: {tmp_path / 'file' / 'q.onnx'} cannot be written: Not a directory\n"
    )


def test_unsupported_networks_leave_no_file(tmp_path: Path, capsys: Captured) -> None:
    net = Net()
    x = net.input("x", ("n", 3, 6, 6), "float32")
    net.output(net.node("Sin", net.node("GlobalAveragePool", net.node("Relu", x))), 4, "float32")
    path, data, target = net.save(tmp_path), tmp_path / "data.npz", tmp_path / "q.onnx"
    np.savez(data, allow_pickle=False, x=np.ones((2, 3, 6, 6), np.float32))
    assert main(["quantise", str(path), "--calibrate", str(data), "-o", str(target)]) == 1
    assert "operator Sin is not supported" in capsys.readouterr().err
    assert not target.exists()
    target.write_text("of the user")
    assert main(["quantise", str(path), "--calibrate", str(data), "-o", str(target)]) == 1
    assert target.read_text() == "of the user"
    for output in (path, data):
        before = output.read_bytes()
        capsys.readouterr()
        assert main(["quantise", str(path), "--calibrate", str(data), "-o", str(output)]) == 1
        assert capsys.readouterr().err == (
            f"weft quantise: {output} is what this command reads ({output}); name another file\n"
        )
        assert output.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(
        [path.name, data.name, target.name]
    )
