"""The four MLPerf Tiny networks on one board: cycles, floors, resources, milliseconds.

    python bench/mlperf_tiny.py [--board NAME] [--small] [--synth yosys|pnr] [-o PAGE.md] ...

Needs the networks (WEFT_MODELS, default ../shared/models). Every figure comes from the `weft`
commands that it runs; they are printed as they run. A build that was synthesised before and has not
changed since is not synthesised again.
"""

import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("WEFT_MODELS", ROOT.parent / "shared" / "models")) / "mlperf_tiny"
NETWORKS = ("ic", "kws", "vww", "ad")
CYCLES = {"ic": 52_000, "kws": 12_500, "vww": 26_000, "ad": 1_400}
"""What --small allows: 0.42, 0.10, 0.21 and 0.011 ms at 125 MHz."""
COLUMNS = {
    "network": "network",
    "macs": "MACs",
    "engine": "K x N, R, T",
    "cycles": "cycles",
    "predicted_cycles": "predicted",
    "mac_utilisation": "utilisation",
    "load_cycles": "load",
    "read_cycles": "read",
    "lut": "LUT (predicted)",
    "ff": "FF (predicted)",
    "dsp": "DSP (predicted)",
    "bram": "RAM (predicted)",
    "spram": "SPRAM (predicted)",
    "seed": "seed",
    "fmax_mhz": "fmax MHz",
    "milliseconds": "ms",
}
RESOURCES = ("lut", "ff", "dsp", "bram", "spram")


def weft(*arguments: str) -> dict[str, Any]:
    """Run a weft command with --json and return its object."""
    print("$ weft", *arguments, file=sys.stderr)
    command = [sys.executable, "-m", "weft", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def inputs(network: str, folder: Path, samples: int) -> Path:
    """The network's data; for vww and ad, which ship none, seeded random pixels and spectra."""
    shipped = MODELS / f"{network}_data.npz"
    if shipped.is_file():
        return shipped
    rng = np.random.default_rng(1)
    path = folder / f"{network}_inputs.npz"
    if network == "vww":
        x = rng.integers(0, 256, (samples, 3, 96, 96)).astype(np.float32) / 255
    else:
        x = rng.uniform(-45, 15, (samples, 640)).astype(np.float32)
    np.savez(path, x=x)
    return path


def measure(network: str, args: argparse.Namespace) -> dict[str, Any]:
    """Compile, simulate and (if asked) synthesise one network."""
    folder = args.builds / network
    words = [str(MODELS / f"{network}.onnx"), "--board", args.board]
    if args.small:
        words += ["--cycles", str(CYCLES[network])]
    if args.fixed:
        words.append("--fixed")
    plan = compiled(folder, words)
    row: dict[str, Any] = {"network": network, "macs": plan["macs"]}
    engine = ("lanes", "columns", "array_requant", "vector_requant", "vector_taps")
    k, n, array, vector, taps = (plan[name] for name in engine)
    row["engine"] = f"{k} x {n}, {array} + {vector}, {taps}"
    data = inputs(network, args.builds, args.samples)
    row |= weft("simulate", str(folder), "--inputs", str(data), "--samples", str(args.samples))
    if not row["bit_exact"]:
        raise SystemExit(f"{network} is not bit-exact")
    if args.synth:
        report = synthesised(folder, args)
        for name in RESOURCES:
            row[name] = f"{report[name]:,} ({plan[name]:,})"
        if report["fmax_mhz"]:
            row["seed"] = report["seeds"][-1]
            row["fmax_mhz"] = report["fmax_mhz"]
            row["milliseconds"] = round(row["cycles"] / report["fmax_mhz"] / 1000, 4)
            row["critical_path"] = report["timing"]["critical_path"]
    else:
        row |= {name: f"({plan[name]:,})" for name in RESOURCES}
    return row


def compiled(folder: Path, words: list[str]) -> dict[str, Any]:
    """Compile to a build directory; it is left alone if the design in it is the same already."""
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    plan = weft("compile", *words, "-o", str(fresh))
    if all(same(fresh / part, folder / part) for part in ("rtl", "images")):
        shutil.rmtree(fresh)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return plan


def same(a: Path, b: Path) -> bool:
    """Whether two directories have the same files."""
    if not b.is_dir():
        return False
    names = [{x.relative_to(top) for x in top.rglob("*") if x.is_file()} for top in (a, b)]
    return names[0] == names[1] and all(
        filecmp.cmp(a / name, b / name, shallow=False) for name in names[0]
    )


def synthesised(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What `weft synth` reports of a build, or has reported before."""
    report = json.loads((folder / "report.json").read_text()).get("synthesis")
    clock = report and args.clock in (None, report["clock_mhz"])
    if clock and (args.synth == "yosys" or report["timing"]):
        return report
    flags = ["--yosys-only"] if args.synth == "yosys" else ["--allow-timing-failure"]
    flags += ["--clock", str(args.clock)] if args.clock else []
    return weft("synth", str(folder), *flags, "--timeout", "9000")


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    used = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = ["| " + " | ".join(COLUMNS[name] for name in used) + " |", "|---" * len(used) + "|"]
    for row in rows:
        cells = [row.get(name, "") for name in used]
        texts = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print the table; with -o write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="ulx3s-85f")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--samples", type=int, default=4, help="simulated in Verilator")
    parser.add_argument(
        "--small", action="store_true", help="the smallest engines within fixed cycles"
    )
    parser.add_argument("--fixed", action="store_true", help="networks that cannot be exchanged")
    parser.add_argument("--synth", choices=("yosys", "pnr"), help="also synthesise (and route)")
    parser.add_argument("--clock", type=float, help="MHz of place and route (default: the board's)")
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "mlperf_tiny")
    parser.add_argument("-o", "--output", type=Path, help="Markdown page to write")
    args = parser.parse_args()
    args.builds.mkdir(parents=True, exist_ok=True)
    rows = [measure(network, args) for network in args.networks]
    command = " ".join(["python", "bench/mlperf_tiny.py", *sys.argv[1:]])
    page = f"# MLPerf Tiny on {args.board}\n\nMade by `{command}`.\n\n{table(rows)}"
    paths = [f"- {r['network']}: {r['critical_path']}\n" for r in rows if "critical_path" in r]
    if paths:
        page += "\nCritical paths:\n\n" + "".join(paths)
    print(page)
    if args.output:
        args.output.write_text(page)


if __name__ == "__main__":
    main()
