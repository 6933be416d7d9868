"""How long weft plans against the number of operators: docs/planning.md.

    python bench/planning.py [-o docs/planning.md] [--operators N ...] [--shape NAME ...]

Makes quantised networks of several shapes, from 10 to 1,000 operators, and takes the time of each
stage in one process (import, simplification, rules, search for an engine) and of the whole `weft
check` command. The exponent is that of the power law that fits the times best: 1 is linear.
"""

import argparse
import contextlib
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from weft.boards.board import load_board
from weft.boards.target import target_of
from weft.errors import FitError
from weft.mapper.search import plan
from weft.nn.ir.checker import check
from weft.nn.onnx.importer import import_model
from weft.nn.passes.simplify import simplify

ROOT = Path(__file__).resolve().parents[1]
CHANNELS, SIZE = 8, 8  # of every value
SCALE, ZERO_POINT = 0.05, 3


class Network:
    """A QDQ network as it grows: each method appends a node and returns its quantised result."""

    def __init__(self) -> None:
        self.operators = 0
        self._nodes: list[onnx.NodeProto] = []
        self._constants = [
            numpy_helper.from_array(np.array(SCALE, np.float32), "scale"),
            numpy_helper.from_array(np.array(ZERO_POINT, np.int8), "zero"),
            numpy_helper.from_array(np.array(0, np.int8), "no_zero"),
        ]
        self._rng = np.random.default_rng(0)
        self.start = self._quantised("x")

    def conv(self, value: str, channels: int = CHANNELS) -> str:
        """A 1x1 convolution to CHANNELS channels, with random weights."""
        weight = f"w{self.operators}"
        codes = self._rng.integers(-127, 128, (CHANNELS, channels, 1, 1), np.int8)
        self._constants.append(numpy_helper.from_array(codes, weight))
        self._node("DequantizeLinear", [weight, "scale", "no_zero"], f"{weight}_real")
        return self._operator("Conv", value, f"{weight}_real")

    def add(self, a: str, b: str) -> str:
        """The sum of two values."""
        return self._operator("Add", a, b)

    def concat(self, *values: str) -> str:
        """Values side by side along the channels."""
        return self._operator("Concat", *values, axis=1)

    def function(self, value: str) -> str:
        """A Sigmoid of each element."""
        return self._operator("Sigmoid", value)

    def save(self, output: str, path: Path) -> None:
        """Write the network that ends at ``output``."""
        shape = [1, CHANNELS, SIZE, SIZE]
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, path)

    def _operator(self, op: str, *values: str, **attributes: Any) -> str:
        self.operators += 1
        return self._quantised(self._node(op, values, f"{op}{self.operators}", **attributes))

    def _quantised(self, value: str) -> str:
        codes = self._node("QuantizeLinear", [value, "scale", "zero"], f"{value}_codes")
        return self._node("DequantizeLinear", [codes, "scale", "zero"], f"{value}_real")

    def _node(self, op: str, inputs: Any, output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output


def chain(net: Network, count: int) -> str:
    """One convolution after the other."""
    value = net.start
    while net.operators < count:
        value = net.conv(value)
    return value


def residual(net: Network, count: int) -> str:
    """Two convolutions, and their input added to the result."""
    value = net.start
    while net.operators < count:
        value = net.add(net.conv(net.conv(value)), value)
    return value


def wide(net: Network, count: int) -> str:
    """About as many branches as each is long, added in the end."""
    length = max(1, round(math.sqrt(count)))
    ends = []
    while net.operators + len(ends) < count:
        value = net.start
        for _ in range(length):
            value = net.conv(value)
        ends.append(value)
    total = ends[0]
    for end in ends[1:]:
        total = net.add(total, end)
    return total


def concats(net: Network, count: int) -> str:
    """Three convolutions of one value, side by side, and one that brings them together."""
    value = net.start
    while net.operators < count:
        value = net.conv(net.concat(*(net.conv(value) for _ in range(3))), 3 * CHANNELS)
    return value


def functions(net: Network, count: int) -> str:
    """Convolutions, each with a Sigmoid behind it."""
    value = net.start
    while net.operators < count:
        value = net.function(net.conv(value))
    return value


SHAPES: dict[str, Callable[[Network, int], str]] = {
    "chain": chain,
    "residual": residual,
    "wide": wide,
    "concats": concats,
    "functions": functions,
}
OPERATORS = (10, 30, 100, 300, 1000)
LEAST = 100
"""Operators from which on the exponents are fitted."""
STAGES = ("import", "simplify", "rules", "search", "command")


def measured(path: Path, board: str) -> dict[str, float]:
    """CPU seconds of each stage, and how many operators the accelerator has in the end.

    A network that does not fit is planned, too: that it does not is what the search finds out.
    """
    found: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        begin = sum(os.times()[:4])  # with those of commands that have ended
        try:
            return work()
        finally:
            found[stage] = sum(os.times()[:4]) - begin

    graph = timed("import", lambda: import_model(path, simplify=False))
    simplified = timed("simplify", lambda: simplify(graph))
    timed("rules", lambda: check(simplified))
    with contextlib.suppress(FitError):
        timed("search", lambda: plan(simplified, target_of(load_board(board))))
    command = [sys.executable, "-m", "weft", "check", str(path), "--board", board, "--json"]
    done = timed("command", lambda: subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE))
    if done.returncode not in (0, FitError.exit_code):
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    return found | {"operators": len(simplified.operators), "fits": done.returncode == 0}


