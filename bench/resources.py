"""The resource model against yosys: predicted and synthesised counts of the core alone.

    python bench/resources.py [--family NAME] [-o docs/resources.md]
    python bench/resources.py --fit NAME [--write]

Each row plans the digits network on a pinned engine and synthesises ``weft_top`` with all its
ports, so that no memory becomes a constant. Counts are kept in ``bench/resources.json``: rows whose
sources have not changed since are not synthesised again. A new family gets rows in ``ROWS``.

--fit finds the costs of a family's parts, ``machine/costs/NAME.json``, from the counts, by least
squares without negative costs. A family has fewer rows than parts, so its costs are drawn to those
of ECP5 and iCE40: a row counts as known to 1 %, those costs as known to 30 %. It prints how far
the rows are off before and after; --write replaces the table. See docs/resources.md for why the
tables of the present families are by hand.
"""

import argparse
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weft.boards.board import Device
from weft.boards.families.lookup import FAMILIES
from weft.boards.synth_report import read_stat
from weft.boards.toolchain import RunError, find_tool, run
from weft.engines.compact.spec import CompactSpec
from weft.engines.kinds import kind_of
from weft.engines.overlapped.spec import OverlappedSpec
from weft.gen.build_dir import CELLS
from weft.gen.hardware import verilog_text
from weft.machine import family as facts
from weft.machine.engine import Engine, Memories, Style, Styles
from weft.machine.parts import Parts
from weft.machine.plan import Plan
from weft.machine.target import Target
from weft.mapper.build import build
from weft.mapper.resources import predict_for
from weft.nn.ir.graph import Graph
from weft.nn.onnx.importer import import_model

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "digits" / "digits.onnx"
KEPT = ROOT / "bench" / "resources.json"
ANCHORS = ("ecp5", "ice40")
ROW_ERROR, COST_ERROR = 0.01, 0.3
"""How well a row, and a cost of the anchors, is known; of the latter as a share of itself."""
Counts = dict[str, Any]
"""Of yosys: the checksum of its input ("sources") and the number of each of ``NAMES``."""
Cost = dict[str, Any]
"""Of one part: LUTs ("lut"), flip-flops ("ff"), and where these figures come from ("source")."""
NAMES: tuple[str, ...] = ("lut", "ff", "dsp", "bram")
DEEP = Memories(act=(4096, 4096), weight=4096, vector=64, param=(64, 64), program=256)
NOTE = """\
A kind of engine counts its parts (`mapper/*_parts.py`), a device family has a cost for each
(`machine/costs`), each with its source. The costs of ECP5 and iCE40 are by hand. A fit to the
rows (`--fit NAME`) has smaller errors (worst LUTs and flip-flops on ECP5 4.4 % and 1.6 %, on
iCE40 0.5 % and 0.5 % with more costs than rows), but moves predictions by more than 1 %, and its
rows differ in less than the engines that are tried (one network, one accumulator's width). Gowin
has rows of its own since these showed that its multipliers of LUTs are twice ECP5's and that deep
memories cost no LUTs; its other costs are those of ECP5 and iCE40. Its fit
has worst errors of 3.9 % and 1.3 %. A fit to eight of the rows chose another engine for digits on a
Tang Nano 20K, with 57.0 % of the flip-flops in use, which nobody has placed; what all rows choose
was not tried."""
DEVICES = {"ecp5": "LFE5U-85F", "ice40": "UP5K", "gowin": "GW2AR-18C"}
"""What yosys' command is for."""


@functools.cache
def digits() -> Graph:
    """The network of all rows."""
    return import_model(MODEL)


@dataclass(frozen=True)
class Row:
    """One engine; a compact one has one result per cycle and one tap."""

    lanes: int
    columns: int
    array_requant: int = 1
    vector_requant: int = 1
    taps: int = 1
    array: Style = Style.DSP
    other: Style = Style.DSP
    compact: bool = False
    large: bool = False  # activations and images in large single-ported memories
    deep: bool = False  # larger memories than the network needs
    weight_bits: int = 8
    family: str = "ecp5"

    def __str__(self) -> str:
        engine = f"{self.lanes} x {self.columns}"
        requant = f", {self.array_requant} + {self.vector_requant}, {self.taps}"
        engine += ", compact" if self.compact else requant
        wide = f", {self.weight_bits} bits" if self.weight_bits != 8 else ""
        return engine + ", SPRAM" * self.large + ", deep" * self.deep + wide

    @property
    def cells(self) -> list[str]:
        """What names the row: of the page, and of the kept counts."""
        return [str(self), self.family, f"{self.array.value}, {self.other.value}"]

    @property
    def target(self) -> Target:
        """A device without limits."""
        return Target(name="any", family=self.family, lut=1, ff=1, dsp=1, bram=1, clock_hz=1.0)

    def engine(self) -> Engine:
        """As the mapper takes it."""
        dual = self.other is Style.DUAL
        styles = Styles(
            array=self.array, vector=self.other, requant=Style.DSP if dual else self.other
        )
        if self.compact:
            return CompactSpec(
                lanes=self.lanes,
                columns=self.columns,
                single_port=self.large,
                streamed=self.large,
                styles=styles,
            )
        return OverlappedSpec(
            lanes=self.lanes,
            columns=self.columns,
            array_requant=self.array_requant,
            vector_requant=self.vector_requant,
            vector_taps=self.taps,
            styles=styles,
        )

    def plan(self) -> Plan:
        """The network on this engine; its sizes are then those that the row asks for."""
        made = build(digits(), self.target, self.engine(), 2)
        memories = DEEP if self.deep else made.engine.memories
        engine = made.engine.replace(memories=memories, weight_bits=self.weight_bits)
        return made.replace(engines=(engine,))


