"""Compile the digits network, simulate it and show what came out: ``make demo``.

Every step is the command that a user would type; it is printed before it runs.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
MODEL, IMAGES = "examples/digits/digits.onnx", "examples/digits/digits_test.npz"
BOARD, BUILD, SCORES = "ulx3s-85f", "build/digits", "build/digits_scores.npz"
SAMPLES = 20
MAX_LISTED = 12  # files per folder; the others are counted


class StepError(Exception):
    """A command failed or did not print what it should."""


def weft(console: Console, *arguments: str) -> str:
    """Run one weft command from the project's root and return what it printed on stdout.

    Its log goes straight to stderr. Raises StepError with the command's exit code.
    """
    console.print(f"[bold]$ weft {shlex.join(arguments)}", highlight=False, soft_wrap=True)
    command = [sys.executable, "-m", "weft", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        console.print(done.stdout, markup=False, highlight=False, end="")
        raise StepError(f"weft {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout


def parse_result(printed: str) -> dict[str, Any]:
    """The JSON object of ``weft simulate --json``."""
    try:
        return json.loads(printed)
    except json.JSONDecodeError as error:
        raise StepError(f"weft simulate did not print one JSON object: {error}") from error


def accuracy() -> tuple[float, int]:
    """Share of right labels among all test images by the reference's scores, and their number."""
    with np.load(ROOT / SCORES) as scores, np.load(ROOT / IMAGES) as images:
        labels = images["labels"]
        answers = np.argmax(scores["y"].reshape(len(labels), -1), axis=1)
    return float(np.mean(answers == labels)), len(labels)


def result_table(result: dict[str, Any], share: float, n_images: int) -> Table:
    """Right or wrong, how many cycles, how well used."""
    equal = "yes" if result["bit_exact"] else f"NO: {result['mismatches']} mismatches"
    rows = {
        "accuracy (reference)": f"{100 * share:.1f} % of {n_images} test images",
        "bit-exact": f"{equal} ({result['samples']} images, RTL against reference)",
        "cycles per image": f"{result['cycles']:,}",
        "predicted cycles": f"{result['predicted_cycles']:,}",
        "load / read cycles": f"{result['load_cycles']:,} / {result['read_cycles']:,}",
        "MACs per image": f"{result['macs']:,}",
        "multipliers": f"{result['multipliers']:,}",
        "MAC utilisation": f"{100 * result['mac_utilisation']:.1f} %",
    }
    table = Table(title=f"digits on {BOARD}", show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def file_table() -> Table:
    """The files of the build directory, folder by folder."""
    table = Table("file", title="files made", title_justify="left")
    table.add_column("bytes", justify="right")
    folder = ROOT / BUILD
    for place in sorted({path.parent for path in folder.rglob("*") if path.is_file()}):
        files = sorted(path for path in place.iterdir() if path.is_file())
        for path in files[:MAX_LISTED]:
            table.add_row(path.relative_to(ROOT).as_posix(), f"{path.stat().st_size:,}")
        if rest := files[MAX_LISTED:]:
            size = sum(path.stat().st_size for path in rest)
            table.add_row(f"... {len(rest)} more in {place.relative_to(ROOT)}/", f"{size:,}")
    return table


def main() -> int:
    console = Console()
    try:
        weft(console, "compile", MODEL, "--board", BOARD, "-o", BUILD)
        # Listed before the simulator adds its own files.
        files = file_table()
        simulate = ("simulate", BUILD, "--inputs", IMAGES, "--samples", str(SAMPLES), "--json")
        result = parse_result(weft(console, *simulate))
        weft(console, "reference", BUILD, "--inputs", IMAGES, "-o", SCORES)
        console.print(files)
        console.print(result_table(result, *accuracy()))
    except StepError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"demo: weft's output has no {error}", file=sys.stderr)
        return 1
    if not result["bit_exact"] or result["cycles"] != result["predicted_cycles"]:
        print("demo: hardware and prediction do not agree", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
