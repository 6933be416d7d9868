"""What synthesis needs from a build directory, and the report that it adds to."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.boards.board import Board, board_from_data
from weft.gen.output import write_file
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import HASH_BYTES
from weft.nn.errors import ConfigError
from weft.nn.value import Value

TOP = "weft_top"


@dataclass(frozen=True, kw_only=True, eq=False)
class Build(Value):
    """A build directory: where it is and what its manifest says.

    ``sources`` are Verilog files relative to ``folder``; ``link`` is what the host link needs.
    """

    folder: Path
    board: Board
    link: LinkParams
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
    try:
        link = link_params(manifest)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    sources = manifest.get("sources")
    if not isinstance(sources, list) or not all(type(x) is str for x in sources):
        raise ConfigError(f"{path}: field 'sources' must be a list of file names, not {sources!r}")
    for source in sources:
        if not (folder / source).is_file():
            raise ConfigError(f"{path}: source {source!r} does not exist in {folder}")
    return Build(
        folder=folder,
        board=board_from_data(manifest.get("board_file"), f"{path}, 'board_file'"),
        link=link,
        sources=tuple(sources),
    )


def link_params(manifest: dict[str, Any]) -> LinkParams:
    """The host link's parameters. Raises ValueError naming the field that is wrong."""
    for name in ("lanes", "input_words", "output_words"):
        if type(manifest.get(name)) is not int or manifest[name] < 1:
            raise ValueError(
                f"field {name!r} must be an integer of 1 or more, not {manifest.get(name)!r}"
            )
    limits, plan_hash = manifest.get("image_limits"), manifest.get("plan_hash")
    if not isinstance(limits, list) or not all(type(limit) is int for limit in limits):
        raise ValueError(f"field 'image_limits' must be a list of integers, not {limits!r}")
    if not isinstance(plan_hash, str) or not re.fullmatch("[0-9a-f]{64}", plan_hash):
        raise ValueError(f"field 'plan_hash' must be 64 hexadecimal digits, not {plan_hash!r}")
    return LinkParams(
        lanes=manifest["lanes"],
        n_in=manifest["input_words"],
        n_out=manifest["output_words"],
        image_limits=tuple(limits),
        identity=bytes.fromhex(plan_hash)[:HASH_BYTES],
    )


def bitstream_hz(folder: Path) -> float | None:
    """The clock that the last synthesis made a bitstream for, by ``report.json``; None without."""
    path = folder / "report.json"
    synthesis = _read_object(path).get("synthesis") if path.is_file() else None
    timing = synthesis.get("timing") if isinstance(synthesis, dict) else None
    return timing["clock_mhz"] * 1e6 if timing else None


def netlist_hz(folder: Path) -> float | None:
    """The clock that the last synthesis made a netlist for, by ``report.json``; None without."""
    path = folder / "report.json"
    synthesis = _read_object(path).get("synthesis") if path.is_file() else None
    clock_mhz = synthesis.get("clock_mhz") if isinstance(synthesis, dict) else None
    return clock_mhz * 1e6 if clock_mhz else None


def merge_report(folder: Path, key: str, value: dict[str, Any]) -> None:
    """Set one key of ``folder/report.json``, keeping the others; the file is never half-written.

    Raises ConfigError if the file is there and is not a JSON object.
    """
    path = folder / "report.json"
    report = _read_object(path) if path.is_file() else {}
    report[key] = value
    write_file(path, json.dumps(report, indent=2) + "\n")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a JSON object, not {type(data).__name__}")
    return data
