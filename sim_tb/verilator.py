"""Builds simulation binaries, and reuses unchanged ones; among them design + weft_tb.v + cocotb."""

import hashlib
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import get_runner

from weft.errors import ConfigError, ToolError
from weft.gen.drafts import draft_folder
from weft.gen.output import scratch_folder
from weft.gen.process import libraries_tools
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
MAKEABLE = re.compile(r"[A-Za-z0-9_.+/-]+", re.ASCII)
"""Paths that Verilator's makefile can hold."""
BUILDING = "building the simulation (takes a few minutes the first time)"
"""What to say beforehand."""
LOG = "build.log"


class Spec(Protocol):
    """A binary that can be built: its Verilog, its name, what it depends on, and how."""

    @property
    def sources(self) -> tuple[Path, ...]: ...

    @property
    def binary(self) -> str: ...

    def key(self, tools: Toolchain) -> str:
        """A hash of everything that goes into the binary."""
        ...

    def compile(self, tools: Toolchain, sources: tuple[Path, ...], folder: Path, log: Path) -> None:
        """Leave the binary in ``folder``; RuntimeError or SystemExit if that fails."""
        ...


@dataclass(frozen=True, kw_only=True)
class Build:
    """What determines a binary: the Verilog files in order, lanes K, a trace's format or "".

    The sources define ``weft_top`` and include no other file.
    """

    sources: tuple[Path, ...]
    lanes: int
    trace: Literal["", "fst", "vcd"] = ""

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

    def compile(self, tools: Toolchain, sources: tuple[Path, ...], folder: Path, log: Path) -> None:
        """Through cocotb's runner, which adds its own libraries."""
        get_runner("verilator").build(
            sources=[_TEST_BENCH, *sources],
            hdl_toplevel=TOP,
            build_args=[*_ARGUMENTS, *(["--trace-fst"] if self.trace == "fst" else [])],
            parameters={"LANES": self.lanes},
            build_dir=folder,
            timescale=("1ns", "1ns"),
            waves=bool(self.trace),
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

    The finished folder appears in ``cache`` in one step. Raises ToolError with the log's errors
    if Verilator or the compiler fails, ConfigError where there is no folder that make can work in.
    """
    cache = cache.absolute()
    key = spec.key(tools)
    folder = cache / key
    if (folder / spec.binary).is_file():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with draft_folder(cache) as draft, _work_folder(draft) as work:
        _compile(spec, tools, work, cache / f"{key}.log", f"library-{fingerprint(tools)}")
        made = draft / "made"
        made.mkdir()
        for name in (spec.binary, LOG):
            shutil.copy2(work / name, made / name)
        with suppress(OSError):  # another process may have been faster
            made.rename(folder)
    if not (folder / spec.binary).is_file():
        raise ConfigError(f"{folder} cannot be written")
    return folder


@contextmanager
def _work_folder(draft: Path) -> Iterator[Path]:
    """Where Verilator and make work: in the draft, unless its path has what make cannot take."""
    if MAKEABLE.fullmatch(str(draft)):
        yield draft
        return
    with scratch_folder() as folder:
        if not MAKEABLE.fullmatch(str(folder)):
            raise ConfigError(
                f"make cannot work in {draft.parent}, nor in {folder.parent}: set TMPDIR to a "
                "folder with letters, digits and _ . + - / in its path"
            )
        yield folder


def log_extract(log: Path) -> str:
    """The first lines with errors and the last lines of a log, indented, for an error message."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    head, tail = lines[:-_LAST_LINES], lines[-_LAST_LINES:]
    errors = [line for line in head if _ERROR.search(line)][:_ERROR_LINES]
    return "\n".join(f"  {line}" for line in (*errors, *tail))


def _compile(spec: Spec, tools: Toolchain, scratch: Path, failure_log: Path, library: str) -> None:
    """Leave the binary and LOG in ``scratch``, or the log in ``failure_log`` and raise.

    library: the folder beside the log that keeps the run-time library's objects.
    """
    objects, log = scratch / "obj", scratch / LOG
    objects.mkdir()
    variables = dict(tools.environment)
    launcher = (sys.executable, "-I", str(_OBJECT_CACHE), str(failure_log.parent / library))
    if all(MAKEABLE.fullmatch(word) for word in launcher):
        variables["OBJCACHE"] = " ".join(launcher)
    try:
        with tool_environment(variables), libraries_tools():
            spec.compile(tools, _readable(spec.sources, scratch), objects, log)
    except (RuntimeError, SystemExit) as error:
        if log.is_file():
            shutil.copyfile(log, failure_log)
        raise ToolError(
            f"building the simulation with {tools.verilator} failed ({error}); "
            f"log: {failure_log}\n{log_extract(failure_log)}"
        ) from error
    (objects / spec.binary).replace(scratch / spec.binary)


def _readable(sources: tuple[Path, ...], scratch: Path) -> tuple[Path, ...]:
    """The sources, or copies under paths that make can take."""
    found = []
    for index, source in enumerate(sources):
        path = source.absolute()
        if not MAKEABLE.fullmatch(str(path)):
            path = scratch / f"source_{index}{source.suffix}"
            shutil.copyfile(source, path)
        found.append(path)
    return tuple(found)