P, L, D = Style.PACKED, Style.LUT, Style.DUAL
ROWS = (
    Row(2, 2, 1, 1),
    Row(4, 4, 1, 1),
    Row(4, 4, 2, 2),
    Row(4, 4, 1, 1, other=L),
    Row(8, 2, 2, 2),
    Row(2, 8, 2, 1),
    Row(8, 4, 2, 2, taps=3, other=L),
    Row(8, 8, 2, 4, other=L),
    Row(8, 8, 4, 4, taps=3, array=P),
    Row(4, 8, 4, 2, array=P, other=L),
    Row(16, 4, 4, 4, taps=3),
    Row(16, 8, 4, 4, other=L),
    Row(16, 16, 4, 4, taps=3, array=P, other=L),
    Row(1, 2, array=L, other=L, compact=True, family="ice40"),
    Row(2, 4, array=D, other=D, compact=True, family="ice40"),
    Row(2, 6, array=D, other=D, compact=True, large=True, family="ice40"),
    Row(2, 8, array=D, other=L, compact=True, large=True, family="ice40"),
    Row(4, 3, array=D, other=D, compact=True, family="ice40"),
    Row(2, 4, compact=True, family="gowin"),
    Row(4, 8, compact=True, family="gowin"),
    Row(2, 4, array=L, other=L, compact=True, family="gowin"),
    Row(2, 4, compact=True, deep=True, family="gowin"),
    Row(2, 2, family="gowin"),
    Row(4, 4, family="gowin"),
    Row(4, 4, deep=True, family="gowin"),
    Row(8, 2, 2, 2, family="gowin"),
    Row(4, 4, 2, 2, taps=3, other=L, family="gowin"),
    Row(8, 8, family="gowin"),
)


def kept_counts() -> dict[str, Counts]:
    """What yosys counted for each row, by the row's name."""
    return json.loads(KEPT.read_text()) if KEPT.is_file() else {}


def key(row: Row) -> str:
    """A row's name among the kept counts."""
    return " | ".join(row.cells)


def synthesised(row: Row, plan: Plan, folder: Path, kept: Counts) -> Counts:
    """Counts of yosys, and the checksum of its input; those kept if that is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.v").write_text(verilog_text(plan, baked=False))
    for cell in sorted(CELLS.glob("*.v")):
        vendor = CELLS.parent / row.family / cell.name
        chosen = vendor if vendor.is_file() else cell
        (folder / cell.name).write_text(chosen.read_text())
    sources = sorted(folder.glob("*.v"))
    script = [f"read_verilog -sv {path.name}" for path in sources]
    device = Device(family=row.family, name=DEVICES[row.family], package="", speed="")
    script.append(FAMILIES[row.family].synth_command(device, "weft_top", "netlist.json"))
    script.append("tee -q -o stat.json stat -json")
    (folder / "run.ys").write_text("\n".join(script) + "\n")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, folder / "run.ys"]))
    if kept.get("sources") == digest.hexdigest():
        return kept
    arguments = ["-q", "-l", "yosys.log", "-s", "run.ys"]
    run(find_tool("yosys"), arguments, cwd=folder, log="yosys.out", timeout=3600)
    found = read_stat(folder / "stat.json", FAMILIES[row.family])
    return {"sources": digest.hexdigest(), **{name: getattr(found, name) for name in NAMES}}


def measure(rows: list[Row], builds: Path) -> None:
    """Synthesise the rows whose counts are not kept yet, or whose sources have changed."""
    for row in rows:
        name = key(row)
        folder = builds / hashlib.sha256(name.encode()).hexdigest()[:8]
        try:
            counts = synthesised(row, row.plan(), folder, kept_counts().get(name, {}))
        except RunError as error:
            print(error)
            counts = {"failed": str(error).splitlines()[0]}
        print(name, *(f"{unit} {counts.get(unit)}" for unit in NAMES), flush=True)
        kept = {**kept_counts(), name: counts}
        KEPT.write_text(
            json.dumps({k: kept[k] for k in map(key, ROWS) if k in kept}, indent=1) + "\n"
        )


def page(rows: list[Row]) -> str:
    """Predicted and kept counts of rows, with the largest error of each resource by family."""
    lines = ["| K x N, R, T | family | array, rest | LUT | FF | DSP | RAM |", "|---" * 7 + "|"]
    worst: dict[str, dict[str, float]] = {}
    for row in rows:
        counts, cells = kept_counts()[key(row)], row.cells
        if "failed" in counts:
            lines.append("| " + " | ".join([*cells, *["yosys failed"] * len(NAMES)]) + " |")
            continue
        needs = predict_for(row.target, row.plan().engine)
        family = worst.setdefault(row.family, dict.fromkeys(NAMES, 0.0))
        for name in NAMES:
            real, predicted = counts[name], getattr(needs, name)
            error = (predicted - real) / max(1, real)
            family[name] = max(family[name], abs(error))
            cells.append(f"{predicted:,} / {real:,} ({100 * error:+.0f} %)")
        lines.append("| " + " | ".join(cells) + " |")
    sums = [
        f"{family}: " + ", ".join(f"{name} {100 * error:.0f} %" for name, error in errors.items())
        for family, errors in worst.items()
    ]
    made = f"Made by `python bench/resources.py`. Largest errors: {'; '.join(sums)}."
    return "\n\n".join(["# Resources: predicted / yosys", made, NOTE, "\n".join(lines)]) + "\n"


def parts_of(row: Row) -> Parts:
    """What the row's engine is made of."""
    engine = row.plan().engine
    return kind_of(engine).parts(engine)


