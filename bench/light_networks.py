"""What becomes of the large networks that the onnx package ships, on one board.

    python bench/light_networks.py [--board NAME] [--seconds N] [--gigabytes N] [-o PAGE.md]

Their weights, one constant in the files, are random ones here, so only operators and sizes mean
anything. Each network is checked by `weft check` in a process of its own, with limits on time and
memory, on the board as it is and on the board with external memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
GIB = 1 << 30


def with_random_weights(model: Path, folder: Path) -> Path:
    """A copy whose weights have the spread that keeps activations as large as they are."""
    proto = onnx.load(model)
    graph = proto.graph
    sizes = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    made = {node.output[0]: node for node in graph.node if node.op_type == "ConstantOfShape"}
    kept = [node for node in graph.node if node.output[0] not in made]
    rng = np.random.default_rng(0)
    for name, node in made.items():
        shape = tuple(sizes[node.input[0]])
        reader = next((n for n in kept if name in n.input), None)
        array = _weights(rng, shape, reader, name)
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    proto.ir_version = max(proto.ir_version, 4)  # the first in which weights need not be inputs
    del graph.node[:]
    graph.node.extend(kept)
    path = folder / model.name
    onnx.save(proto, path)
    return path


def _weights(
    rng: np.random.Generator, shape: tuple[int, ...], reader: onnx.NodeProto | None, name: str
) -> np.ndarray:
    place = list(reader.input).index(name) if reader is not None else 0
    if len(shape) > 1:
        inputs = shape[0] if reader is not None and reader.op_type == "MatMul" else None
        return rng.normal(0, np.sqrt(2 / (inputs or np.prod(shape[1:]))), shape)
    if reader is not None and reader.op_type == "BatchNormalization" and place in (1, 4):
        return rng.uniform(0.5, 1.5, shape)  # factors and variances
    return rng.normal(0, 0.1, shape)


def check(
    model: Path, args: argparse.Namespace, *more: str
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run `weft check` within the limits. Raises subprocess.TimeoutExpired."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (args.gigabytes * GIB, args.gigabytes * GIB))

    command = [sys.executable, "-m", "weft", "check", str(model), "--board", args.board, "--json"]
    command += more
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
    with tempfile.TemporaryDirectory() as folder:
        copy = with_random_weights(model, Path(folder))
        figures, said, took = answer(copy, args)
        if figures is None or "board" not in figures:
            return [name, "", "", said, "", took]
        _, outside, _ = answer(copy, args, "--external-memory")
    nodes = f"{len(figures['operators']):,}"
    return [name, nodes, f"{figures['macs']:,}", said, outside, took]


def answer(model: Path, args: argparse.Namespace, *more: str) -> tuple[dict | None, str, str]:
    """The figures, if there are any; what is said about the network; the time."""
    try:
        done, seconds = check(model, args, *more)
    except subprocess.TimeoutExpired:
        return None, f"**stopped** after {args.seconds} s", ""
    took = f"{seconds:.0f} s"
    if "Traceback" in done.stderr or done.returncode not in (0, 1, 2):
        return None, f"**crashed** with exit code {done.returncode}", took
    try:
        figures = json.loads(done.stdout)
    except ValueError:
        return None, done.stderr.strip().replace(str(model), model.name), took
    return figures, outcome(figures).replace(str(model), model.name), took


def outcome(figures: dict) -> str:
    """What was said about a network, in one table cell."""
    board = figures.get("board")
    if board is not None:
        outside = board.get("external_memory")
        if outside is not None:
            return (
                f"{board['lanes']} x {board['columns']}: {board['cycles']:,} cycles; "
                f"{outside['bytes'] / 1e6:.1f} MB, {outside['megabytes_per_second']:,.0f} MB/s"
            )
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
    head = ["network", "nodes", "MACs", "on the board", "with external memory", "time"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for model in sorted(NETWORKS.glob("light_*.onnx")):
        lines.append("| " + " | ".join(row(model, args)) + " |")
        print(lines[-1], flush=True)
    command = " ".join(["python", "bench/light_networks.py", *sys.argv[1:]])
    page = (
        f"# Large networks on {args.board}\n\nMade by `{command}` with onnx {onnx.__version__}.\n\n"
        "The networks are those of the onnx package's own tests, with their sizes and operators\n"
        "but random weights. `weft check` quantises each with noise and goes as far as it can.\n"
        "On the board as it is, all weights have to be in the chip's own memory. With external\n"
        "memory (`--external-memory`; weft builds no such design): lanes x columns of the array,\n"
        "cycles if that memory is never late, what it holds, and what it has to give at the\n"
        "least. The time is that of the first of the two checks.\n\n"
    )
    page += "\n".join(lines) + "\n"
    if args.output:
        args.output.write_text(page)


if __name__ == "__main__":
    main()
