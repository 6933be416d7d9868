"""The command line: ``weft COMMAND``. Results go to stdout, the log to stderr."""

import argparse
import io
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from weft.cli import interrupt, listings
from weft.cli.arguments import parser
from weft.cli.console import log, out, print_json, progress_bar, show, tell
from weft.cli.faults import ending, settle_output
from weft.errors import ModelError, counted
from weft.gen.drafts import tidy
from weft.gen.locks import using
from weft.gen.output import check_file, output_file, scratch_folder

if TYPE_CHECKING:
    from weft.cli.calibrate import Calibration
    from weft.cli.reports import Quantisation
    from weft.nn.ir.graph import Graph

# Commands import what they need themselves: NumPy, onnx and Amaranth take seconds together, which
# ``weft boards`` and a misspelt word need not wait for.


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    args = parser().parse_args(words)
    args.words = tuple(words)
    interrupt.while_running()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be text
            stream.reconfigure(errors="backslashreplace")
    try:
        tidy(vars(args).get("build"), vars(args).get("output"))
        with using(args.build) if "build" in args else nullcontext():
            code = COMMANDS[args.command](args)
        sys.stdout.flush()
        return code
    except (Exception, KeyboardInterrupt) as error:
        settle_output()
        message, code = ending(error, words)
        if message:
            log.print(f"weft {args.command}: {message}")
        if code == interrupt.INTERRUPTED:
            interrupt.leave()
        return code


