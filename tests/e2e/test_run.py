"""``weft run --port sim``: networks through the UART and the host link of the Verilated board."""

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.boards.fake_board import FakeBoard, port_that
from tests.hw.link_fuzz import damaged
from weft.boards.build_dir import open_build
from weft.boards.device import Device
from weft.boards.serial_link import LinkError, SerialLink
from weft.boards.simulated import simulated_board
from weft.cli.main import main
from weft.gen.build_dir import Build, read_build
from weft.gen.data import load_inputs
from weft.hw.link.protocol import STATUS_BYTES, Command, request
from weft.machine import timing
from weft.nn.ir.host import encode_inputs, reference_model

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
DATA = DIGITS / "digits_test.npz"
SMALL = ["--lanes", "4", "--columns", "4", "--requant-lanes", "2"]
CLOCK_MHZ = 50  # what designs for an ECP5 are planned for
KEYS = ["samples", "cycles", "predicted_cycles", "microseconds", "seconds", "labels"]


def compiled(folder: Path, model: Path, *words: str) -> Path:
    assert main(["compile", str(model), "--board", "ulx3s-85f", "-o", str(folder), *words]) == 0
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network on an engine that is built in seconds."""
    return compiled(tmp_path_factory.mktemp("run") / "small", DIGITS / "digits.onnx", *SMALL)


def check_run(capsys: Any, build: Path, data: Path, samples: int, *words: str) -> dict[str, Any]:
    """Outputs and cycles of ``weft run`` against the reference and the prediction."""
    capsys.readouterr()
    scores = build / "scores.npz"
    line = ["run", build, "--port", "sim", "--inputs", data, "--samples", samples, "-o", scores]
    code = main([*map(str, line), *words, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    result = json.loads(printed.out)
    with np.load(data) as given:
        assert list(result) == KEYS + ["top1"] * ("labels" in given)
    made = read_build(build)
    expected = reference_model(made.graph, load_inputs(data, made.graph, samples))
    with np.load(scores) as outputs:
        for name, array in expected.items():
            np.testing.assert_array_equal(outputs[name], array)
    first = next(iter(expected.values()))
    assert result["labels"] == np.argmax(first, axis=1).tolist()
    assert result["samples"] == samples
    assert result["cycles"] == result["predicted_cycles"]
    assert result["microseconds"] == round(result["cycles"] / CLOCK_MHZ, 2)
    return result


def test_digits(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_run(capsys, small, DATA, 20)


def zeros(image: str) -> str:
    """A hex image of the same size."""
    return "".join("0" * len(line) + "\n" for line in image.split())


def test_upload(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Memories that start with something else, as on a board that cannot fill them."""
    images = {path: path.read_text() for path in (small / "images").glob("*.hex")}
    try:
        for path, text in images.items():
            if path.name != "program.hex":  # a program of zeros would not end
                path.write_text(zeros(text))
        with pytest.raises(AssertionError):
            check_run(capsys, small, DATA, 3)
        program = small / "images" / "program.hex"
        program.write_text(zeros(images[program]))
        check_run(capsys, small, DATA, 3, "--upload")
    finally:
        for path, text in images.items():
            path.write_text(text)


@pytest.mark.slow
def test_a_hundred_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = compiled(tmp_path / "digits", DIGITS / "digits.onnx")
    check_run(capsys, build, DATA, 100)


@pytest.mark.slow
def test_keyword_spotting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model_file: Callable[[str], Path]
) -> None:
    build = compiled(tmp_path / "kws", model_file("mlperf_tiny/kws.onnx"))
    check_run(capsys, build, model_file("mlperf_tiny/kws_data.npz"), 20)


SHORT_TIMEOUT = 12  # 2**12 cycles: a damaged request often has to be waited for
PERIOD = 100


def recorded(build: Build, inputs: dict[str, np.ndarray]) -> list[bytes]:
    """The requests of an upload and some inferences."""
    board = FakeBoard(build, encode_inputs(build.graph, inputs))
    requests = []

    def answer(command: int, payload: bytes) -> bytes:
        requests.append(request(command, payload))
        return board.answer(command, payload)

    with port_that(answer) as port, Device(build, port, upload=True) as device:
        device.run(inputs)
    return requests


def settle(link: SerialLink) -> None:
    """Wait until everything that was sent is dealt with and a request is answered."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        while link.drain(0.1):
            pass
        with suppress(LinkError):
            link.ask(Command.STATUS, n_bytes=STATUS_BYTES)
            return
    pytest.fail("the link does not answer any more")


@pytest.mark.parametrize("n_frames", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damaged_requests(small: Path, n_frames: int) -> None:
    """Random and mutated requests: the board always answers again, and always right.

    The requests that are damaged write the memory images, too; that no other image write gets
    through is in tests/hw/test_link.py.
    """
    build = read_build(small)
    inputs = load_inputs(DATA, build.graph, 20)
    expected = reference_model(build.graph, inputs)
    requests = recorded(build, {name: array[:2] for name, array in inputs.items()})
    rng = random.Random(n_frames)
    with (
        simulated_board(open_build(small), timeout_bits=SHORT_TIMEOUT) as port,
        Device(build, port, timeout=5.0) as device,
    ):
        for i in range(n_frames):
            device.link.send(damaged(rng, requests))
            if rng.randrange(2):  # or else the next one comes at once
                device.link.drain(0.002)
            if i % PERIOD == PERIOD - 1:
                settle(device.link)
                index = [i // PERIOD % 20]
                result = device.run({name: array[index] for name, array in inputs.items()})
                for name, array in result.outputs.items():
                    np.testing.assert_array_equal(array, expected[name][index])
                assert result.cycles.tolist() == [timing.cycles(build.plan)]
