"""Every quantised form of the digits networks: compiled, simulated bit for bit, cycles counted.

    python bench/forms.py [--board NAME] [--lanes K] [--columns N] [--samples S]

Needs the networks and their data (WEFT_MODELS, default ../shared/models). Prints a line for each
file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("WEFT_MODELS", ROOT.parent / "shared" / "models")) / "digits"


def weft(*words: str) -> dict[str, Any]:
    """One command's JSON; what it logs goes to stderr."""
    command = [sys.executable, "-m", "weft", *words, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print; exit code 1 if a file is not bit-exact or not as predicted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--board", default="ulx3s-85f")
    parser.add_argument("--lanes", default="8")
    parser.add_argument("--columns", default="4")
    parser.add_argument("--samples", default="4", help="simulated in Verilator")
    args = parser.parse_args()
    print("| file | cycles | predicted | bit-exact |", "|---|---|---|---|", sep="\n")
    bad = False
    for model in sorted(MODELS.glob("*.onnx")):
        with tempfile.TemporaryDirectory() as folder:
            build = str(Path(folder, "build"))
            sizes = ("--lanes", args.lanes, "--columns", args.columns)
            data = str(model.with_suffix(".npz"))
            float_model = ("--calibrate", data) if model.stem.startswith("float") else ()
            weft("compile", str(model), "--board", args.board, "-o", build, *sizes, *float_model)
            found = weft("simulate", build, "--inputs", data, "--samples", args.samples)
        cycles, predicted = found["cycles"], found["predicted_cycles"]
        exact = found["bit_exact"]
        bad |= not exact or cycles != predicted
        said = "yes" if exact else "**no**"
        print(f"| `{model.stem}` | {cycles:,} | {predicted:,} | {said} |", flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
