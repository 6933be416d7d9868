"""Whole networks through the command line: compiled, simulated, compared with the reference."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.quantise.test_static import made, upwards
from weft.cli.main import main

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
KEYS = {
    "bit_exact",
    "samples",
    "mismatches",
    "cycles",
    "predicted_cycles",
    "load_cycles",
    "read_cycles",
    "macs",
    "multipliers",
    "mac_utilisation",
}


def weft(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """Run a command with --json; it must succeed and print one object."""
    capsys.readouterr()
    code = main([*map(str, words), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def check(
    capsys: pytest.CaptureFixture[str], build: Path, samples: int, inputs: Path | None = None
) -> dict[str, Any]:
    """Simulate a build: every bit and the number of cycles must be as predicted."""
    data = ["--inputs", inputs] if inputs else []
    result = weft(capsys, "simulate", build, "--samples", str(samples), *data)
    assert set(result) - {"top1"} == KEYS  # of data with labels
    assert result["bit_exact"]
    assert result["mismatches"] == 0
    assert result["samples"] == samples
    assert result["cycles"] == result["predicted_cycles"]
    utilisation = result["macs"] / (result["cycles"] * result["multipliers"])
    assert result["mac_utilisation"] == pytest.approx(utilisation, abs=1e-4)
    return result


@pytest.mark.parametrize("board", ["ulx3s-85f", "ulx3s-25f"])
def test_digits(board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = tmp_path / "digits"
    weft(capsys, "compile", DIGITS / "digits.onnx", "--board", board, "-o", build)
    assert check(capsys, build, 20, DIGITS / "digits_test.npz")["top1"] == 1


def test_digits_reference_is_accurate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build, scores = tmp_path / "digits", tmp_path / "scores.npz"
    data = DIGITS / "digits_test.npz"
    weft(capsys, "compile", DIGITS / "digits.onnx", "--board", "ulx3s-25f", "-o", build)
    weft(capsys, "reference", build, "--inputs", data, "-o", scores)
    with np.load(scores) as made, np.load(data) as given:
        right = np.argmax(made["y"], axis=1) == given["labels"]
    assert right.mean() >= 0.975


@pytest.mark.parametrize("board", ["ulx3s-25f", "icebreaker"])
def test_up_and_down_again(board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ConvTranspose, Resize, DepthToSpace, SpaceToDepth, Pad, Slice, PRelu: from a float model."""
    model, samples = made(upwards, tmp_path)
    data, build = tmp_path / "data.npz", tmp_path / "up"
    np.savez(data, **samples)  # pyright: ignore
    weft(capsys, "compile", model, "--calibrate", data, "--board", board, "-o", build)
    check(capsys, build, 5, data)


# Cycles at most, with the engine pinned to (lanes, columns).
LIMITS = {
    ("ic", 16, 8): 112_000,
    ("ic", 16, 16): 52_000,
    ("kws", 16, 16): 12_500,
    ("ad", 16, 16): 1_520,
    ("vww", 16, 16): 26_000,
}


@pytest.mark.parametrize(("network", "lanes", "columns"), LIMITS)
def test_mlperf_tiny_cycles(
    network: str,
    lanes: int,
    columns: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model_file: Callable[[str], Path],
) -> None:
    size = ["--lanes", str(lanes), "--columns", str(columns)]
    model = model_file(f"mlperf_tiny/{network}.onnx")
    build = tmp_path / network
    plan = weft(capsys, "compile", model, "--board", "ulx3s-85f", *size, "-o", build)
    assert plan["cycles"] <= LIMITS[network, lanes, columns]
    assert plan["dsp"] <= 156
    assert plan["bram"] <= 208


@pytest.mark.slow
@pytest.mark.parametrize("network", ["ic", "kws", "ad", "vww"])
def test_mlperf_tiny_in_verilator(
    network: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model_file: Callable[[str], Path],
) -> None:
    model = model_file(f"mlperf_tiny/{network}.onnx")
    data = model.with_name(f"{network}_data.npz")
    build = tmp_path / network
    weft(capsys, "compile", model, "--board", "ulx3s-85f", "-o", build)
    check(capsys, build, 4, data if data.is_file() else None)