def _compile(args: argparse.Namespace) -> int:
    from weft.boards.board import load_board
    from weft.boards.target import target_of
    from weft.cli.plan import planned
    from weft.cli.reports import begun
    from weft.gen.build_dir import check_folder, write_build
    from weft.gen.report import prediction
    from weft.nn.passes.equivalence import sample_count
    from weft.nn.passes.simplify import compare, simplify

    begin = time.perf_counter()
    check_folder(args.output)
    board = load_board(args.board)
    target = target_of(board)
    imported, lost = _import(args)
    graph = imported if args.no_simplify else simplify(imported)
    operators = counted(len(imported.operators), "operator")
    log.print(f"imported {args.model}: {operators}, {graph.macs:,} MACs")
    if graph != imported:
        tried = sample_count(imported)
        log.print(
            f"{compare(imported, graph)}; every output bit is unchanged (compared on {tried} "
            "random and extreme inputs)"
        )
    chosen = planned(args, graph, target)
    report = begun(args, lost)
    lines = write_build(
        args.output, graph, chosen, board.to_json(), fixed=args.fixed, finish=report
    )
    for line in lines:
        log.print(line)
    figures = prediction(chosen) | {
        "build": str(args.output),
        "board": board.name,
        "lanes": chosen.engine.lanes,
        "columns": chosen.engine.columns,
        "array_requant": chosen.engine.array_requant,
        "vector_requant": chosen.engine.vector_requant,
        "vector_taps": chosen.engine.vector_taps,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    hidden = ("steps", "notes")
    show(args, figures, f"{chosen.network} on {board.name}", hidden)
    for note in chosen.notes:
        log.print(f"note: {note}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from weft.boards.board import load_board
    from weft.boards.target import target_of
    from weft.cli.check import check
    from weft.cli.tables import tables

    target = None if args.board is None else target_of(load_board(args.board))
    answer = check(
        args.model,
        target,
        calibrate=args.calibrate,
        ranges=args.ranges,
        external_memory=args.external_memory,
        lanes=args.lanes,
        columns=args.columns,
        requant_lanes=args.requant_lanes,
        cycles=args.cycles,
    )
    if args.json:
        print_json(answer.figures)
    else:
        for table in tables(answer.figures):
            out.print(table)
    if answer.error is not None:
        raise answer.error
    return 0


def _import(args: argparse.Namespace) -> "tuple[Graph, Quantisation | None]":
    """The model's graph as it is, quantised first where calibration data are given, and what that
    costs."""
    from weft.cli.reports import Quantisation
    from weft.nn.ir.note import Note, NoteKind
    from weft.nn.onnx.importer import import_model

    if args.calibrate is None:
        return import_model(args.model, simplify=False), None
    from weft.nn.quantise.losses import losses

    with _quantised(args, args.model.name) as (model, used):
        graph = import_model(model, simplify=False)
        lost = losses(args.model, model, graph, used.inputs)
    samples = counted(used.samples, "sample")
    note = f"quantised from float: ranges by {args.ranges} over {samples}"
    said = (Note(kind=NoteKind.QUANTISATION, text=text) for text in (note, *map(str, lost)))
    found = Quantisation(ranges=args.ranges, samples=used.samples, outputs=lost)
    return graph.replace(notes=(*said, *graph.notes)), found


@contextmanager
def _quantised(
    args: argparse.Namespace, name: str, samples: int | None = None
) -> Iterator[tuple[Path, "Calibration"]]:
    """The int8 form of a float model, as a file as long as the block, and what it was made with.

    What is wrong with it is said of the model that the user gave.
    """
    from weft.cli.calibrate import calibrated

    with scratch_folder() as folder:
        path = folder / name
        try:
            yield path, calibrated(args.model, args.calibrate, path, args.ranges, samples)
        except ModelError as error:
            raise ModelError(str(error).replace(str(path), str(args.model))) from error


def _quantise(args: argparse.Namespace) -> int:
    from weft.nn.onnx.importer import import_model
    from weft.nn.quantise.losses import losses

    inputs = (args.model, args.calibrate)
    check_file(args.output, inputs)
    with _quantised(args, args.output.name, args.samples) as (model, used):
        graph = import_model(model)  # no file is written that compiling it would refuse
        lost = losses(args.model, model, graph, used.inputs)
        with output_file(args.output, inputs) as draft:
            shutil.copyfile(model, draft)
    figures = {
        "output": str(args.output),
        "ranges": args.ranges,
        "samples": used.samples,
        "operators": len(graph.operators),
        "outputs": [vars(loss) for loss in lost],
    }
    show(args, figures, f"{args.model}: quantised", ("outputs",))
    for loss in lost:
        log.print(str(loss))
    for note in graph.notes:
        log.print(f"note: {note}")
    return 0


def _compress(args: argparse.Namespace) -> int:
    from weft.cli.compress import lines, run, table

    figures = run(args, tell)
    if args.json:
        print_json(figures)
        return 0
    out.print(table(figures))
    for line in lines(figures):
        out.print(line)
    return 0


def _simulate(args: argparse.Namespace) -> int:
    from weft.cli.reports import grow_report
    from weft.gen.build_dir import read_build
    from weft.sim_tb.network import simulate

    build = read_build(args.build)
    result = simulate(
        build, inputs=args.inputs, samples=args.samples, trace=args.trace, progress=tell
    )
    grow_report(args, simulation=result.figures())
    show(args, result.figures(), f"{build.plan.network}: hardware against reference")
    for line in result.differences:
        log.print(line)
    return 0 if result.ok else 1


def _reference(args: argparse.Namespace) -> int:
    from weft.cli.reports import right
    from weft.gen.build_dir import read_build
    from weft.gen.data import load_inputs, save_outputs
    from weft.nn.ir.host import reference_model

    build = read_build(args.build)
    read = (args.inputs, *build.files)
    check_file(args.output, read)
    inputs = load_inputs(args.inputs, build.graph, args.samples)
    outputs = reference_model(build.graph, inputs)
    save_outputs(args.output, outputs, read)
    shapes = {name: list(array.shape) for name, array in outputs.items()}
    figures = {"output": str(args.output), **shapes, **right(args.inputs, build.graph, outputs)}
    show(args, figures, f"{build.plan.network}: reference")
    return 0


def _synth(args: argparse.Namespace) -> int:
    from weft.boards.synth import synthesise
    from weft.cli.reports import growing

    with growing(args):
        report = synthesise(
            args.build,
            place_and_route=not args.yosys_only,
            clock_mhz=args.clock,
            allow_timing_failure=args.allow_timing_failure,
            seed=args.seed,
            placements=args.placements,
            timeout=args.timeout,
            progress=tell,
        )
    show(args, report.to_json(), f"{args.build}: synthesis")
    return 0


def _flash(args: argparse.Namespace) -> int:
    from weft.boards.flash import flash

    made = flash(args.build, dry_run=args.dry_run, progress=tell)
    if args.json:
        print_json(made.to_json())
    elif args.dry_run:
        out.print(made.command)
    return 0


def _run(args: argparse.Namespace) -> int:
    import numpy as np

    from weft.boards.device import SIMULATIONS, Device
    from weft.cli.reports import grow_report, right
    from weft.gen.build_dir import read_build
    from weft.gen.data import different, load_inputs, save_outputs
    from weft.gen.report import prediction
    from weft.nn.ir.host import reference_model
    from weft.sim_tb.verilator import BUILDING

    build = read_build(args.build)
    read = (args.inputs, *build.files)
    if args.output is not None:
        check_file(args.output, read)
    inputs = load_inputs(args.inputs, build.graph, args.samples)
    if args.port in SIMULATIONS:
        log.print(BUILDING)
    with progress_bar() as progress:
        upload = True if args.upload else None
        with Device(build, args.port, baud=args.baud, upload=upload, progress=progress) as device:
            clock_hz = device.clock_hz
            begin = time.perf_counter()
            result = device.run(inputs)
            seconds = time.perf_counter() - begin
    if args.output is not None:
        save_outputs(args.output, result.outputs, read)
    labels = result.labels
    predicted = prediction(build.plan)["cycles"]
    checked, differences = {}, []
    if args.check:
        differences = different(reference_model(build.graph, inputs), result.outputs)
        checked = {"bit_exact": not differences}
    figures = checked | {
        "samples": len(result.cycles),
        "cycles": int(result.cycles.max()),
        "predicted_cycles": predicted,
        "microseconds": round(int(result.cycles.max()) / clock_hz * 1e6, 2),
        "seconds": round(seconds, 3),
        "labels": labels,
        **right(args.inputs, build.graph, result.outputs),
    }
    kept = {name: value for name, value in figures.items() if name not in ("seconds", "labels")}
    grow_report(args, run={"port": args.port, **kept})
    show(args, figures, f"{build.plan.network} on {args.port}")
    if set(result.cycles.tolist()) != {predicted}:
        counted = np.unique(result.cycles).tolist()
        differences.append(f"cycles: predicted {predicted}, counted {counted}")
    for line in differences:
        log.print(line)
    return 1 if differences else 0


def _explain(args: argparse.Namespace) -> int:
    from weft.gen.build_dir import read_build
    from weft.gen.report import prediction

    build = read_build(args.build)
    figures = prediction(build.plan)
    if args.json:
        print_json(figures)
        return 0
    table = Table(
        "step", "operator", "unit", title=f"{build.plan.network}: {figures['cycles']:,} cycles"
    )
    for name in ("begin", "end", "adds", "loads", "floor", "use"):
        table.add_column(name, justify="right")
    table.add_column("bound by")
    for row in figures["steps"]:
        names = ("name", "operator", "unit", "begin", "end", "cycles", "loads", "floor")
        names += ("utilisation", "bound")
        table.add_row(*(str(row[name]) for name in names))
    out.print(table)
    return 0


def _report(args: argparse.Namespace) -> int:
    from weft.cli.reports import report

    return report(args)


def _evaluate(args: argparse.Namespace) -> int:
    from weft.cli.evaluate import evaluate

    return evaluate(args)


COMMANDS = {
    "check": _check,
    "compile": _compile,
    "quantise": _quantise,
    "compress": _compress,
    "simulate": _simulate,
    "reference": _reference,
    "synth": _synth,
    "flash": _flash,
    "run": _run,
    "explain": _explain,
    "report": _report,
    "evaluate": _evaluate,
    "boards": listings.boards,
    "ops": listings.ops,
}


if __name__ == "__main__":
    sys.exit(main())