def fit(name: str, *, write: bool) -> None:
    """Print a family's fitted costs, and how far its rows are off before and after."""
    family, kept = facts.FAMILIES[name], kept_counts()
    rows = [row for row in ROWS if row.family == name]
    counts = [family.counts(parts_of(row)) for row in rows]
    start = {part: cost for anchor in ANCHORS for part, cost in table(anchor).items()}
    if name in ANCHORS:
        start |= table(name)  # of others not: a second fit would begin at the first
    parts = [part for part in start if any(part in count for count in counts)]
    matrix = np.array([[count.get(part, 0) for part in parts] for count in counts])
    costs: dict[str, Cost] = {part: {} for part in start}
    for resource in ("lut", "ff"):
        real = np.array([float(kept[key(row)][resource]) for row in rows])
        guess = np.array([float(start[part].get(resource, 0)) for part in parts])
        found = fitted(matrix, real, guess)
        for title, used in (("before", guess), ("after", found)):
            errors = 100 * (matrix @ used / real - 1)
            print(f"{name} {resource} {title}: {np.abs(errors).max():.1f} % at worst:", end="")
            print(*(f"{error:+.1f}" for error in errors))
        values = {part: cost.get(resource, 0) for part, cost in start.items()}
        for part, value in (values | dict(zip(parts, found.tolist(), strict=True))).items():
            if value:
                costs[part][resource] = float(f"{value:.4g}")
    for part, cost in costs.items():
        cost["source"] = "fitted" if part in parts else "in no row: as in other families"
    made = f"python bench/resources.py --fit {name} --write: {len(rows)} rows"
    text = table_text(made, costs)
    print(text)
    if write:
        (facts.COSTS / f"{name}.json").write_text(text)


def fitted(matrix: np.ndarray, real: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Costs of parts: rows of counts, what these cost in all, costs to start from. A part that
    costs nothing elsewhere costs nothing here."""
    from scipy.optimize import nnls  # of the extra `dev`

    known = guess > 0
    pull = ROW_ERROR / COST_ERROR
    left = np.vstack([matrix[:, known] / real[:, None], pull * np.diag(1 / guess[known])])
    right = np.concatenate([np.ones(len(real)), np.full(known.sum(), pull)])
    found = np.zeros(len(guess))
    found[known] = nnls(left, right)[0]
    return found


def table(name: str) -> dict[str, Cost]:
    """A family's costs."""
    return json.loads((facts.COSTS / f"{name}.json").read_text())["parts"]


def table_text(made: str, costs: dict[str, Cost]) -> str:
    """A family's file, a part to a line."""
    lines = ",\n".join(f"  {json.dumps(part)}: {json.dumps(cost)}" for part, cost in costs.items())
    return f'{{\n "made": {json.dumps(made)},\n "parts": {{\n{lines}\n }}\n}}\n'


def main() -> None:
    """Measure, fit, print the table; with -o write it into a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "resources")
    parser.add_argument("--family", choices=list(FAMILIES), help="its rows only")
    parser.add_argument("--fit", choices=list(FAMILIES), help="a family's costs to its rows")
    parser.add_argument("--write", action="store_true", help="keep what --fit finds")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    chosen = args.fit or args.family
    rows = [row for row in ROWS if chosen in (None, row.family)]
    measure(rows, args.builds)
    if args.fit:
        fit(args.fit, write=args.write)
    text = page(rows)
    print(text)
    if args.output:
        args.output.write_text(text)


if __name__ == "__main__":
    main()
