"""A network on a board, as a function: ``with Device(build, port) as d: y = d(x)``."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from weft import limits
from weft.boards.build_dir import bitstream_hz, open_build
from weft.boards.netlist import netlist_board
from weft.boards.serial_link import LinkError, SerialLink
from weft.boards.simulated import simulated_board
from weft.boards.top import BAUD
from weft.errors import ConfigError
from weft.gen.build_dir import Build, read_build
from weft.gen.locks import using
from weft.hw.link.link import TIMEOUT_BITS
from weft.hw.link.protocol import (
    HASH_BYTES,
    IMAGE_BYTES,
    IMAGE_WRITES,
    STATUS_BYTES,
    VERSION,
    Command,
)
from weft.hw.progress import State
from weft.machine import timing
from weft.machine.encode import image_memories, image_writes
from weft.machine.images import WORD_BITS
from weft.machine.layout import pack_inputs, unpack_outputs
from weft.nn.ir.host import decode, encode_inputs
from weft.sim_tb.verilator import BUILDING
from weft.value import Value

SIMULATED, NETLIST = "sim", "netlist"
IMAGE_DATA_BITS = 40  # of a record: then comes the address
TIMEOUT_SECONDS = 2.0
SIMULATED_TIMEOUT_SECONDS = 600.0
SIMULATIONS = {SIMULATED: simulated_board, NETLIST: netlist_board}

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much of it is done, and of how much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inference(Value):
    """Outputs [n, ...] by name, and the cycles that the core counted for each sample."""

    outputs: dict[str, np.ndarray]
    cycles: np.ndarray

    @property
    def labels(self) -> list[int] | None:
        """The largest element of the first output for each sample, if that is a row of numbers."""
        first = next(iter(self.outputs.values()))
        return np.argmax(first, axis=1).tolist() if first.ndim == 2 else None


class Device:
    """A board with the bitstream of a build, behind a serial port.

    Parameters: ``build``, a build or its folder. ``port``: the serial port, or "sim" for the
    Verilated design, or "netlist" for the Verilated netlist of the last synthesis. ``upload``:
    write the memory images first (default: if the build says that its bitstream cannot hold them).
    ``timeout``: seconds that a reply may take.

    Raises ConfigError if the board has another design or protocol, LinkError if it does not answer.
    """

    def __init__(
        self,
        build: Build | Path | str,
        port: str,
        *,
        baud: int | None = None,
        upload: bool | None = None,
        timeout: float | None = None,
        progress: Progress = lambda what, done, total: None,
    ):
        limits.BAUD.check(baud)
        self.build = build if isinstance(build, Build) else read_build(Path(build))
        self._opened = open_build(self.build.folder)
        self._progress = progress
        self._stack = ExitStack()
        with self._stack:
            self._stack.enter_context(using(self.build.folder))
            if port in SIMULATIONS:
                progress(BUILDING, 0, 1)
                port = self._stack.enter_context(SIMULATIONS[port](self._opened))
                timeout = timeout or SIMULATED_TIMEOUT_SECONDS
            self._timeout = timeout or TIMEOUT_SECONDS
            link = SerialLink(port, baud=baud or BAUD, timeout=self._timeout)
            self.link = self._stack.enter_context(link)
            self._check()
            if self.build.manifest.get("upload") if upload is None else upload:
                self.upload()
            self._stack = self._stack.pop_all()

    def __enter__(self) -> "Device":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._stack.close()

    @property
    def clock_hz(self) -> float:
        """The core's clock: the bitstream's where there is one, else the one that was planned."""
        return bitstream_hz(self.build.folder) or self.build.plan.target.clock_hz

    def __call__(
        self, inputs: np.ndarray | Mapping[str, np.ndarray]
    ) -> np.ndarray | dict[str, np.ndarray]:
        """The one output for the one input [n, ...], or outputs by name for inputs by name."""
        if isinstance(inputs, Mapping):
            return self.run(inputs).outputs
        graph = self.build.graph
        for what, edges in (("input", graph.inputs), ("output", graph.outputs)):
            if len(edges) != 1:
                names = ", ".join(edge.name for edge in edges)
                raise ConfigError(
                    f"{graph.name} has {len(edges)} {what}s ({names}): call the device with a "
                    "dict of arrays by name"
                )
        outputs = self.run({graph.inputs[0].name: inputs}).outputs
        return outputs[graph.outputs[0].name]

    def run(self, inputs: Mapping[str, np.ndarray]) -> Inference:
        """All samples, one after the other. Raises ConfigError for inputs that do not fit."""
        build, plan = self.build, self.build.plan
        codes = encode_inputs(build.graph, inputs)
        samples = pack_inputs(plan.inputs, codes, plan.engine.lanes)
        self.link.drain(0)  # what is left of a run that failed
        self.link.ask(Command.RESET)
        outputs = np.zeros((len(samples), plan.outputs.words, plan.engine.lanes), np.int8)
        cycles = np.zeros(len(samples), np.int64)
        for i, words in enumerate(samples):
            self._progress("inference", i, len(samples))
            outputs[i], cycles[i] = self._infer(words)
        self._progress("inference", len(samples), len(samples))
        self._settle()
        found = unpack_outputs(plan.outputs, outputs)
        pairs = zip(plan.outputs.ports, build.graph.outputs, strict=True)
        return Inference(
            outputs={edge.name: decode(edge, found[port.edge.tensor]) for port, edge in pairs},
            cycles=cycles,
        )

    def upload(self) -> None:
        """Write the memory images. Half an upload leaves the board with half a network.

        Raises ConfigError for a fixed network.
        """
        if self._opened.link.fixed:
            raise ConfigError(
                f"{self.build.folder} was compiled with --fixed: its network is in the bitstream, "
                "and no other one can be uploaded; run it without --upload"
            )
        writes = image_writes(self.build.plan)
        memory, place = np.divmod(writes[:, 0], 1 << WORD_BITS)
        records = (writes[:, 1] | place << IMAGE_DATA_BITS).astype("<u8")
        size = IMAGE_WRITES * IMAGE_BYTES
        for number, name in enumerate(image_memories(self.build.plan)):
            data = records[memory == number].tobytes()
            if number == 0 or not data:  # the registers belong to the design
                continue
            for begin in range(0, len(data), size):
                self._progress(f"upload of {name}", begin, len(data))
                self.link.ask(Command.IMAGE, bytes([number]) + data[begin : begin + size])
            self._progress(f"upload of {name}", len(data), len(data))
        self._settle()

    def _settle(self) -> None:
        """Raise LinkError if replies and requests do not pair up.

        A reply that came twice is taken for the next one of its command, and what the board said
        to that is still to come. The link keeps order: it comes before the reply to this request.
        """
        self.link.ask(Command.STATUS, n_bytes=STATUS_BYTES)

    def _infer(self, words: np.ndarray) -> tuple[np.ndarray, int]:
        """Output words [n, K] and cycles for the input words of one sample."""
        link, params = self.link, self._opened.link
        data, size = words.tobytes(), params.inputs.full_bytes
        for begin in range(0, len(data), size):
            link.ask(Command.INPUT, data[begin : begin + size])
        link.ask(Command.START)
        cycles = self._wait()
        frames = params.outputs
        sizes = [frames.full_bytes] * (frames.count - 1) + [frames.last_bytes]
        back = b"".join(link.ask(Command.OUTPUT, n_bytes=size) for size in sizes)
        return np.frombuffer(back, np.int8).reshape(-1, params.lanes), cycles

    def _wait(self) -> int:
        """Wait for the end of an inference; the cycles that it took."""
        predicted = timing.cycles(self.build.plan)
        deadline = time.monotonic() + self._timeout + 10 * predicted / self.clock_hz
        name = Command.STATUS.name
        while True:
            *counter, state = self.link.ask(Command.STATUS, n_bytes=STATUS_BYTES)
            cycles = int.from_bytes(bytes(counter), "little")
            if state == State.DONE and cycles:
                return cycles
            if state != State.RUN or cycles:
                raise self.link.wrong(
                    name, f"gives state {state} and {cycles:,} cycles after a START"
                )
            if time.monotonic() > deadline:
                raise LinkError(
                    f"port {self.link.port}: the inference does not end; predicted were "
                    f"{predicted:,} cycles"
                )

    def _check(self) -> None:
        """Find the board in a known state, and the right design on it."""
        link, folder = self.link, self.build.folder
        link.drain(2 * (1 << TIMEOUT_BITS) / self.clock_hz)
        answer = link.ask(Command.IDENTIFY, n_bytes=None)  # as long as its version has it
        version, identity = answer[:1], answer[1:]
        if version and version[0] != VERSION:
            older = version[0] < VERSION
            raise ConfigError(
                f"port {link.port}: the board speaks version {version[0]} of the host link, this "
                f"weft version {VERSION}: its bitstream is of {'an older' if older else 'a newer'} "
                f"weft; compile and synthesise the network with this one and load that bitstream, "
                f"or use the weft that made the board's"
            )
        if len(identity) != HASH_BYTES:
            name, found = Command.IDENTIFY.name, len(identity)
            raise link.wrong(name, f"names a design by {found} bytes, not {HASH_BYTES}")
        if identity != self._opened.link.identity:
            raise ConfigError(
                f"port {link.port}: the board has another design than {folder} (plan "
                f"{identity.hex()}, not {self._opened.link.identity.hex()}); load the "
                "build's bitstream, or name the build that is on the board"
            )