def exponent(rows: list[dict[str, float]], stages: Sequence[str]) -> float:
    """Of the power of the operators planned that fits the seconds of some stages best."""
    counts = [math.log(row["operators"]) for row in rows]
    return float(
        np.polyfit(counts, [math.log(sum(row[stage] for stage in stages)) for row in rows], 1)[0]
    )


TOP = """# How long planning takes

Made by `{command}`:
CPU seconds of each stage on {board}, and of the whole `weft check` command with the start of
Python, for networks of 1x1 convolutions of {channels} channels on {size} x {size} pixels.
*Operators* are the
model's; *planned* those of the accelerator: where they do not fit the board, the search has tried
the smallest engines as well. The exponents are those of the power law that fits the
seconds best from {least} operators planned on: 1 is linear.

| shape | operators | planned | {stages} |
|---|---|---|{line}|
"""


def page(command: str, board: str, rows: list[tuple[str, int, dict[str, float]]]) -> str:
    """The table, and a line of exponents for each shape."""
    text = TOP.format(
        command=command,
        board=board,
        channels=CHANNELS,
        size=SIZE,
        least=LEAST,
        stages=" | ".join(f"{stage} s" for stage in STAGES),
        line="|".join("---" for _ in STAGES),
    )
    for shape, count, found in rows:
        cells = " | ".join(f"{found[stage]:.2f}" for stage in STAGES)
        planned = f"{found['operators']}{'' if found['fits'] else ', which do not fit'}"
        text += f"| {shape} | {count} | {planned} | {cells} |\n"
    text += "\n| shape | exponent of the search | of all stages |\n|---|---|---|\n"
    for name in dict.fromkeys(shape for shape, _, _ in rows):
        large = [found for shape, count, found in rows if shape == name and count >= LEAST]
        if len(large) > 1:
            search, stages = exponent(large, STAGES[-2:-1]), exponent(large, STAGES[:-1])
            text += f"| {name} | {search:.2f} | {stages:.2f} |\n"
    return text


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--board", default="ulx3s-85f")
    parser.add_argument("--operators", type=int, nargs="*", default=OPERATORS)
    parser.add_argument("--shape", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    rows = []
    for shape in args.shape:
        for count in args.operators:
            network = Network()
            output = SHAPES[shape](network, count)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "net.onnx")
                network.save(output, path)
                rows.append((shape, network.operators, measured(path, args.board)))
            print(*rows[-1], file=sys.stderr, flush=True)
    text = page(" ".join(["python bench/planning.py", *sys.argv[1:]]), args.board, rows)
    if args.output:
        args.output.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
