"""The driver against a board in Python: inferences, uploads, wrong boards."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.boards.fake_board import FakeBoard, port_that
from tests.mapper.support import ENDLESS, conv_graph
from weft.boards.board import load_board
from weft.boards.build_dir import merge_report
from weft.boards.device import Device
from weft.boards.serial_link import LinkError
from weft.errors import ConfigError
from weft.gen import hardware, soc
from weft.gen.build_dir import Build, read_build, write_build
from weft.hw.link.protocol import Command, reply
from weft.machine import timing
from weft.machine.encode import image_writes
from weft.mapper.search import plan
from weft.nn.ir.host import encode_inputs, reference_model
from weft.nn.ir.window import Window

N_SAMPLES = 3
UNEVEN, EVEN = (2, 16, 20), (2, 15, 10)
"""Images whose outputs take frames with a shorter one at the end, and two full ones."""


@pytest.fixture
def build(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """A network whose inputs and outputs take several frames, with no Verilog."""
    monkeypatch.setattr(hardware, "verilog_text", lambda plan: "module weft_top;\nendmodule\n")
    monkeypatch.setattr(soc, "soc_verilog", lambda params: "module weft_soc;\nendmodule\n")
    graph = conv_graph(getattr(request, "param", UNEVEN), 3, Window(kernel=(2, 2)))
    made = plan(graph, ENDLESS, lanes=4, columns=4, requant_lanes=2)
    write_build(tmp_path / "build", graph, made, load_board("ulx3s-25f").to_json())
    return read_build(tmp_path / "build")


@pytest.fixture
def inputs(build: Build) -> dict[str, np.ndarray]:
    (edge,) = build.graph.inputs
    rng = np.random.default_rng(1)
    return {edge.name: rng.integers(-128, 128, (N_SAMPLES, *edge.shape)).astype(edge.dtype)}


@pytest.fixture
def board(build: Build, inputs: dict[str, np.ndarray]) -> FakeBoard:
    return FakeBoard(build, encode_inputs(build.graph, inputs))


def test_inferences(build: Build, inputs: dict[str, np.ndarray], board: FakeBoard) -> None:
    expected = reference_model(build.graph, inputs)
    seen: list[tuple[str, int, int]] = []
    with (
        port_that(board.answer) as port,
        Device(build.folder, port, progress=lambda *call: seen.append(call)) as device,
    ):
        result = device.run(inputs)
        (name,) = inputs
        (only,) = expected.values()
        np.testing.assert_array_equal(device(inputs[name]), only)
        assert list(device(inputs)) == list(expected)
        assert device.clock_hz == build.plan.target.clock_hz
        merge_report(build.folder, "synthesis", {"timing": {"clock_mhz": 40.0}})
        assert device.clock_hz == 40e6
        merge_report(build.folder, "synthesis", {"timing": None})
        assert device.clock_hz == build.plan.target.clock_hz
    for name, array in result.outputs.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])
    assert result.cycles.tolist() == [timing.cycles(build.plan)] * N_SAMPLES
    assert result.labels is None  # an image, not a row of scores
    assert seen[:4] == [("inference", i, N_SAMPLES) for i in range(N_SAMPLES + 1)]
    assert not board.images


@pytest.mark.parametrize(("wanted", "listed"), [(True, False), (None, True)])
def test_upload(build: Build, board: FakeBoard, wanted: bool | None, listed: bool) -> None:
    build.manifest["upload"] = listed
    with port_that(board.answer) as port, Device(build, port, upload=wanted):
        pass
    sent = {}
    for number, payload in board.images.items():
        for i in range(0, len(payload), 8):
            address = number << 24 | int.from_bytes(payload[i + 5 : i + 8], "little")
            sent[address] = int.from_bytes(payload[i : i + 5], "little")
    writes = dict(image_writes(build.plan).tolist())
    assert sent == {address: data for address, data in writes.items() if address >> 24}


def test_no_upload(build: Build, board: FakeBoard) -> None:
    build.manifest["upload"] = True
    with port_that(board.answer) as port, Device(build, port, upload=False):
        assert not board.images


def test_no_upload_of_a_fixed_network(build: Build, board: FakeBoard) -> None:
    path = build.folder / "manifest.json"
    path.write_text(
        json.dumps(build.manifest | {"image_limits": [0] * len(build.manifest["image_limits"])})
    )
    fixed = read_build(build.folder)
    with (
        port_that(board.answer) as port,
        pytest.raises(ConfigError, match="was compiled with --fixed"),
    ):
        Device(fixed, port, upload=True)
    assert not board.images


def error_of(build: Build, board: FakeBoard) -> str:
    """What is said about a board, without the port's name; the port is free afterwards."""
    with port_that(board.answer) as port:
        texts = []
        for _ in range(2):
            with pytest.raises(ConfigError) as caught:
                Device(build, port)
            texts.append(str(caught.value).replace(port, "PORT"))
    assert texts[0] == texts[1]
    return texts[0]


def test_another_design(build: Build, board: FakeBoard) -> None:
    board.identity = bytes(range(15))
    own = build.manifest["plan_hash"][:30]
    assert error_of(build, board) == (
        f"port PORT: the board has another design than {build.folder} (plan "
        f"000102030405060708090a0b0c0d0e, not {own}); load the build's bitstream, or name the "
        "build that is on the board"
    )
    assert Command.INPUT not in board.commands


