"""Builds simulation binaries, and reuses unchanged ones; among them design + weft_tb.v + cocotb."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import get_runner

from weft.nn.errors import ConfigError, ToolError
from weft.sim_tb.toolchain import Toolchain, tool_environment

TOP = "weft_tb"
_HERE = Path(__file__).absolute().parent
_TEST_BENCH = _HERE / "weft_tb.v"
_OBJECT_CACHE = _HERE / "object_cache.py"
_ARGUMENTS = (
    "--timing",
    "-O3",
    "--x-assign",
    "fast",
    "--no-public-flat-rw",  # cocotb's default costs speed; weft_tb.v marks what cocotb touches
    "-Wno-fatal",
    "-Wno-WIDTH",  # generated Verilog is full of harmless ones
)
_ERROR = re.compile(r"%Error|\berror:|\bCRITICAL\b|Error\b.*:")
_ERROR_LINES, _LAST_LINES = 5, 10


class Spec(Protocol):
    """A binary that can be built: its name, what it depends on, and how."""

    @property
    def binary(self) -> str: ...

    def key(self, tools: Toolchain) -> str:
        """A hash of everything that goes into the binary."""
        ...

    def compile(self, tools: Toolchain, folder: Path, log: Path) -> None:
        """Leave the binary in ``folder``; RuntimeError or SystemExit if that fails."""
        ...


@dataclass(frozen=True, kw_only=True)
class Build:
    """What determines a binary: the Verilog files in order, lanes K, with or without a trace.

    The sources define ``weft_top`` and include no other file.
    """

    sources: tuple[Path, ...]
    lanes: int
    trace: bool = False

    def __post_init__(self) -> None:
        if self.lanes < 1:
            raise ValueError(f"lanes must be positive, not {self.lanes}")
        for source in self.sources:
            if not source.is_file():
                raise ConfigError(f"Verilog source {source} does not exist")

    def key(self, tools: Toolchain) -> str:
        """A hash of everything that goes into the binary: 20 hexadecimal digits."""
        return content_hash(
            (fingerprint(tools), self.lanes, self.trace, *_ARGUMENTS), (_TEST_BENCH, *self.sources)
        )

    @property
    def binary(self) -> str:
        return TOP

    def compile(self, tools: Toolchain, folder: Path, log: Path) -> None:
        """Through cocotb's runner, which adds its own libraries."""
        get_runner("verilator").build(
            sources=[_TEST_BENCH, *(source.absolute() for source in self.sources)],
            hdl_toplevel=TOP,
            build_args=[*_ARGUMENTS, *(["--trace-fst"] if self.trace and tools.fst else [])],
            parameters={"LANES": self.lanes},
            build_dir=folder,
            timescale=("1ns", "1ns"),
            waves=self.trace,
            log_file=log,
        )


def content_hash(items: Iterable[object], files: Iterable[Path]) -> str:
    """A hash of values and of files, whatever their names: 20 hexadecimal digits."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item}\0".encode())
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.suffix}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:20]


def fingerprint(tools: Toolchain) -> str:
    """A hash of the tools' versions and settings: 20 hexadecimal digits."""
    items = (
        tools.verilator,
        tools.verilator_version,
        tools.compiler_version,
        *(f"{name}={value}" for name, value in tools.environment if name != "PATH"),
        str(tools.fst),
        cocotb.__version__,
        str(cocotb_tools.config.libs_dir),  # the binary finds its libraries there
    )
    return hashlib.sha256("\0".join(items).encode()).hexdigest()[:20]


def build(spec: Spec, tools: Toolchain, cache: Path) -> Path:
    """The folder of a binary (and its ``build.log``), made unless it is there.

    Everything is written below ``cache``, the finished folder in one step. Raises ToolError with
    the log's errors if Verilator or the compiler fails, ConfigError for a folder that make
    cannot work in.
    """
    cache = cache.absolute()
    if len(str(cache).split()) > 1:
        raise ConfigError(f"Verilator cannot build in a folder with spaces in its name: {cache}")
    key = spec.key(tools)
    folder = cache / key
    if (folder / spec.binary).is_file():
        return folder
    scratch = cache / f"{key}.{os.getpid()}"
    try:
        _compile(spec, tools, scratch, cache / f"{key}.log")
        shutil.rmtree(scratch / "obj")
        if not folder.exists():  # another process may have been faster
            scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def log_extract(log: Path) -> str:
    """The first lines with errors and the last lines of a log, indented, for an error message."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    head, tail = lines[:-_LAST_LINES], lines[-_LAST_LINES:]
    errors = [line for line in head if _ERROR.search(line)][:_ERROR_LINES]
    return "\n".join(f"  {line}" for line in (*errors, *tail))


def _compile(spec: Spec, tools: Toolchain, scratch: Path, failure_log: Path) -> None:
    """Leave the binary and build.log in ``scratch``, or the log in ``failure_log`` and raise."""
    objects, log = scratch / "obj", scratch / "build.log"
    objects.mkdir(parents=True)
    library = scratch.parent / f"library-{fingerprint(tools)}"
    variables = dict(tools.environment)
    launcher = f"{sys.executable} -I {_OBJECT_CACHE} {library}"
    if len(launcher.split()) == 4:  # make cannot quote spaces
        variables["OBJCACHE"] = launcher
    try:
        with tool_environment(variables):
            spec.compile(tools, objects, log)
    except (RuntimeError, SystemExit) as error:
        if log.is_file():
            log.replace(failure_log)
        raise ToolError(
            f"building the simulation with {tools.verilator} failed ({error}); "
            f"log: {failure_log}\n{log_extract(failure_log)}"
        ) from error
    (objects / spec.binary).replace(scratch / spec.binary)
