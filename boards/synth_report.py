"""What synthesis and place-and-route say, as values: resources, timing, what ran."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.boards.board import Board
from weft.nn.errors import ToolError
from weft.nn.value import Value

# LUTs that one ECP5 cell takes. A CCU2C is two LUTs with a carry. A TRELLIS_DPR16X4 (16 words of
# 4 bits) is four LUTs as memory; its write port also blocks two more, which nextpnr does not count.
# PFUMX and L6MUX21 join LUTs of a slice and take none.
LUTS_PER_CELL = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}


@dataclass(frozen=True, kw_only=True, eq=False)
class Resources(Value):
    """Cells of a synthesised design; ``lut`` counts as LUTS_PER_CELL says."""

    lut: int
    ff: int
    dsp: int
    bram: int
    ccu2c: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing(Value):
    """nextpnr's timing model, not a measurement.

    ``fmax_mhz`` of the board's clock; ``target_mhz`` what nextpnr was asked for; ``clock_mhz`` the
    board's oscillator, met or not; ``critical_path`` one line: from, to, nanoseconds.
    """

    fmax_mhz: float
    target_mhz: float
    clock_mhz: float
    clock_met: bool
    critical_path: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SynthReport(Value):
    """The result of ``synthesise``; stored in report.json under "synthesis".

    ``lut`` (LUT4 equivalents), ``ff``, ``dsp``, ``bram``, ``ccu2c``: whole design with the board
    top, as yosys mapped it, less the flip-flops that went into block RAMs. ``comb``: LUTs as
    nextpnr placed them (with those that only feed carry chains). Seconds are wall time;
    ``seeds``: those tried, the last one's result is reported. ``bitstream`` is relative to the
    build directory. With synthesis alone, ``comb``, ``timing`` and ``bitstream`` are None and
    ``seeds`` is empty.
    """

    board: str
    lut: int
    ff: int
    dsp: int
    bram: int
    ccu2c: int
    comb: int | None = None
    timing: Timing | None = None
    seeds: tuple[int, ...] = ()
    yosys_seconds: float
    pnr_seconds: float = 0.0
    tools: tuple[str, ...]
    bitstream: str | None = None

    @property
    def fmax_mhz(self) -> float | None:
        """nextpnr's fmax, or None without place-and-route."""
        return self.timing.fmax_mhz if self.timing else None

    def to_json(self) -> dict[str, Any]:
        """As every value, and ``fmax_mhz`` at the top for readers of report.json."""
        return {**super().to_json(), "fmax_mhz": self.fmax_mhz}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SynthReport":
        """Inverse of ``to_json``."""
        return super().from_json({k: v for k, v in data.items() if k != "fmax_mhz"})


def read_stat(path: Path) -> Resources:
    """Resources from yosys' ``stat -json`` of a flattened ECP5 design. Raises ToolError."""
    cells = _field(_load(path), "design", "num_cells_by_type", path=path)
    return Resources(
        lut=sum(n * cells.get(cell, 0) for cell, n in LUTS_PER_CELL.items()),
        ff=cells.get("TRELLIS_FF", 0),
        dsp=cells.get("MULT18X18D", 0),
        bram=cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
        ccu2c=cells.get("CCU2C", 0),
    )


def read_pnr(path: Path, board: Board, target_mhz: float) -> tuple[int, Timing]:
    """Placed LUTs and timing from nextpnr's ``--report``. Raises ToolError."""
    data = _load(path)
    comb = _field(data, "utilization", "TRELLIS_COMB", "used", path=path)
    fmax = [clock["achieved"] for clock in _field(data, "fmax", path=path).values()]
    if not fmax:
        raise ToolError(f"{path}: nextpnr found no clock; has the design any register?")
    clock_mhz = board.clock.hz / 1e6
    paths = _field(data, "critical_paths", path=path)
    timing = Timing(
        fmax_mhz=round(min(fmax), 2),
        target_mhz=target_mhz,
        clock_mhz=clock_mhz,
        clock_met=min(fmax) >= clock_mhz,
        critical_path=_longest(paths),
    )
    return comb, timing


def _longest(paths: list[dict[str, Any]]) -> str:
    """One line about the slowest register-to-register path."""
    inside = [p for p in paths if "<async>" not in (p["from"], p["to"])]
    if not inside:
        return "none"
    worst = max(inside, key=lambda p: sum(step["delay"] for step in p["path"]))["path"]
    routing = sum(step["delay"] for step in worst if step["type"] == "routing")
    total = sum(step["delay"] for step in worst)
    n_levels = sum(step["type"] == "logic" for step in worst)
    ends = [f"{end['cell']}.{end['port']}" for end in (worst[0]["from"], worst[-1]["to"])]
    return (
        f"{ends[0]} -> {ends[1]}: {total:.2f} ns, {routing:.2f} of it routing, "
        f"logic levels: {n_levels}"
    )


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ToolError(f"{path}: not the report that was expected: {error}") from error


def _field(data: Any, *keys: str, path: Path) -> Any:
    for key in keys:
        if not isinstance(data, Mapping) or key not in data:
            raise ToolError(f"{path}: not the report that was expected: no field {key!r}")
        data = data[key]
    return data
