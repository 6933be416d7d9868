"""What few bits and zeros cost without training: the table of docs/compress.md.

    WEFT_MODELS=... python bench/compress.py [ic] [kws]

Takes ``mlperf_tiny/{ic,kws}.onnx`` and their data from the folder WEFT_MODELS. Each network is
compressed twice, with either half of the samples, and scored on the other half; no sample is scored
by a network that was calibrated with it. The settings of ``weft.nn.compress`` were chosen by these
scores. So kws at 4 and at 3 bits is scored on 600 further samples, too, of which no choice knew.
"""

import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from weft.mapper.weight_budget import budget
from weft.nn.compress.patterns import pattern
from weft.nn.compress.pipeline import Options, compress
from weft.nn.compress.score import outputs, score, split
from weft.nn.compress.standard import standard
from weft.nn.onnx.importer import import_model

MODELS = Path(os.environ.get("WEFT_MODELS", "../shared/models")) / "mlperf_tiny"
SAMPLES = {"ic": 200, "kws": 400}  # of the data; half of them calibrate, 100 at most
UNSEEN = {"kws": ("4 bits", "3 bits")}  # modes that are scored on all further samples as well
CALIBRATE = 100
ARRAY = 16

HALF = functools.partial(budget, "bits=50%", lanes=ARRAY, columns=ARRAY)
MODES = {
    "4 bits, ends 8": Options(bits=4, keep_ends=True),
    "4 bits": Options(bits=4),
    "3 bits": Options(bits=3),
    "2 bits": Options(bits=2),
    "mixed, half the bits": Options(bits=None, budget=HALF),
    "2:4, ends dense": Options(bits=8, keep_ends=True, pattern=pattern("2:4", ARRAY, ARRAY)),
    "lanes:1/2, ends dense": Options(
        bits=8, keep_ends=True, pattern=pattern("lanes:1/2", ARRAY, ARRAY)
    ),
}


def rows(name: str, folder: Path) -> Iterator[str]:
    """The table's rows of one network."""
    with np.load(MODELS / f"{name}_data.npz") as file:
        x, labels = file["x"][: SAMPLES[name]], file["y"][: SAMPLES[name]]
    source = MODELS / f"{name}.onnx"
    model = standard(source)
    key = model.graph.input[0].name
    before = outputs(import_model(source), {key: x})
    plain = score(before, before, labels)
    yield f"| {name} | 8 bits | {100 * (plain.accuracy or 0):.1f} % | | | |"
    for mode, options in MODES.items():
        after, bits = np.zeros_like(before), set()
        for swapped in (False, True):
            parts = split(len(x), CALIBRATE, swapped=swapped)
            done, found = compress(model, {key: x[parts.calibrate]}, options)
            target = folder / "small.onnx"
            onnx.save(done.model, target)
            after[parts.score] = outputs(import_model(target), {key: x[parts.score]})
            own = {item.layer.name: item.wanted.bits for item in done.layers}
            bits.add(" ".join(str(own.get(layer.name, 8)) for layer in found.layers))
        got = score(after, before, labels)
        cells = (f"{100 * (share or 0):.1f} %" for share in (got.accuracy, got.agreement))
        yield f"| {name} | {mode} | {' | '.join(cells)} | {got.snr_db:.1f} dB | {', '.join(bits)} |"


def unseen_rows(name: str, folder: Path) -> Iterator[str]:
    """Rows of one network, calibrated as before and scored on samples beyond SAMPLES."""
    count = SAMPLES[name]
    with np.load(MODELS / f"{name}_data.npz") as file:
        x, labels = file["x"], file["y"][count:]
    source = MODELS / f"{name}.onnx"
    model = standard(source)
    key = model.graph.input[0].name
    before = outputs(import_model(source), {key: x[count:]})
    title = f"{name}, {len(labels)} others"
    plain = score(before, before, labels)
    yield f"| {title} | 8 bits | {100 * (plain.accuracy or 0):.1f} % | | | |"
    for mode in UNSEEN[name]:
        done, _ = compress(model, {key: x[split(count, CALIBRATE).calibrate]}, MODES[mode])
        target = folder / "small.onnx"
        onnx.save(done.model, target)
        got = score(outputs(import_model(target), {key: x[count:]}), before, labels)
        cells = (f"{100 * (share or 0):.1f} %" for share in (got.accuracy, got.agreement))
        bits = " ".join(str(item.wanted.bits) for item in done.layers)
        yield f"| {title} | {mode} | {' | '.join(cells)} | {got.snr_db:.1f} dB | {bits} |"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or SAMPLES:
            for row in rows(name, Path(folder)):
                print(row, flush=True)
            for row in unseen_rows(name, Path(folder)) if name in UNSEEN else ():
                print(row, flush=True)


if __name__ == "__main__":
    main()
