"""Boards that lie: replies with right checksums and wrong contents, and worse."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.boards.fake_board import FakeBoard, port_that
from tests.damage import command
from tests.damage.sample_builds import inputs_of
from weft.boards.device import Device
from weft.errors import WeftError
from weft.gen.build_dir import read_build
from weft.hw.link.protocol import Command, frame, reply, request
from weft.nn.ir.host import encode_inputs, reference_model

TIMEOUT = 0.4
"""Seconds: an honest board that shares its processor with other work still answers in time."""

ENDLESS = 1 << 20
"""Bytes, ten seconds of the real line: more than any buffer between host and board."""

LIE = "lie"
"""A reply of right form: no link can tell (``--check`` and the predicted cycles do)."""

Spoil = Callable[[int, bytes, bytes, np.random.Generator], bytes | None]


def act(path: Path) -> str:
    """Two samples on a board that spoils some replies: DONE if all is right, REFUSED, or LIE."""
    case = json.loads(path.read_text())
    rng = np.random.default_rng(case["seed"])
    spoil, build = SPOILS[case["spoil"]], read_build(Path(case["build"]))
    inputs = inputs_of(build.graph, 2)
    board = FakeBoard(build, encode_inputs(build.graph, inputs))
    left, target = int(rng.integers(0, 12)), int(rng.integers(0, 3))
    lied = False

    def answer(number: int, payload: bytes) -> bytes | None:
        nonlocal left, lied
        good = board.answer(number, payload)
        left -= 1
        kinds = (number in (Command.OUTPUT, Command.STATUS), left == -1, left < 0)
        if not kinds[target]:
            return good
        bad = spoil(number, payload, good, rng)
        lied |= bad is not None and bad != good and len(bad) == len(good) and bad[:3] == good[:3]
        return bad

    with port_that(answer) as port:
        try:
            with Device(build, port, timeout=TIMEOUT, upload=bool(rng.integers(2))) as device:
                found = device.run(inputs).outputs
        except WeftError as error:
            text = str(error)
            return command.REFUSED if text.startswith("port ") and len(text) < 500 else text
    expected = reference_model(build.graph, inputs)
    right = all(np.array_equal(found[name], array) for name, array in expected.items())
    if right:
        return command.DONE
    return LIE if lied and not _damaged(found, expected) else "a wrong answer"


def _damaged(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    """Whether outputs have not even the type and shape that they must have."""
    return any(
        found[name].shape != array.shape or found[name].dtype != array.dtype
        for name, array in expected.items()
    )


def write(folder: Path, builds: list[Path], count: int, seed: int) -> list[Path]:
    """``count`` cases, builds and ways to lie in turn."""
    paths = []
    for number in range(count):
        path = folder / f"reply{number:05}.json"
        build = str(builds[number % len(builds)])
        case = {"build": build, "spoil": number % len(SPOILS), "seed": seed * 100_000 + number}
        path.write_text(json.dumps(case))
        paths.append(path)
    return paths


def _honest(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return good


def _length(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return reply(number, rng.bytes(int(rng.integers(0, 256))))


def _one_more_or_less(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    body = good[3:-4]
    return reply(number, body[:-1] if body and rng.random() < 0.5 else body + b"\0")


def _contents(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return reply(number, rng.bytes(len(good) - 7))


def _one_byte(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    body = bytearray(good[3:-4])
    if body:
        body[rng.integers(len(body))] = int(rng.choice([0, 1, 2, 3, 4, 127, 128, 255]))
    return reply(number, bytes(body))


def _other_code(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return frame(good[0], int(rng.integers(0, 256)), good[3:-4])


def _error_with_payload(
    number: int, payload: bytes, good: bytes, rng: np.random.Generator
) -> bytes:
    return frame(good[0], int(rng.integers(1, 16)) << 4 | number, rng.bytes(int(rng.integers(256))))


def _sync(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return bytes([int(rng.integers(256))]) + good[1:]


def _bits(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(good)
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _cut(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return good[: rng.integers(len(good))]


def _twice(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return good * int(rng.integers(2, 5))


def _tail(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return good + rng.bytes(int(rng.integers(1, 300)))


def _endless(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    part = [good, b"\0", b"\xff", b"w", rng.bytes(1000)][rng.integers(5)]
    return (part * (ENDLESS // len(part) + 1))[:ENDLESS]


def _silence(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return b""


def _echo(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    return request(number, payload) + (good if rng.random() < 0.5 else b"")


def _late(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> bytes:
    time.sleep(TIMEOUT * float(rng.choice([0.5, 1.5])))
    return good


def _unplugged(number: int, payload: bytes, good: bytes, rng: np.random.Generator) -> None:
    return None


SPOILS: tuple[Spoil, ...] = (
    *(_honest, _length, _one_more_or_less, _contents, _one_byte, _one_byte, _other_code),
    *(_error_with_payload, _sync, _bits, _cut, _twice, _tail, _endless, _silence, _echo, _late),
    _unplugged,
)  # fmt: skip
