"""``weft compress``: the digits network in few bits, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.mapper.support import ENDLESS
from tests.nn.compress.networks import conv_net, made
from weft.cli.main import main
from weft.mapper.search import plan
from weft.nn.onnx.importer import import_model

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def digits(root: Path) -> Path:
    return root / "examples/digits"


def test_digits_in_four_bits(digits: Path, tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / "w4.onnx"
    words = ["compress", str(digits / "digits.onnx"), "--data", str(digits / "digits_test.npz")]
    words += ["--labels", "labels", "--weight-bits", "4", "-o", str(target), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["calibrated_with"], found["scored_with"]) == (100, 180)
    assert found["after"]["accuracy"] > found["before"]["accuracy"] - 0.02
    assert found["after"]["snr_db"] > 24
    assert found["weight_bits"] * 2 == found["weight_bits_before"] == 14544 * 8
    assert {row["stored_as"] for row in found["layers"]} == {"int4"}
    assert {row["engine_bits"] for row in found["layers"]} == {4}
    assert list(found["left"]) == ["depthwise"]
    assert found["onnx_runtime"]["largest"] < 0.02
    assert target.stat().st_size < (digits / "digits.onnx").stat().st_size
    assert plan(import_model(target), ENDLESS).engine.kind == "w4"


def test_float_and_mixed(digits: Path, tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / "mixed.onnx"
    words = ["compress", str(digits / "digits_float.onnx")]
    words += ["--data", str(digits / "digits_test.npz"), "--budget", "bits=40%", "-o", str(target)]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "samples at even places calibrate, those at odd places are scored" in shown.out
    assert "same class as before: 9" in shown.out
    assert "left: 'depthwise': depthwise: the vector unit multiplies by 8 bits" in shown.out
    assert "layer 'mix': " in shown.err
    kinds = {item.data_type for item in onnx.load(target).graph.initializer}
    assert onnx.TensorProto.INT4 in kinds


@pytest.fixture
def refused(tmp_path: Path, capsys: Captured) -> Callable[..., str]:
    """The message for words behind those that would do, with which nothing is written."""

    def run(*words: str, code: int = 1, count: int = 64) -> str:
        path, samples = made(conv_net, tmp_path)
        data = tmp_path / "data.npz"
        np.savez(data, x=samples[:count], y=np.arange(count) % 5, half=np.full(count, 0.5))
        target = tmp_path / "out.onnx"
        line = ["compress", str(path), "--data", str(data), "-o", str(target), *words]
        assert main(line) == code
        assert not target.exists()
        return capsys.readouterr().err.splitlines()[-1].replace(f"{tmp_path}/", "")

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--sparsity", "3:2"),
            "sparsity must be none, lanes:A/B as in lanes:1/2, or N:M as in 2:4, not '3:2'",
        ),
        (
            ("--budget", "dsp=3"),
            "a budget must be bits=N, bits=N% of what 8 bits take, bram=N or lut=N, not 'dsp=3'",
        ),
        (
            ("--budget", "cycles=3"),
            "a budget in cycles needs an engine that is faster with fewer bits; this version has "
            "none: a budget can be bits=N, bits=N% of what 8 bits take, bram=N or lut=N",
        ),
        (
            ("--labels", "classes"),
            "data.npz has no array 'classes' for the labels; it has: x, y, half",
        ),
        (
            ("--labels", "x"),
            "data.npz: labels 'x' have shape [64, 4, 6, 6]; one for each of the 64 samples is "
            "needed",
        ),
        (
            ("--labels", "half"),
            "data.npz: labels 'half' must be whole numbers, the classes' places",
        ),
    ],
)
def test_refusals(refused: Callable[..., str], words: tuple[str, ...], message: str) -> None:
    assert refused(*words) == f"weft compress: {message}"


def test_too_few_samples(refused: Callable[..., str]) -> None:
    assert refused(count=20) == (
        "weft compress: data.npz: 20 samples are too few: at least 32 are needed, one half to "
        "calibrate with and the other to score with"
    )


def test_a_budget_out_of_reach(refused: Callable[..., str]) -> None:
    assert refused("--budget", "bits=10", code=2) == (
        "weft compress: a budget of 10 weight bits is out of reach: the least possible here is 1472"
    )


def test_the_output_is_not_the_input(refused: Callable[..., str], tmp_path: Path) -> None:
    path, samples = made(conv_net, tmp_path)
    np.savez(tmp_path / "data.npz", x=samples)
    before = path.read_bytes()
    words = ["compress", str(path), "--data", str(tmp_path / "data.npz"), "-o", str(path)]
    assert main(words) == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("bits", ["1", "9", "x"])
def test_other_bits(bits: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["compress", "m.onnx", "--data", "d.npz", "-o", "o.onnx", "--weight-bits", bits])
    assert caught.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "weft compress: error: argument --weight-bits: must be auto or a whole number from 2 to 8, "
        f"not {bits!r}"
    )
