"""A Verilated board behind a pseudo-terminal: a serial port for whatever speaks to one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from weft.errors import ToolError
from weft.gen.process import call, tool_group
from weft.sim_tb.toolchain import Toolchain, find_toolchain
from weft.sim_tb.verilator import build, content_hash, fingerprint

TOP = "board_top"
END_SECONDS = 10.0
_MAIN = Path(__file__).absolute().parent / "uart_board.cpp"
_ARGUMENTS = (
    "--cc",
    "--exe",
    "--build",
    "-j",
    "1",
    "--top-module",
    TOP,
    "-O3",
    "--x-assign",
    "fast",
)
_QUIET = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-std=gnu++20")


@dataclass(frozen=True, kw_only=True)
class UartBoard:
    """A module ``board_top`` with ports ``clk``, ``uart_rx``, ``uart_tx``.

    sources: its Verilog files. workdir: for the binary and its log. run_dir: where it runs, and
    finds the files that the sources read. arguments: more of them for Verilator.
    """

    sources: tuple[Path, ...]
    workdir: Path
    run_dir: Path
    arguments: tuple[str, ...] = ()

    @property
    def binary(self) -> str:
        return f"V{TOP}"

    def key(self, tools: Toolchain) -> str:
        """A hash of everything that goes into the binary."""
        items = (fingerprint(tools), *_ARGUMENTS, *_QUIET, *self.arguments)
        return content_hash(items, (_MAIN, *self.sources))

    def compile(self, tools: Toolchain, sources: tuple[Path, ...], folder: Path, log: Path) -> None:
        """With Verilator alone; ``uart_board.cpp`` is the main program."""
        files = [str(file.absolute()) for file in (_MAIN, *sources)]
        options = [*_ARGUMENTS, *_QUIET, *self.arguments, "--Mdir", str(folder)]
        command = [tools.verilator, *options, *files]
        with log.open("w") as out:
            done = call(command, stdout=out, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}")

    @contextmanager
    def running(self, *, divisor: int, linger: int) -> Iterator[str]:
        """The name of its serial port, while it runs.

        divisor: clock cycles per bit. linger: cycles until it sleeps when no byte comes or goes.
        Raises ToolError.
        """
        program = build(self, find_toolchain(), self.workdir / "cache") / self.binary
        with tool_group() as group:
            process = subprocess.Popen(
                [program, str(divisor), str(linger)],
                cwd=self.run_dir,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                process_group=group,
            )
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                port = process.stdout.readline().strip()
                if not port:
                    code = process.wait()
                    raise ToolError(f"the simulated board {program} ended with code {code}")
                yield port
            finally:
                _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """It ends when its stdin does."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
