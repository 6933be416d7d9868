"""The digits network on boards, up to a bitstream: resources, clock and tool times.

    python bench/boards.py [-o docs/boards.md] [--yosys-only] [BOARD ...]

Compiles and synthesises for each BOARD given, merges the results into bench/boards.json and makes
the table from everything in there; without a BOARD only the table. A board is a name or a file,
with further words for `weft compile` after colons: tang-nano-9k:--lanes:2:--columns:2
With --yosys-only the rows have resources, but no clock; they never replace a complete row.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from weft.boards.board import list_boards, load_board
from weft.boards.families.lookup import design_hz

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "digits" / "digits.onnx"
RESULTS = Path(__file__).with_suffix(".json")
HEAD = """# Boards

`weft boards` lists them with their budgets; each is one file in `boards/data`, which names the
source of every figure. [adding-a-board.md](adding-a-board.md) has the format. No bitstream has been
tried on hardware here.

{boards}

Clock: of the oscillator, and of a design unless `weft synth --clock` chooses another one.

## The digits network

Made by `python bench/boards.py {names}`: `weft compile` and `weft synth` without further
options, except where the table says so. Counts in brackets are the mapper's prediction: a model of
ECP5, and for Gowin a first estimate from it. LUTs are LUT4 equivalents of the whole design, the
core and the serial link, before placement; DSP counts 18 x 18 multipliers. MHz: nextpnr's timing
model, and the clock that the bitstream has. The model leaves Gowin's multipliers out. Tool
times are wall times on two shared cores, which other work slows down to a third or less. Rows that
are not placed stop after yosys (`--yosys-only`): no bitstream has been made of them yet.

| board | engine | cycles | LUT | FF | DSP | RAM | MHz (clock) | time | yosys | nextpnr | seeds |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
COUNTS = ("lut", "ff", "dsp", "bram")


def weft(command: str, *words: str) -> dict[str, Any]:
    """One command's JSON; what it logs goes to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "weft", command, *words, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"weft {command} {' '.join(words)}: exit code {done.returncode}")
    return json.loads(done.stdout)


def measured(board: str, options: list[str], folder: Path, synth: list[str]) -> dict[str, Any]:
    """One row: what was predicted, what came out."""
    plan = weft("compile", str(MODEL), "--board", board, "-o", str(folder), *options)
    report = weft("synth", str(folder), *synth)
    keys = ("lanes", "columns", "array_requant", "vector_requant", "cycles", *COUNTS)
    return {
        "options": options,
        "predicted": {key: plan[key] for key in keys},
        "synthesis": {key: value for key, value in report.items() if key != "board"},
    }


def stored() -> dict[str, Any]:
    """All rows so far, by board."""
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def row(board: str, result: dict[str, Any]) -> str:
    """A row of the table."""
    plan, report = result["predicted"], result["synthesis"]
    timing = report["timing"]
    counts = [f"{report[name]:,} ({plan[name]:,})" for name in COUNTS]
    placed = ("not placed", "", f"{report['yosys_seconds']:.0f} s", "", "")
    if timing:
        placed = (
            f"{timing['fmax_mhz']:.1f} ({timing['clock_mhz']:g})",
            f"{plan['cycles'] / timing['clock_mhz'] / 1000:.2f} ms",
            f"{report['yosys_seconds']:.0f} s",
            f"{report['pnr_seconds']:.0f} s",
            ", ".join(map(str, report["seeds"])),
        )
    cells = (
        board + "".join(f" `{word}`" for word in result["options"]),
        f"{plan['lanes']} x {plan['columns']}, {plan['array_requant']} + {plan['vector_requant']}",
        f"{plan['cycles']:,}",
        *counts,
        *placed,
    )
    return f"| {' | '.join(cells)} |"


def known_boards() -> str:
    """The table of the boards that come with weft."""
    lines = [
        "| board | device | LUT | FF | DSP | RAM | clock MHz | serial port | `weft flash` |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in list_boards():
        board = load_board(name)
        budget = board.budget
        counts = " | ".join(f"{getattr(budget, key):,}" for key in COUNTS)
        clock = f"{board.clock.hz / 1e6:g}, {design_hz(board) / 1e6:g}"
        lines.append(
            f"| {name} | {board.device.name} | {counts} | {clock} | {board.uart.via} | "
            f"{board.flash.command[0]}, into {board.flash.into} |"
        )
    return "\n".join(lines)


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    names = [":".join([board, *result["options"]]) for board, result in results.items()]
    text = HEAD.format(boards=known_boards(), names=" ".join(names))
    text += "".join(row(board, result) + "\n" for board, result in results.items())
    tools = sorted({tool for result in results.values() for tool in result["synthesis"]["tools"]})
    text += f"\nTools: {', '.join(tools)}.\n"
    timings = {board: result["synthesis"]["timing"] for board, result in results.items()}
    paths = [f"- {board}: {t['critical_path']}\n" for board, t in timings.items() if t]
    if paths:
        text += "\nCritical paths:\n\n" + "".join(paths)
    return text


def main() -> None:
    """Measure the boards given, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("boards", nargs="*", metavar="BOARD")
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "boards")
    parser.add_argument("--yosys-only", action="store_true", help="no place and route")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    synth = ["--yosys-only"] if args.yosys_only else []
    for words in args.boards:
        board, *options = words.split(":")
        made = measured(board, options, args.builds / Path(board).stem, synth)
        results = stored()  # read again: other boards may have been measured meanwhile
        if made["synthesis"]["timing"] or not results.get(board, made)["synthesis"]["timing"]:
            results[board] = made
            RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    text = page(stored())
    if args.output:
        args.output.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