@pytest.mark.parametrize(("version", "age"), [(1, "an older"), (9, "a newer")])
def test_another_version(build: Build, board: FakeBoard, version: int, age: str) -> None:
    board.version = version
    assert error_of(build, board) == (
        f"port PORT: the board speaks version {version} of the host link, this weft version 2: its "
        f"bitstream is of {age} weft; compile and synthesise the network with this one and load "
        "that bitstream, or use the weft that made the board's"
    )
    assert set(board.commands) == {Command.IDENTIFY}


def test_an_inference_that_does_not_end(
    build: Build, inputs: dict[str, np.ndarray], board: FakeBoard
) -> None:
    board.never_done = True
    with port_that(board.answer) as port, Device(build, port, timeout=0.3) as device:
        with pytest.raises(LinkError) as caught:
            device.run(inputs)
        predicted = timing.cycles(build.plan)
        assert str(caught.value) == (
            f"port {port}: the inference does not end; predicted were {predicted:,} cycles"
        )
        board.never_done = False
        assert device.run(inputs).outputs.keys()


def test_inputs_that_do_not_fit(
    build: Build, inputs: dict[str, np.ndarray], board: FakeBoard
) -> None:
    (name,) = inputs
    with port_that(board.answer) as port, Device(build, port) as device:
        with pytest.raises(ConfigError, match=f"input '{name}' has shape"):
            device(inputs[name][:, :1])
        with pytest.raises(ConfigError, match="the model has no input 'other'"):
            device({"other": inputs[name]})


class Spoiled:
    """A board whose reply to one request is another one, with a right checksum."""

    def __init__(self, board: FakeBoard, command: Command, payload: bytes):
        self.board, self.command, self.payload = board, command, payload

    def answer(self, command: int, payload: bytes) -> bytes:
        good = self.board.answer(command, payload)
        return reply(command, self.payload) if command == self.command else good


AGAIN = "is another program or another design at the port's end?"


@pytest.mark.parametrize(
    ("command", "payload", "message"),
    [
        (Command.IDENTIFY, b"", f"names a design by 0 bytes, not 15; {AGAIN}"),
        (Command.IDENTIFY, b"\2abc", f"names a design by 3 bytes, not 15; {AGAIN}"),
        (Command.STATUS, b"1234", f"has 4 bytes of payload, not 5; {AGAIN}"),
        (Command.STATUS, bytes(5), f"gives state 0 and 0 cycles after a START; {AGAIN}"),
        (Command.STATUS, b"\1\0\0\0\2", f"gives state 2 and 1 cycles after a START; {AGAIN}"),
        (Command.STATUS, b"\1\0\0\0\7", f"gives state 7 and 1 cycles after a START; {AGAIN}"),
        (Command.STATUS, b"\0\0\0\0\3", f"gives state 3 and 0 cycles after a START; {AGAIN}"),
        (Command.OUTPUT, b"1234", f"has 4 bytes of payload, not 252; {AGAIN}"),
        (Command.OUTPUT, b"", f"has 0 bytes of payload, not 252; {AGAIN}"),
        (Command.RESET, b"x", f"has 1 bytes of payload, not 0; {AGAIN}"),
    ],
)
def test_replies_of_something_else(
    build: Build,
    inputs: dict[str, np.ndarray],
    board: FakeBoard,
    command: Command,
    payload: bytes,
    message: str,
) -> None:
    with port_that(Spoiled(board, command, payload).answer) as port:
        with pytest.raises(LinkError) as caught, Device(build, port) as device:
            device.run(inputs)
        assert str(caught.value) == f"port {port}: the reply to {command.name} {message}"


@pytest.mark.parametrize("build", [EVEN], indirect=True)
def test_a_reply_twice_and_late(
    build: Build, inputs: dict[str, np.ndarray], board: FakeBoard
) -> None:
    """The copy of one OUTPUT reply comes for the next, which is as long; none is too early."""
    held = b""

    def answer(command: int, payload: bytes) -> bytes:
        nonlocal held
        back, early = board.answer(command, payload), held
        held = back if command == Command.OUTPUT else b""
        if command == Command.OUTPUT:
            return early or back
        return early + back

    with port_that(answer) as port, Device(build, port) as device:
        with pytest.raises(LinkError, match="the reply to STATUS is one to another request"):
            device.run({name: array[:1] for name, array in inputs.items()})


def test_a_run_after_one_that_failed(
    build: Build, inputs: dict[str, np.ndarray], board: FakeBoard
) -> None:
    """What is left in the line does not answer the next run's requests."""
    spoiled = Spoiled(board, Command.STATUS, b"1234")

    def twice(command: int, payload: bytes) -> bytes:
        return spoiled.answer(command, payload) * (2 if command == spoiled.command else 1)

    expected = reference_model(build.graph, inputs)
    with port_that(twice) as port, Device(build, port) as device:
        with pytest.raises(LinkError):
            device.run(inputs)
        spoiled.command = Command.IMAGE
        found = device.run(inputs).outputs
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("clock_mhz", [0, -1, "fast", None, True, 1e30])
def test_a_clock_that_is_none(build: Build, board: FakeBoard, clock_mhz: object) -> None:
    merge_report(build.folder, "synthesis", {"timing": {"clock_mhz": clock_mhz}})
    with port_that(board.answer) as port, pytest.raises(ConfigError) as caught:
        Device(build, port)
    assert str(caught.value) == (
        f"{build.folder / 'report.json'}: 'clock_mhz' must be a number of 0.001 to 10000, not "
        f"{clock_mhz!r}; run `weft synth {build.folder}` again"
    )
