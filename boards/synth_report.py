"""What synthesis and place-and-route say, as values: resources, timing, what ran."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.boards.families.family import Family, Resources
from weft.errors import ToolError
from weft.value import Value

MAX_CONSTRAINT_ERROR = 0.001  # nextpnr works in whole picoseconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing(Value):
    """nextpnr's timing model, not a measurement.

    ``clock_mhz`` the clock that the design gets; ``fmax_mhz`` the fastest that it would run at;
    ``critical_path`` one line: from, to, nanoseconds. ``hold_slack_ns``: of the worst path that
    nextpnr lists as too fast, None if it lists none. On Gowin it lists paths into block RAMs that
    have slack left by its own figures; only a negative one counts as a violation.
    """

    clock_mhz: float
    fmax_mhz: float
    clock_met: bool
    critical_path: str
    hold_slack_ns: float | None = None

    @property
    def met(self) -> bool:
        """Whether the design works at its clock, as far as the model tells."""
        return self.clock_met and not self.hold_violated

    @property
    def hold_violated(self) -> bool:
        """Whether some path is too fast, at any clock."""
        return self.hold_slack_ns is not None and self.hold_slack_ns < 0


@dataclass(frozen=True, kw_only=True, eq=False)
class SynthReport(Value):
    """The result of ``synthesise``; stored in report.json under "synthesis".

    ``lut`` (LUT4 equivalents), ``ff``, ``dsp``, ``bram``, ``spram``, ``carry``: whole design with
    the board top, as yosys mapped it, less the flip-flops that went into block RAMs; units as in
    the board file's budget. ``comb``: LUTs (iCE40: logic cells) as nextpnr placed them.
    ``clock_mhz``: of the design; ``pll``: what makes it, None for the oscillator alone. Seconds are
    wall time;
    ``seeds``: those tried, the last one's result is reported. ``bitstream`` is relative to the
    build directory; None if the clock was not met. With synthesis alone, ``comb``, ``timing`` and
    ``bitstream`` are None and ``seeds`` is empty.
    """

    board: str
    clock_mhz: float | None = None
    pll: str | None = None
    lut: int
    ff: int
    dsp: int
    bram: int
    spram: int
    carry: int
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


def read_stat(path: Path, family: Family) -> Resources:
    """Resources from yosys' ``stat -json`` of a flattened design. Raises ToolError."""
    return family.resources(_field(_load(path), "design", "num_cells_by_type", path=path))


def read_pnr(path: Path, log: Path, family: Family, clock_hz: float) -> tuple[int, Timing]:
    """Placed logic cells and timing from nextpnr's ``--report`` and, for hold times, its log.

    Raises ToolError, also if nextpnr aimed for another clock than ``clock_hz``.
    """
    data = _load(path)
    try:
        comb = family.placed(_field(data, "utilization", path=path))
    except (KeyError, TypeError) as error:
        raise ToolError(f"{path}: not the report that was expected: no {error}") from error
    clocks = _field(data, "fmax", path=path).values()
    if not clocks:
        raise ToolError(f"{path}: nextpnr found no clock; has the design any register?")
    slowest = min(clocks, key=lambda clock: clock["achieved"])
    clock_mhz = clock_hz / 1e6
    if abs(slowest["constraint"] / clock_mhz - 1) > MAX_CONSTRAINT_ERROR:
        raise ToolError(
            f"{path}: nextpnr took the clock for {slowest['constraint']:g} MHz, but it runs at "
            f"{clock_mhz:g} MHz"
        )
    timing = Timing(
        clock_mhz=round(clock_mhz, 4),
        fmax_mhz=round(slowest["achieved"], 2),
        clock_met=slowest["achieved"] >= clock_mhz,
        critical_path=_longest(_field(data, "critical_paths", path=path)),
        hold_slack_ns=_hold_slack_ns(log.read_text(encoding="utf-8", errors="replace")),
    )
    return comb, timing


def read_estimate(log: Path) -> float:
    """The clock, in MHz, that nextpnr expects of a placement before it is routed.

    Raises ToolError if the log does not say.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"Max frequency for clock .*: ([\d.]+) MHz", text)
    if not found:
        raise ToolError(
            f"{log}: nextpnr gives no estimate of the clock to choose by; leave out --placements"
        )
    return min(map(float, found))


def _hold_slack_ns(log: str) -> float | None:
    """The report has no hold times. In the log each path ends in a row "hold DELAY SLACK"."""
    slacks = [float(x) for x in re.findall(r"^Info: +hold +\S+ +(-?[\d.]+) Source", log, re.M)]
    return min(slacks, default=None)


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
