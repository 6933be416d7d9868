"""How a command ends that did not end well: what its last line says, and its exit code."""

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import weft
from weft.cli.interrupt import INTERRUPTED
from weft.errors import InternalError, WeftError

BROKEN_PIPE = 141
"""As for a process that SIGPIPE ended: who read our output has seen enough."""

MEMORY = (
    "the memory of this machine is not enough: give fewer samples at a time (--samples), or a "
    "smaller network"
)
PACKAGES = ("numpy", "onnx", "onnxruntime", "amaranth", "ortools", "PyYAML", "pyserial")


def ending(error: BaseException, words: Sequence[str]) -> tuple[str, int]:
    """The message about a command that ended with ``error``, "" for none, and its exit code.

    Only a fault of weft's own leaves a file behind: the traceback, which the message names.
    """
    if _is_interruption(error):
        return "interrupted", INTERRUPTED
    match error:
        case WeftError():
            return str(error), error.exit_code
        case BrokenPipeError():
            return "", BROKEN_PIPE
        case MemoryError():
            return MEMORY, WeftError.exit_code
        case OSError():  # of the user's disk, folders and rights, wherever it came up
            place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            return place + (error.strerror or str(error)), WeftError.exit_code
    return _fault(error, words), InternalError.exit_code


def _is_interruption(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt is behind an error: libraries make others of it.

    So does the loading of a library in C: the interruption is an ImportError then.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _fault(error: BaseException, words: Sequence[str]) -> str:
    line = " ".join(traceback.format_exception_only(error)[-1].split())
    text = _report(error, words)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="weft-fault-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        with_what = f"with the file {file.name}"
    except OSError:
        with_what = f"with what follows\n{text}"
    return (
        f"{line:.300}\n"
        "this is a fault of weft, not of your files or options: please report it, if you can with "
        f"the model and the board, and {with_what}"
    )


def _report(error: BaseException, words: Sequence[str]) -> str:
    """Version, command and traceback; nothing of the user's files."""
    packages = (f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        f"weft {weft.__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(packages),
        f"command: weft {' '.join(map(repr, words))}",
        "",
        *(part.rstrip("\n") for part in traceback.format_exception(error)),
    ]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace").decode()


def settle_output() -> None:
    """Write out what stdout holds, or let it go: the interpreter tries again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
