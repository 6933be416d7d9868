"""What synthesis needs from a build directory, and the report that it adds to."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.boards.board import Board, board_from_data
from weft.nn.errors import ConfigError
from weft.nn.value import Value

TOP = "weft_top"


@dataclass(frozen=True, kw_only=True, eq=False)
class Build(Value):
    """A build directory: where it is and what its manifest says.

    ``sources`` are Verilog files relative to ``folder``; ``n_in``, ``n_out`` are words of ``lanes``
    bytes per inference.
    """

    folder: Path
    board: Board
    lanes: int
    n_in: int
    n_out: int
    sources: tuple[str, ...]


def open_build(folder: Path) -> Build:
    """Read and check ``folder/manifest.json``. Raises ConfigError naming file and field."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise ConfigError(
            f"{folder} is not a build directory: it has no manifest.json; "
            f"make one with `weft compile MODEL.onnx --board NAME -o {folder}`"
        )
    manifest = _read_object(path)
    if manifest.get("top") != TOP:
        raise ConfigError(f"{path}: field 'top' must be {TOP!r}, not {manifest.get('top')!r}")
    counts = {}
    for name in ("lanes", "input_words", "output_words"):
        counts[name] = manifest.get(name)
        if type(counts[name]) is not int or counts[name] < 1:
            raise ConfigError(
                f"{path}: field {name!r} must be an integer of 1 or more, not {counts[name]!r}"
            )
    sources = manifest.get("sources")
    if not isinstance(sources, list) or not all(type(x) is str for x in sources):
        raise ConfigError(f"{path}: field 'sources' must be a list of file names, not {sources!r}")
    for source in sources:
        if not (folder / source).is_file():
            raise ConfigError(f"{path}: source {source!r} does not exist in {folder}")
    return Build(
        folder=folder,
        board=board_from_data(manifest.get("board_file"), f"{path}, 'board_file'"),
        lanes=counts["lanes"],
        n_in=counts["input_words"],
        n_out=counts["output_words"],
        sources=tuple(sources),
    )


def merge_report(folder: Path, key: str, value: dict[str, Any]) -> None:
    """Set one key of ``folder/report.json``, keeping the others; the file is never half-written.

    Raises ConfigError if the file is there and is not a JSON object.
    """
    path = folder / "report.json"
    report = _read_object(path) if path.is_file() else {}
    report[key] = value
    draft = folder / "report.json.new"
    draft.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a JSON object, not {type(data).__name__}")
    return data
