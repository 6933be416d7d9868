"""``weft evaluate``: what is evaluated, and the answer for people."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from weft.cli.calibrate import calibrated
from weft.cli.console import log, out, print_json, tell
from weft.cli.reports import grow_report
from weft.cli.saturation import saturation_notes
from weft.errors import ConfigError, ModelError
from weft.gen.build_dir import read_build
from weft.gen.locks import using
from weft.gen.output import scratch_folder
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.onnx.importer import import_model
from weft.nn.onnx.model import load
from weft.nn.onnx.nodes import quantising
from weft.nn.onnx.survey import survey
from weft.report import accuracy
from weft.report.accuracy import Subject

MOST_LAYERS = 12


def evaluate(args: argparse.Namespace) -> int:
    """Compare all that there is of a network; 1 where hardware and reference differ."""
    build = args.model.is_dir()
    if args.rtl is not None and not build:
        raise ConfigError(
            f"--rtl simulates the hardware of a build directory, and {args.model} is none; "
            "compile the model, then give `weft evaluate` the build directory"
        )
    with _subject(args) as subject:
        notes = ()
        if subject.int8 is not None and not is_tflite(subject.int8):
            notes = tuple(saturation_notes(subject.int8, survey(subject.int8)))
        found = accuracy.evaluate(
            subject, args.data, samples=args.samples, rtl=args.rtl, notes=notes, progress=tell
        )
    if build:
        args.build = args.model
        with using(args.model):
            grow_report(args, evaluation=found)
    if args.json:
        print_json(found)
    else:
        _show(found)
    rtl = found["rtl"]
    return 1 if rtl and (not rtl["bit_exact"] or rtl["cycles"] != rtl["predicted_cycles"]) else 0


@contextmanager
def _subject(args: argparse.Namespace) -> Iterator[Subject]:
    """What there is of the network, as long as the block: files may be made for it."""
    if args.model.is_dir():
        build = read_build(args.model)
        yield Subject(graph=build.graph, original=args.original, int8=args.int8, build=build)
        return
    if args.int8 is not None:
        raise ConfigError("--int8 goes with a build directory; a model is its own quantised file")
    if is_tflite(args.model) or quantising(load(args.model).nodes) is not None:
        graph = import_model(args.model, simplify=False)
        yield Subject(graph=graph, original=args.original, int8=args.model)
        return
    if args.calibrate is None:
        raise ModelError(
            f"{args.model} is a float model: give samples of its inputs with --calibrate, by which "
            "it is quantised first"
        )
    with scratch_folder() as folder:
        path = Path(folder, args.model.name)
        try:
            calibrated(args.model, args.calibrate, path, args.ranges)
            graph = import_model(path, simplify=False)
        except ModelError as error:
            raise ModelError(str(error).replace(str(path), str(args.model))) from error
        yield Subject(graph=graph, original=args.original or args.model, int8=path)


def _show(found: dict[str, Any]) -> None:
    """Tables of runs and layers."""
    runs = Table(Column("computed by", no_wrap=True), title=f"{found['samples']} samples")
    for name in ("samples", "right", f"as {found['base']}", "SQNR dB"):
        runs.add_column(name, justify="right")
    for row in found["runs"]:
        shares = (_percent(row[name]) for name in ("top1", "agreement"))
        runs.add_row(row["run"], f"{row['samples']:,}", *shares, _or_dash(row["sqnr_db"]))
    out.print(runs)
    rows = [row for row in found["layers"] if row["sqnr_db"] is not None or row["differ"]]
    if rows:
        layers = Table("layer", title="layers, those that lose most first", title_justify="left")
        for name in ("SQNR dB", "lost dB", "codes unlike ONNX Runtime's"):
            layers.add_column(name, justify="right")
        rows.sort(key=lambda row: (-(row["lost_db"] or 0), -(row["differ"] or 0)))
        for row in rows[:MOST_LAYERS]:
            figures = (_or_dash(row["sqnr_db"]), _or_dash(row["lost_db"]), _percent(row["differ"]))
            layers.add_row(row["layer"], *figures)
        out.print(layers)
    if found["rtl"]:
        rtl = found["rtl"]
        equal = "bit-exact" if rtl["bit_exact"] else "not the reference's"
        out.print(f"hardware: {rtl['samples']} samples {equal}, {rtl['cycles']:,} cycles each")
    for note in found["notes"]:
        log.print(f"note: {note}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
