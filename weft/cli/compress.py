"""``weft compress``: a model of fewer bits and more zeros, and what that costs."""

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.table import Table

from weft.cli.calibrate import calibrated_with
from weft.errors import ConfigError, ModelError, counted
from weft.gen.data import load_edges, load_inputs
from weft.gen.labels import named_labels
from weft.gen.output import check_file, output_file, scratch_folder
from weft.mapper.weight_budget import budget, weight_bits
from weft.nn.compress.check import check_model, engine_bits
from weft.nn.compress.layers import Found
from weft.nn.compress.one_shot import Compressed
from weft.nn.compress.patterns import pattern
from weft.nn.compress.pipeline import Options, compress
from weft.nn.compress.rounding import MOST_BITS
from weft.nn.compress.score import RULE, Split, outputs, score, split
from weft.nn.compress.standard import standard
from weft.nn.compress.typed import few_bit
from weft.nn.forms.tflite_file import is_tflite
from weft.nn.ir.graph import Graph
from weft.nn.onnx.importer import import_model
from weft.nn.onnx.model import TYPE_NAMES, load
from weft.nn.onnx.nodes import quantising
from weft.nn.quantise.static import float_inputs

HALF = "bits=50%"  # the budget of mixed precision where none is given


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """The data, and which of them calibrate and which are scored."""

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray | None
    split: Split

    def part(self, places: np.ndarray) -> dict[str, np.ndarray]:
        """Some samples."""
        return {name: array[places] for name, array in self.inputs.items()}


def run(args: argparse.Namespace, report: Callable[[str], None]) -> dict[str, Any]:
    """Write the compressed model; the figures to show."""
    inputs = (args.model, args.data)
    options = _options(args)
    check_file(args.output, inputs)
    with scratch_folder() as folder, _called(args.model, folder):
        source, samples = _source(args, folder)
        calibrate = samples.part(samples.split.calibrate)
        original = standard(source)
        made, found = compress(original, calibrate, options, report)
        report("comparing the file with what was fitted")
        bits = {item.stored: item.wanted.bits for item in made.layers}
        path = folder / "compressed.onnx"
        file = few_bit(made.model, bits, calibrate)
        onnx.save(file, path)
        scored = samples.part(samples.split.score)
        graph = import_model(path, simplify=False)
        agreement = check_model(original, made, file, graph, scored)
        before = outputs(import_model(source), scored)
        after = outputs(import_model(path), scored)
        labels = None if samples.labels is None else samples.labels[samples.split.score]
        scores = {
            "before": vars(score(before, before, labels)),
            "after": vars(score(after, before, labels)),
        }
        with output_file(args.output, inputs) as draft:
            draft.write_bytes(path.read_bytes())
    rows = _rows(made, found, file, graph)
    return {
        "output": str(args.output),
        "rule": RULE,
        "calibrated_with": len(samples.split.calibrate),
        "scored_with": len(samples.split.score),
        **scores,
        "onnx_runtime": vars(agreement),
        "weight_bits_before": sum(weight_bits(layer, MOST_BITS) for layer in found.layers),
        "weight_bits": sum(row["weights"] * row["bits"] for row in rows),
        "layers": rows,
        "left": dict(found.left),
    }


@contextmanager
def _called(model: Path, folder: Path) -> Iterator[None]:
    """What is wrong with a file in a scratch folder is said of the user's model."""
    try:
        yield
    except ModelError as error:
        text = str(error)
        for path in folder.iterdir():
            text = text.replace(str(path), str(model))
        raise ModelError(text) from error


def _options(args: argparse.Namespace) -> Options:
    word = args.budget
    if args.weight_bits is None:
        word = word or HALF
    limits = None
    if word is not None:
        limits = functools.partial(budget, word, lanes=args.lanes, columns=args.columns)
        limits(())  # a word that is none is refused before any work
    return Options(
        bits=args.weight_bits,
        pattern=pattern(args.sparsity, args.lanes, args.columns),
        keep_ends=args.keep_ends,
        budget=limits,
    )


