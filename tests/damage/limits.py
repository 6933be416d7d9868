"""Many cases in child processes with limits: what each comes to, its seconds and its memory."""

import importlib
import json
import multiprocessing
import pkgutil
import resource
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing.process import BaseProcess
from pathlib import Path

import weft

ADDRESS_BYTES = 6 << 30  # of a child: libraries map much that they never touch

Act = Callable[[Path], str]
"""What to do with a case, a function of a module; it says in a few words what it came to."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case; "hung" or "died" where the child did not come back."""

    text: str
    seconds: float = 0.0
    peak_bytes: int = 0


def run_all(
    act: Act, paths: Sequence[Path], folder: Path, seconds: float, children: int = 1
) -> dict[str, Outcome]:
    """``act`` on every path, one after the other in each of some children side by side.

    ``seconds``: after which a case has hung.
    """
    reports = [folder / f"report{number}.txt" for number in range(children)]
    parts = [paths[number::children] for number in range(children)]
    with ThreadPoolExecutor(children) as pool:
        found = pool.map(_run_part, repeat(act), parts, reports, repeat(seconds))
        return {name: outcome for part in found for name, outcome in part.items()}


def _run_part(act: Act, paths: Sequence[Path], report: Path, seconds: float) -> dict[str, Outcome]:
    """Every path, in one child after the other where a case ends its child."""
    found: dict[str, Outcome] = {}
    context = multiprocessing.get_context("spawn")
    while left := [path for path in paths if str(path) not in found]:
        report.unlink(missing_ok=True)
        child = context.Process(target=_child, args=(act, left, report))
        child.start()
        hung = _wait(child, report, seconds)
        text = report.read_text() if report.exists() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        for name, text, took, peak in lines:
            if text != "started":
                found[name] = Outcome(text=text, seconds=took, peak_bytes=peak)
        if lines and lines[-1][1] == "started":
            found[lines[-1][0]] = Outcome(text="hung" if hung else "died")
        elif not lines:
            raise RuntimeError("the child did not start")
    return found


def _child(act: Act, paths: Sequence[Path], report: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    _import_all()
    with report.open("w") as out:
        for path in paths:
            _forget_peak()
            begin = time.monotonic()
            print(json.dumps([str(path), "started", 0, 0]), file=out, flush=True)
            try:
                text = act(path)
            except Exception:  # noqa: BLE001 - this is what is looked for
                text = traceback.format_exc()
            took = time.monotonic() - begin
            print(json.dumps([str(path), text, took, _peak_bytes()]), file=out, flush=True)


def _import_all() -> None:
    """Commands import what they need when they need it: that is not a case's time."""
    for module in pkgutil.walk_packages(weft.__path__, "weft."):
        importlib.import_module(module.name)


def _forget_peak() -> None:
    """Linux counts the largest memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _wait(child: BaseProcess, report: Path, seconds: float) -> bool:
    """Until the child ends, or is ended because one case took too long."""
    size, since = -1, time.monotonic()
    while child.is_alive():
        child.join(0.2)
        now = report.stat().st_size if report.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > seconds + (START_SECONDS if size <= 0 else 0):
            child.kill()
            child.join()
            return True
    return False


START_SECONDS = 300
"""For the child's imports, on a busy machine."""
