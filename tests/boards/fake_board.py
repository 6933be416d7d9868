"""Boards in Python behind a pseudo-terminal: the host link's other end without any hardware."""

import os
import pty
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from weft.boards.build_dir import open_build
from weft.gen.build_dir import Build
from weft.hw.link.protocol import CRC_BYTES, VERSION, Command, Error, reply
from weft.hw.progress import State
from weft.machine import timing
from weft.machine.layout import pack_inputs, to_words
from weft.nn.ir.reference import run

Answer = Callable[[int, bytes], bytes | None]
"""The bytes that come back for a command and its payload; None pulls the cable out."""


@contextmanager
def port_that(answer: Answer) -> Iterator[str]:
    """The name of a serial port that gives ``answer`` to every request."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    stop, stopped = os.pipe()

    def serve() -> None:
        data = b""
        while stop not in select.select([ours, stop], [], [])[0]:
            data += os.read(ours, 4096)
            while len(data) >= 3 and len(data) >= (size := 3 + data[2] + CRC_BYTES):
                back = answer(data[1], data[3 : size - CRC_BYTES])
                if back is None:
                    os.close(ours)
                    return
                if not _written(ours, back, stop):
                    return
                data = data[size:]

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(stopped)
        thread.join()
        for file in (ours, theirs, stop):
            with suppress(OSError):  # the cable was out
                os.close(file)


def _written(file: int, data: bytes, stop: int) -> bool:
    """Whether all was written before ``stop``: a host may leave an endless reply alone."""
    os.set_blocking(file, False)
    while data:
        ready, free, _ = select.select([stop], [file], [])
        if ready:
            return False
        if free:
            with suppress(BlockingIOError):
                data = data[os.write(file, data) :]
    os.set_blocking(file, True)
    return True


@dataclass
class FakeBoard:
    """Does what a board with this build does, for samples that it was told of.

    codes: int8 [n, C, H, W] by input tensor. identity: what it says that it is. extra_cycles: on
    top of those predicted. images: image writes by the number of their memory.
    """

    build: Build
    codes: dict[str, np.ndarray]
    identity: bytes = b""
    version: int = VERSION
    extra_cycles: int = 0
    never_done: bool = False
    images: dict[int, bytes] = field(default_factory=dict)
    commands: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = self.build.plan
        lanes = plan.engine.lanes
        self.link = open_build(self.build.folder).link
        self.identity = self.identity or self.link.identity
        expected = run(self.build.graph, self.codes)
        parts = [to_words(expected[edge.tensor], lanes) for edge in self.build.graph.outputs]
        inputs = pack_inputs(plan.inputs, self.codes, lanes)
        outputs = np.concatenate(parts, axis=1)
        self.known = {i.tobytes(): o.tobytes() for i, o in zip(inputs, outputs, strict=True)}
        self.taken = self.left = b""
        self.state = State.LOAD

    def answer(self, command: int, payload: bytes) -> bytes:
        self.commands.append(command)
        match command:
            case Command.IDENTIFY:
                return reply(command, bytes([self.version]) + self.identity)
            case Command.RESET:
                self.state, self.taken = State.LOAD, b""
            case Command.STATUS:
                cycles = timing.cycles(self.build.plan) + self.extra_cycles
                cycles = 0 if self.state == State.RUN else cycles
                return reply(command, cycles.to_bytes(4, "little") + bytes([self.state]))
            case Command.INPUT:
                self.taken += payload
            case Command.START:
                if self.taken not in self.known:
                    return reply(command, error=Error.STATE)
                self.left, self.taken = self.known[self.taken], b""
                self.state = State.RUN if self.never_done else State.DONE
            case Command.OUTPUT:
                size = self.link.outputs.full_bytes
                back, self.left = self.left[:size], self.left[size:]
                return reply(command, back)
            case Command.IMAGE:
                number, writes = payload[0], payload[1:]
                self.images[number] = self.images.get(number, b"") + writes
            case _:
                return reply(command, error=Error.COMMAND)
        return reply(command)