def _source(args: argparse.Namespace, folder: Path) -> tuple[Path, Samples]:
    """A quantised model, and the samples. A float one is quantised with those that calibrate."""
    model = args.model
    if is_tflite(model) or quantising(load(model).nodes) is not None:
        graph = import_model(model)
        inputs = load_inputs(args.data, graph)
        return model, _samples(args, inputs)
    samples = _samples(args, load_edges(args.data, float_inputs(model)))
    target = folder / "quantised.onnx"
    calibrated_with(model, samples.part(samples.split.calibrate), target, args.ranges)
    return target, samples


def _samples(args: argparse.Namespace, inputs: Mapping[str, np.ndarray]) -> Samples:
    count = len(next(iter(inputs.values())))
    labels = None if args.labels is None else named_labels(args.data, args.labels, count)
    try:
        parts = split(count, args.samples)
    except ConfigError as error:
        raise ConfigError(f"{args.data}: {error}") from error
    return Samples(inputs=inputs, labels=labels, split=parts)


def _rows(
    made: Compressed, found: Found, file: onnx.ModelProto, graph: Graph
) -> list[dict[str, Any]]:
    """One for each layer: its bits and zeros, how the file stores it, and what the engine sees."""
    kinds = {item.name: TYPE_NAMES[item.data_type] for item in file.graph.initializer}
    done = {item.layer.name: item for item in made.layers}
    rows = []
    for layer in found.layers:
        item = done.get(layer.name)
        codes = None if item is None else item.weight.codes
        rows.append(
            {
                "name": layer.name,
                "operator": layer.op,
                "weights": layer.weight.size,
                "bits": MOST_BITS if item is None else item.wanted.bits,
                "zeros": None if codes is None else round(float(np.mean(codes == 0)), 3),
                "pattern": "" if item is None else str(item.wanted.pattern or ""),
                "stored_as": "" if item is None else kinds[item.stored],
                "engine_bits": None if item is None else engine_bits(item, graph),
            }
        )
    return rows


def table(figures: dict[str, Any]) -> Table:
    """The layers, for people."""
    made = Table("layer", "operator", title=f"{figures['output']}: weights")
    for name in ("weights", "bits", "zeros", "stored as", "bits on the engine"):
        made.add_column(name, justify="right")
    made.add_column("pattern")
    for row in figures["layers"]:
        cells = (row["name"], row["operator"], f"{row['weights']:,}", row["bits"])
        zeros = "" if row["zeros"] is None else f"{row['zeros']:.1%}"
        seen = row["engine_bits"] or ""
        made.add_row(*map(str, (*cells, zeros, row["stored_as"], seen, row["pattern"])))
    return made


def lines(figures: dict[str, Any]) -> list[str]:
    """The scores, in words."""
    n, m = figures["calibrated_with"], figures["scored_with"]
    before, after = figures["before"], figures["after"]
    runtime = figures["onnx_runtime"]
    found = [f"{figures['rule']}: {counted(n, 'sample')} and {m}"]
    if after["accuracy"] is not None:
        found.append(f"accuracy: {before['accuracy']:.1%} before, {after['accuracy']:.1%} after")
    if after["agreement"] is not None:
        found.append(f"same class as before: {after['agreement']:.1%}")
    snr = after["snr_db"]
    found.append("outputs: the same" if snr is None else f"outputs: error {snr:.1f} dB below them")
    found.append(
        f"weights: {figures['weight_bits_before']:,} bits before, {figures['weight_bits']:,} after"
    )
    found.append(
        f"ONNX Runtime on the file: {runtime['equal']:.1%} of the outputs equal weft's integers, "
        f"the largest difference is {runtime['largest']:.2%} of their range"
    )
    return found + [f"left: {name!r}: {why}" for name, why in figures["left"].items()]
