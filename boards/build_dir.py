"""What synthesis needs from a build directory, and the report that it adds to."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.boards.board import Board, board_from_data
from weft.errors import ConfigError
from weft.files import read_object
from weft.gen.output import write_file
from weft.hw.link.params import LinkParams
from weft.hw.link.protocol import HASH_BYTES
from weft.value import Value

TOP = "weft_top"
MIN_CLOCK_MHZ, MAX_CLOCK_MHZ = 0.001, 10_000.0


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
    manifest = read_object(path)
    if manifest.get("top") != TOP:
        raise ConfigError(f"{path}: field 'top' must be {TOP!r}, not {_short(manifest.get('top'))}")
    try:
        link = link_params(manifest)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    sources = manifest.get("sources")
    if not isinstance(sources, list) or not all(type(x) is str for x in sources):
        raise ConfigError(
            f"{path}: field 'sources' must be a list of file names, not {_short(sources)}"
        )
    for source in sources:
        if not (folder / source).is_file():
            raise ConfigError(f"{path}: source {_short(source)} does not exist in {folder}")
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
                f"field {name!r} must be an integer of 1 or more, not {_short(manifest.get(name))}"
            )
    limits, plan_hash = manifest.get("image_limits"), manifest.get("plan_hash")
    memories = manifest.get("image_memories")
    if not isinstance(limits, list) or not all(type(limit) is int for limit in limits):
        raise ValueError(f"field 'image_limits' must be a list of integers, not {_short(limits)}")
    if not isinstance(memories, list) or len(memories) != len(limits):
        raise ValueError(
            f"field 'image_memories' must name the memories of 'image_limits', not be "
            f"{_short(memories)}: the build is of another weft; compile the model again"
        )
    if not isinstance(plan_hash, str) or not re.fullmatch("[0-9a-f]{64}", plan_hash):
        raise ValueError(
            f"field 'plan_hash' must be 64 hexadecimal digits, not {_short(plan_hash)}"
        )
    return LinkParams(
        lanes=manifest["lanes"],
        n_in=manifest["input_words"],
        n_out=manifest["output_words"],
        image_limits=tuple(limits),
        identity=bytes.fromhex(plan_hash)[:HASH_BYTES],
    )


def bitstream_hz(folder: Path) -> float | None:
    """The clock that the last synthesis made a bitstream for, by ``report.json``; None without.

    Raises ConfigError.
    """
    timing = _synthesis(folder).get("timing")
    return _clock_hz(folder, timing) if timing is not None else None


def netlist_hz(folder: Path) -> float | None:
    """The clock that the last synthesis made a netlist for, by ``report.json``; None without.

    Raises ConfigError.
    """
    synthesis = _synthesis(folder)
    return _clock_hz(folder, synthesis) if synthesis.get("clock_mhz") is not None else None


def _synthesis(folder: Path) -> dict[str, Any]:
    """What ``report.json`` says about the last synthesis; empty without."""
    path = folder / "report.json"
    synthesis = read_object(path).get("synthesis") if path.is_file() else None
    return synthesis if isinstance(synthesis, dict) else {}


def _clock_hz(folder: Path, figures: Any) -> float:
    clock_mhz = figures.get("clock_mhz") if isinstance(figures, dict) else None
    if (
        not isinstance(clock_mhz, int | float)
        or isinstance(clock_mhz, bool)
        or not MIN_CLOCK_MHZ <= clock_mhz <= MAX_CLOCK_MHZ
    ):
        raise ConfigError(
            f"{folder / 'report.json'}: 'clock_mhz' must be a number of {MIN_CLOCK_MHZ:g} to "
            f"{MAX_CLOCK_MHZ:g}, not {_short(clock_mhz)}; run `weft synth {folder}` again"
        )
    return clock_mhz * 1e6


def merge_report(folder: Path, key: str, value: dict[str, Any]) -> None:
    """Set one key of ``folder/report.json``, keeping the others; the file is never half-written.

    Raises ConfigError if the file is there and is not a JSON object.
    """
    path = folder / "report.json"
    report = read_object(path) if path.is_file() else {}
    report[key] = value
    write_file(path, json.dumps(report, indent=2) + "\n")


def _short(item: Any) -> str:
    """As Python writes it, but never longer than two lines."""
    text = repr(item)
    return text if len(text) <= 160 else f"{text[:160]}..."
