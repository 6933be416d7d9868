"""What becomes of the large networks that the onnx package ships, on one board.

    python bench/light_networks.py [--board NAME] [--seconds N] [--gigabytes N] [-o PAGE.md]

Their weights are constants made up by ConstantOfShape, so only operators and sizes mean anything.
Each network is checked by `weft check` in a process of its own, with limits on time and memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
GIB = 1 << 30


def check(model: Path, args: argparse.Namespace) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run `weft check` within the limits. Raises subprocess.TimeoutExpired."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (args.gigabytes * GIB, args.gigabytes * GIB))

    command = [sys.executable, "-m", "weft", "check", str(model), "--board", args.board, "--json"]
    begin = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=args.seconds,
        preexec_fn=limit,
    )
    return done, time.monotonic() - begin


def row(model: Path, args: argparse.Namespace) -> list[str]:
    """One line of the table."""
    name = model.stem.removeprefix("light_")
    try:
        done, seconds = check(model, args)
    except subprocess.TimeoutExpired:
        return [name, "", "", f"**stopped** after {args.seconds} s", ""]
    took = f"{seconds:.0f} s"
    if "Traceback" in done.stderr or done.returncode not in (0, 1, 2):
        return [name, "", "", f"**crashed** with exit code {done.returncode}", took]
    try:
        figures = json.loads(done.stdout)
    except ValueError:
        return [name, "", "", done.stderr.strip().replace(str(model), model.name), took]
    nodes = f"{len(figures['operators']):,}"
    macs = f"{figures['macs']:,}" if "macs" in figures else ""
    return [name, nodes, macs, outcome(figures).replace(str(model), model.name), took]


def outcome(figures: dict) -> str:
    """What was said about a network, in one table cell."""
    board = figures.get("board")
    if board is not None:
        if board["fits"]:
            return f"fits, {board['cycles']:,} cycles"
        return f"imported; {board['short'].partition(' does not fit ')[2] or board['short']}"
    refused = [item for item in figures["operators"] if item["runs"] == "unsupported"]
    said = [f"{item['operator']} `{item['node']}`: {item['remark']}" for item in refused]
    said += figures["problems"] or ([] if said else figures["notes"])
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return f"refused: {said[0]}{more}"


def main() -> None:
    """Check all, print the table; with -o write it into a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--board", default="ulx3s-85f")
    parser.add_argument("--seconds", type=int, default=300, help="limit for each network")
    parser.add_argument("--gigabytes", type=int, default=12, help="address space of each process")
    parser.add_argument("-o", "--output", type=Path, help="Markdown page to write")
    args = parser.parse_args()
    head = ["network", "nodes", "MACs", "what happens", "time"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for model in sorted(NETWORKS.glob("light_*.onnx")):
        lines.append("| " + " | ".join(row(model, args)) + " |")
        print(lines[-1], flush=True)
    command = " ".join(["python", "bench/light_networks.py", *sys.argv[1:]])
    page = (
        f"# Large networks on {args.board}\n\nMade by `{command}` with onnx {onnx.__version__}.\n\n"
        "The networks are those of the onnx package's own tests, with their sizes and operators\n"
        "but made-up weights. `weft check` quantises each with noise and goes as far as it can.\n"
        "All weights have to be in the chip's own memory: there is no external one.\n\n"
    )
    page += "\n".join(lines) + "\n"
    if args.output:
        args.output.write_text(page)


if __name__ == "__main__":
    main()
