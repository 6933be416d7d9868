"""What commands leave in a build's report, and ``weft report``."""

import argparse
import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.cli.console import log, show
from weft.cli.faults import ending
from weft.cli.interrupt import INTERRUPTED
from weft.gen.build_dir import Build, read_build
from weft.gen.labels import load_labels
from weft.gen.rebuild import PAGE
from weft.mapper.search import Options
from weft.nn.ir.graph import Graph
from weft.nn.quantise.losses import Loss
from weft.report.grow import begin, grow, look_for_changes


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """How a float model was quantised, and what that costs at its outputs."""

    ranges: str
    samples: int
    outputs: tuple[Loss, ...]

    def to_json(self) -> dict[str, Any]:
        """As in report.json."""
        outputs = [vars(loss) for loss in self.outputs]
        return {"ranges": self.ranges, "samples": self.samples, "outputs": outputs}


def begun(args: argparse.Namespace, quantised: Quantisation | None) -> Callable[[Build], None]:
    """Begins the report of a build that is written: for ``write_build``."""
    model = args.model.read_bytes()
    facts: dict[str, Any] = {
        "model": {"name": args.model.name, "sha256": hashlib.sha256(model).hexdigest()}
    }
    if quantised is not None:
        facts["quantisation"] = quantised.to_json()

    def finish(build: Build) -> None:
        with spared(args):
            begin(build, _options(args, build), facts | {"commands": _with(build, args)})

    return finish


def _options(args: argparse.Namespace, build: Build) -> Options:
    """The sizes that were asked for: all of them where the user gave the whole plan."""
    if args.plan is None:
        return {
            "lanes": args.lanes,
            "columns": args.columns,
            "requant_lanes": args.requant_lanes,
            "cycles": args.cycles,
        }
    engine = build.plan.engine
    pair = (engine.array_requant, engine.vector_requant)
    return {"lanes": engine.lanes, "columns": engine.columns, "requant_lanes": pair}


@contextmanager
def spared(args: argparse.Namespace) -> Iterator[None]:
    """A block that only adds to a report: what goes wrong in it is said, and nothing else is lost.

    It stands behind the work of its command, as ``main`` stands behind all commands.
    """
    try:
        yield
    except Exception as error:
        message, code = ending(error, args.words)
        if code == INTERRUPTED:
            raise
        log.print(
            f"the report was not written: {message}\nall else is complete; `weft report BUILD` "
            "writes the report anew"
        )


def _with(build: Build, args: argparse.Namespace) -> dict[str, str]:
    """The commands that the build's report names, and this one first."""
    from weft.files import read_object

    kept = read_object(build.folder / "report.json").get("commands") or {}
    return {args.command: command_of(args)} | {k: v for k, v in kept.items() if k != args.command}


def command_of(args: argparse.Namespace) -> str:
    """The command as anybody can give it: BUILD for the build directory, files without folders."""
    place = vars(args).get("build") or vars(args).get("output")
    words = []
    for word in args.words:
        if place is not None and Path(word) == place:
            word = "BUILD"
        words.append(Path(word).name if "/" in word and not word.startswith("-") else word)
    return shlex.join(["weft", *words])


def grow_report(args: argparse.Namespace, **parts: dict[str, Any]) -> None:
    """Add to the report of ``args.build``."""
    with spared(args):
        grow(args.build, args.command, command_of(args), **parts)


@contextmanager
def growing(args: argparse.Namespace) -> Iterator[None]:
    """The page is written anew after the block, however that ends: it merged what it found out."""
    from weft.errors import FitError

    try:
        yield
    except FitError:  # the figures of a design that is too large or too slow
        grow_report(args)
        raise
    grow_report(args)


def right(path: Path, graph: Graph, outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The share of right first outputs by a data file's labels; empty without usable ones."""
    first = outputs[graph.outputs[0].name]
    labels = load_labels(path, graph, len(first))
    if labels.problem:
        log.print(f"labels are not used: {labels.problem}")
    share = labels.top1(first)
    return {} if share is None else {"top1": share}


def report(args: argparse.Namespace) -> int:
    """Plan all alternatives and write the page; the answer and the best of them on stdout."""
    build = read_build(args.build)
    made = look_for_changes(build, args.seconds)
    answer = made["answer"]
    figures = {
        "report": str(args.build / PAGE),
        "microseconds": answer["microseconds"],
        "inferences_per_second": answer["inferences_per_second"],
        "cycles": answer["cycles"],
        "clock_mhz": answer["clock_mhz"],
        "fit": answer["fit"],
        "exact": answer["exact"],
        "bound": answer["bound"],
        "changes": made["changes"]["rows"],
        "boards": made["changes"]["boards"],
        "untried": made["changes"]["untried"],
    }
    if args.json:
        show(args, figures, "")
        return 0
    fit, bound = answer["fit"], answer["bound"]
    shown = {
        "latency": f"{answer['microseconds']:,} us ({answer['cycles']:,} cycles at "
        f"{answer['clock_mhz']:g} MHz)",
        "throughput": f"{answer['inferences_per_second']:,} inferences/s",
        "fits": f"{'yes' if fit['fits'] else 'no'}, {fit['share']:.0%} of the {fit['resource']}, "
        f"{fit['by']}",
        "exact": answer["exact"]["verdict"],
        "bound by": f"{bound['part']}, {bound['share']:.0%} of the cycles",
        "report": figures["report"],
    }
    show(args, shown, f"{build.plan.network} on {build.plan.target.name}")
    for row in made["changes"]["rows"][:5]:
        log.print(_line(row))
    return 0


def _line(row: Mapping[str, Any]) -> str:
    """An alternative in words."""
    time = f"{-row['gain']:+.1%} time"
    lut = f", {-row['lut_saved']:+.1%} LUTs" if "lut_saved" in row else ""
    fits = "" if row.get("fits", True) else f"; does not fit: {row['remark']}"
    return f"{row['change']}: {time}{lut}{fits}"
