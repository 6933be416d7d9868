"""report.json and report.html of a build: begun by compiling, grown by what comes after."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weft.files import read_object
from weft.gen.build_dir import Build
from weft.gen.output import write_file
from weft.gen.rebuild import PAGE, REPORT
from weft.gen.report import prediction
from weft.mapper.search import Options
from weft.report.analysis import analysis
from weft.report.answer import answer
from weft.report.changes import changes, with_clock
from weft.report.page import page

Report = dict[str, Any]


def begin(build: Build, options: Options, facts: Report) -> None:
    """The report of a build that was just made; what belongs to the same design is in it already.

    options: what the plan was asked for. facts: parts that compiling knows (model, quantisation).
    """

    def fill(report: Report) -> None:
        for key in ("model", "quantisation"):
            report.pop(key, None)
        report |= {"options": dict(options), "analysis": analysis(build)} | facts
        report["changes"] = changes(build, options, quick=True)

    _change(build.folder, fill)


def look_for_changes(build: Build, seconds: float = math.inf) -> Report:
    """Plan the alternatives anew, all of them; the whole report then."""

    def fill(report: Report) -> None:
        report |= {"analysis": analysis(build), "prediction": prediction(build.plan)}
        report["changes"] = changes(build, report.get("options") or {}, seconds=seconds)

    return _change(build.folder, fill)


def grow(folder: Path, verb: str, command: str, **parts: Report) -> None:
    """Add what a command found out: parts of the report by name, and the command itself.

    A build that was not begun here (``write_build`` alone makes none) gets no page.
    """

    def fill(report: Report) -> None:
        report |= parts
        report["commands"] = (report.get("commands") or {}) | {verb: command}

    _change(folder, fill)


def _change(folder: Path, fill: Callable[[Report], None]) -> Report:
    """Read report.json, change it, and write it and the page."""
    path = folder / REPORT
    report = read_object(path) if path.is_file() else {}
    fill(report)
    begun = {"analysis", "prediction"} <= set(report)
    if "changes" in report:
        rows = with_clock(report["changes"]["rows"], report.get("synthesis") or {})
        report["changes"]["rows"] = rows
    if begun:
        report["answer"] = answer(report)
    write_file(path, json.dumps(report, indent=1) + "\n")
    if begun:  # the page of what was written, so that both say the same
        write_file(folder / PAGE, page(json.loads(path.read_text("utf-8"))))
    return report
