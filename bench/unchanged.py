"""Whether two revisions generate the same designs: Verilog, memory images and cycles.

    python bench/unchanged.py REV [REV] [--quick] [--board NAME ...] [--network NAME ...]

Compiles every network for every board at REV and at the second revision (default: the files as they
are now, uncommitted ones included) and compares what `weft compile` wrote. Two refusals are equal.
Prints a line for each file that differs and exits with 1 if there is one. Patterns choose a part:
--board 'ulx3s*' --network kws; --quick takes three boards and two networks.

Results are kept in build/unchanged, so that a revision is compiled once. The networks are those of
WEFT_MODELS (default ../shared/models) and the digits example, the same files for both revisions.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("WEFT_MODELS", ROOT.parent / "shared" / "models"))
CACHE = ROOT / "build" / "unchanged"
NETWORKS = {
    "digits": ROOT / "examples" / "digits" / "digits.onnx",
    **{name: MODELS / "mlperf_tiny" / f"{name}.onnx" for name in ("ad", "ic", "kws", "vww")},
    "tflite": MODELS / "mlperf_tiny" / "kws.tflite",
    "mlp": MODELS / "digits" / "qdq_s8_mlp.onnx",
    "qdq": MODELS / "digits" / "qdq_u8_cnn.onnx",
    "qcdq": MODELS / "digits" / "qcdq_w4a4_cnn.onnx",
    "qonnx": MODELS / "digits" / "qonnx_w4a4_cnn.onnx",
    "binary": MODELS / "digits" / "qonnx_w1a1_mlp.onnx",
    "qoperator": MODELS / "digits" / "qoperator_u8_cnn.onnx",
    "pt2e": MODELS / "digits" / "pt2e_cnn.onnx",
    "tf2onnx": MODELS / "digits" / "tf2onnx_cnn.onnx",
}
QUICK = ("icebreaker", "tang-nano-9k", "ulx3s-85f"), ("digits", "kws")
GENERATED = ("rtl/*", "images/*")
"""Of a build's files, those that have to be equal; --all takes the others as well."""
NOT_SOURCES = ("docs/", "tests/", "bench/")
"""What no build depends on, so that a change there compiles nothing again."""
TOOLS = ("amaranth", "numpy", "onnx", "ortools")
REFUSALS = (1, 2)

Outcome = dict[str, Any]
"""A build's exit ``code``; its ``cycles`` and its ``files``' checksums, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """Sources at one revision, in a folder of their own; ``key`` stands for their contents."""

    name: str
    folder: Path
    key: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """One build to compare."""

    board: str
    network: str

    def __str__(self) -> str:
        return f"{self.network} on {self.board}"


def git(*words: str, **environment: str) -> str:
    """A git command's output."""
    return subprocess.run(
        ["git", *words],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()


def tree_of(revision: str | None, scratch: Path) -> str:
    """The id of a revision's tree; None is the files as they are, also those not yet added."""
    if revision is not None:
        return git("rev-parse", "--verify", f"{revision}^{{tree}}")
    index = str(scratch / "index")  # not the user's own
    git("add", "--all", GIT_INDEX_FILE=index)
    return git("write-tree", GIT_INDEX_FILE=index)


def unpacked(revision: str | None, scratch: Path) -> Revision:
    """Put a revision's files into a new folder below ``scratch``."""
    tree = tree_of(revision, scratch)
    folder = scratch / f"{len(list(scratch.iterdir()))}-{tree}"
    folder.mkdir()
    archive = scratch / f"{folder.name}.tar"
    git("archive", "-o", str(archive), tree)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    files = git("ls-tree", "-r", tree).splitlines()
    sources = [line for line in files if not line.partition("\t")[2].startswith(NOT_SOURCES)]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in TOOLS]
    key = hashlib.sha256("\n".join(sources + versions).encode()).hexdigest()[:16]
    return Revision(name=revision or "the files as they are", folder=folder, key=key)


def outcome(revision: Revision, case: Case) -> Outcome:
    """What a build gives, from the cache if it was made before.

    A build that fails otherwise than with weft's own refusal is not kept.
    """
    model = NETWORKS[case.network]
    network = f"{case.network}-{hashlib.sha256(model.read_bytes()).hexdigest()[:8]}"
    kept = CACHE / revision.key / f"{case.board}-{network}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    begin = time.monotonic()
    made = _compiled(revision, case)
    if "failed" not in made:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(made, indent=1) + "\n")
        draft.replace(kept)
    said = made.get("message") or made.get("failed") or f"{made['cycles']:,} cycles"
    seconds = time.monotonic() - begin
    print(f"{revision.name}: {case}: {seconds:.0f} s: {said}", file=sys.stderr, flush=True)
    return made


