"""From a bitstream to the board, with the tool that the board file names."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from weft.boards.build_dir import open_build
from weft.boards.families.lookup import family_of
from weft.boards.synth import BITSTREAM
from weft.errors import ConfigError, ToolError
from weft.gen.process import call
from weft.value import Value

HOW_TO_GET = {
    "openFPGALoader": "Debian package openfpgaloader; https://github.com/trabucayre/openFPGALoader",
    "iceprog": "Debian package fpga-icestorm",
    "dfu-util": "Debian package dfu-util",
    "ecpprog": "https://github.com/gregdavill/ecpprog",
    "icesprog": "https://github.com/wuxx/icesugar, folder tools",
}
UNKNOWN_TOOL = "it is flash.command of the board file that names it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Flashing(Value):
    """What ``flash`` did, or would do: ``command`` as a shell takes it; ``into`` as in the board
    file; ``notes`` of the board.
    """

    board: str
    command: str
    into: str
    notes: tuple[str, ...]


def flash(
    build: Path, *, dry_run: bool = False, progress: Callable[[str], None] = lambda message: None
) -> Flashing:
    """Put the build's bitstream on its board; with ``dry_run`` only say how.

    The tool writes to stderr, and may ask for nothing. ``progress`` receives the command and the
    board's notes before it starts. Raises ConfigError (no build directory, no bitstream) and
    ToolError (the tool is missing or failed).
    """
    opened = open_build(build)
    board = opened.board
    path = build / f"{BITSTREAM}.{family_of(board).bitstream_suffix}"
    if not path.is_file():
        raise ConfigError(f"{build} has no bitstream; make it with `weft synth {build}`")
    words = [word.replace("{bitstream}", str(path)) for word in board.flash.command]
    made = Flashing(
        board=board.name, command=shlex.join(words), into=board.flash.into, notes=board.notes
    )
    for note in board.notes:
        progress(f"note: {note}")
    if dry_run:
        return made
    tool = shutil.which(words[0])
    if tool is None:
        how = HOW_TO_GET.get(words[0], UNKNOWN_TOOL)
        raise ToolError(f"{words[0]} not found: it is not on the PATH ({how})")
    progress(made.command)
    _run(tool, words)
    if board.flash.into == "sram":
        progress(f"{board.name} runs the design until it is switched off")
    return made


def _run(tool: str, words: list[str]) -> None:
    try:
        code = call([tool, *words[1:]], stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode
    except OSError as error:
        raise ToolError(f"{words[0]} does not start ({tool}): {error}") from error
    if code:
        raise ToolError(f"{words[0]} failed with exit code {code}\n  command: {shlex.join(words)}")
