"""Commands that run side by side, and commands that are ended at random moments.

    python bench/endings.py --pairs 20 --moments 100

Pairs of commands in one folder must both be right, or one of them refused in one line. After
SIGTERM or SIGKILL no process may be left after two seconds, and after one more command no draft;
the folder must hold the old build or the new one. Prints one line per kind, and every failure;
the exit code is 1 if there was any.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "examples" / "digits"
SECONDS = 2.0
BOARD, LANES = "ulx3s-25f", ("4", "2")
REFUSED = "is in use by another weft command; try again when that has ended\n"
MEANWHILE = "was made by another command meanwhile"


class Bench:
    """A folder with a build, and the commands that are tried on it."""

    def __init__(self, folder: Path):
        self.folder, self.build = folder, folder / "work" / "build"
        self.build.parent.mkdir()
        (folder / "tmp").mkdir()
        self.mark = f"WEFT_BENCH={os.getpid()}"
        self.failures: list[str] = []

    def compile(self, lanes: str = LANES[0]) -> list[str]:
        words = ["compile", DIGITS / "digits.onnx", "--board", BOARD, "-o", self.build]
        words += ["--lanes", lanes, "--columns", "4", "--requant-lanes", "1", "--json"]
        return [str(word) for word in words]

    def commands(self) -> dict[str, list[str]]:
        """Every command that writes or starts a tool."""
        build, work = str(self.build), self.build.parent
        data = ["--inputs", str(DIGITS / "digits_test.npz"), "--samples", "2", "--json"]
        quantise = ["quantise", str(DIGITS / "digits_float.onnx"), "-o", str(work / "q.onnx")]
        return {
            "compile": self.compile(LANES[1]),
            "simulate": ["simulate", build, *data],
            "run": ["run", build, "--port", "sim", "--check", *data],
            "synth": ["synth", build, "--yosys-only", "--json"],
            "netlist": ["run", build, "--port", "netlist", "--check", *data],
            "reference": ["reference", build, *data, "-o", str(work / "y.npz")],
            "quantise": [*quantise, "--calibrate", str(DIGITS / "digits_calibrate.npz")],
        }

    def start(self, words: list[str]) -> subprocess.Popen[str]:
        name, _, value = self.mark.partition("=")
        return subprocess.Popen(
            [sys.executable, "-m", "weft", *words],
            cwd=ROOT,
            env=os.environ | {name: value, "TMPDIR": str(self.folder / "tmp")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(self, words: list[str]) -> tuple[int, str, str]:
        process = self.start(words)
        out, log = process.communicate()
        return process.returncode, out, log

    def fail(self, what: str) -> None:
        self.failures.append(what)
        print(f"FAILED: {what}", flush=True)

    def processes(self) -> list[str]:
        """The commands of all live processes that this benchmark started."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def drafts(self) -> list[str]:
        """What commands have left in the folders that they write to."""
        names = {path.name for path in self.build.parent.iterdir()} - {"build", "q.onnx", "y.npz"}
        stray = [str(path) for path in self.build.rglob(".weft-*")]
        return [*names, *stray, *(path.name for path in (self.folder / "tmp").iterdir())]

    def fresh(self) -> None:
        """The build without what simulation and synthesis add, so that they start their tools."""
        shutil.rmtree(self.build, ignore_errors=True)
        code, _, log = self.done(self.compile())
        assert code == 0, log

    def pair(self, names: tuple[str, str]) -> str:
        """Run two commands at once in one folder: how it went."""
        processes = [self.start(self.commands()[name]) for name in names]
        ends = [process.communicate() for process in processes]
        codes = [process.returncode for process in processes]
        refusals = 0
        for name, code, (out, log) in zip(names, codes, ends, strict=True):
            refused = code == 1 and (log.endswith(REFUSED) or MEANWHILE in log)
            refusals += refused
            exact = json.loads(out).get("bit_exact", True) if code == 0 else False
            if not exact and not refused:
                self.fail(f"{' and '.join(names)}: {name} ended with {code}: {log[-500:]}")
        code, _, log = self.done(["explain", str(self.build), "--json"])
        if code or refusals == len(names):
            self.fail(f"{' and '.join(names)}: no result; {log}")
        if left := self.drafts():
            self.fail(f"{' and '.join(names)}: left {left}")
        return "refused" if refusals else "right"

    def end(self, name: str, number: signal.Signals, moment: float) -> None:
        """End a command by a signal at a moment; check what is left."""
        process = self.start(self.commands()[name])
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        time.sleep(SECONDS)
        what = f"{name}, {number.name} at {moment:.2f} s"
        if left := self.processes():
            self.fail(f"{what}: still running: {left}")
        log = process.communicate()[1]
        if "Traceback" in log:
            self.fail(f"{what}: {log[-500:]}")
        code, out, log = self.done(["explain", str(self.build), "--json"])
        if code or json.loads(out)["cycles"] <= 0:
            self.fail(f"{what}: the build cannot be read: {log}")
        if left := self.drafts():
            self.fail(f"{what}: left {left}")


def run_pairs(bench: Bench, count: int) -> None:
    kinds = [("simulate", "simulate"), ("compile", "compile"), ("run", "run")]
    kinds += [("simulate", "compile"), ("run", "simulate"), ("synth", "synth")]
    for names in kinds:
        ends = []
        for _ in range(count):
            bench.fresh()
            ends.append(bench.pair(names))
        right = ends.count("right")
        print(f"{' and '.join(names)}: {right} right, {count - right} with a refusal", flush=True)


def run_endings(bench: Bench, count: int, chosen: list[str]) -> None:
    rng = random.Random(0)
    for name in chosen or bench.commands():
        bench.fresh()
        if name == "netlist":
            bench.done(bench.commands()["synth"])
        begin = time.perf_counter()
        bench.done(bench.commands()[name])
        seconds = time.perf_counter() - begin
        for number in (signal.SIGTERM, signal.SIGKILL):
            before = len(bench.failures)
            for _ in range(count):
                for part in ("sim", "synth") if name != "netlist" else ("sim",):
                    shutil.rmtree(bench.build / part, ignore_errors=True)
                bench.end(name, number, rng.uniform(0, seconds))
            failed = len(bench.failures) - before
            print(f"{name} ({seconds:.1f} s), {number.name}: {count} moments, {failed} failures")
            sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--moments", type=int, default=100, help="of each command and signal")
    parser.add_argument("--command", action="append", default=[], help="end only this one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-endings") as folder:
        bench = Bench(Path(folder))
        run_pairs(bench, args.pairs)
        run_endings(bench, args.moments, args.command)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