def _compiled(revision: Revision, case: Case) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build")
        words = [str(NETWORKS[case.network]), "--board", case.board, "-o", str(build), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "weft", "compile", *words],
            cwd=revision.folder,  # its own `weft` comes before an installed one
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stderr.strip().splitlines() or [""]
        if done.returncode == 0:
            cycles = json.loads(done.stdout)["cycles"]
            files = json.loads((build / "manifest.json").read_text())["files"]
            return {"code": 0, "cycles": cycles, "files": files}
        if done.returncode in REFUSALS and "Traceback" not in done.stderr:
            return {"code": done.returncode, "message": said[-1]}
        return {"code": done.returncode, "failed": said[-1] or f"exit code {done.returncode}"}


def differences(old: Outcome, new: Outcome, args: argparse.Namespace) -> Iterator[str]:
    """What is not equal, a line for each file."""
    patterns = ("*",) if args.all else GENERATED
    failures = [made["failed"] for made in (old, new) if "failed" in made]
    if failures or old["code"] != new["code"]:
        yield failures[0] if failures else f"exit code {old['code']}, now {new['code']}"
    elif old["code"] == 0:
        if old["cycles"] != new["cycles"]:
            yield f"{old['cycles']:,} cycles, now {new['cycles']:,}"
        for name in sorted(old["files"] | new["files"]):
            if not matches(name, patterns) or matches(name, args.ignore):
                continue
            if name not in new["files"]:
                yield f"{name} is gone"
            elif name not in old["files"]:
                yield f"{name} is new"
            elif old["files"][name] != new["files"][name]:
                yield f"{name} differs"


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the shell patterns fits."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def cases(args: argparse.Namespace) -> list[Case]:
    """All builds asked for; the slow networks first, so that no process waits for the other."""
    boards = sorted(path.stem for path in (ROOT / "boards" / "data").glob("*.yaml"))
    boards = _chosen(boards, args.board or (QUICK[0] if args.quick else ("*",)))
    networks = _chosen(list(NETWORKS), args.network or (QUICK[1] if args.quick else ("*",)))
    missing = [str(NETWORKS[name]) for name in networks if not NETWORKS[name].is_file()]
    if missing:
        raise SystemExit(f"not there: {', '.join(missing)}; set WEFT_MODELS to their folder")
    networks.sort(key=lambda name: -NETWORKS[name].stat().st_size)
    return [Case(board=board, network=network) for network in networks for board in boards]


def _chosen(names: list[str], patterns: tuple[str, ...]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in names):
            raise SystemExit(f"{pattern} is none of {', '.join(names)}")
    return [name for name in names if matches(name, patterns)]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", metavar="REV")
    parser.add_argument("new", metavar="REV", nargs="?", help="default: the files as they are")
    parser.add_argument("--board", action="append", metavar="PATTERN", help="default: all")
    parser.add_argument("--network", action="append", metavar="PATTERN", help="default: all")
    parser.add_argument("--quick", action="store_true", help="three boards, two networks")
    parser.add_argument("--all", action="store_true", help="graph.json, plan.json, headers too")
    parser.add_argument("--ignore", action="append", default=[], metavar="PATTERN", help="a file")
    parser.add_argument("--jobs", type=int, default=2, help="builds at a time (default: 2)")
    return parser.parse_args()


def main() -> None:
    """Build, compare and print."""
    args = arguments()
    chosen = cases(args)
    with (
        tempfile.TemporaryDirectory(prefix="unchanged-") as scratch,
        ThreadPoolExecutor(args.jobs) as pool,
    ):
        old, new = unpacked(args.old, Path(scratch)), unpacked(args.new, Path(scratch))
        sides = {side.key: side for side in (old, new)}.values()  # one, if the sources are equal
        jobs = [(side, case) for case in chosen for side in sides]
        outcomes = pool.map(lambda job: outcome(*job), jobs)
        made = {(side.key, case): found for (side, case), found in zip(jobs, outcomes, strict=True)}
    bad = refused = 0
    for case in chosen:
        before, after = made[old.key, case], made[new.key, case]
        refused += before["code"] != 0
        found = list(differences(before, after, args))
        bad += bool(found)
        for line in found:
            print(f"{case}: {line}")
    print(f"{len(chosen)} builds, {refused} refused at {old.name}: {bad} differ at {new.name}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
