"""The resource model against yosys: predicted and synthesised counts of the core alone.

    python bench/resources.py [-o docs/resources.md]

Each row compiles the digits network on a pinned engine and synthesises ``weft_top`` for ECP5 with
all its ports, so that no memory becomes a constant.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from weft.boards.families.lookup import FAMILIES
from weft.boards.synth_report import read_stat
from weft.boards.toolchain import find_tool, run
from weft.gen.build_dir import CELLS
from weft.gen.hardware import verilog_text
from weft.mapper.build import build
from weft.mapper.plan import Engine, Style, Styles
from weft.mapper.resources import predict
from weft.mapper.target import Target
from weft.nn.importer import import_model

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "digits" / "digits.onnx"


@dataclass(frozen=True)
class Row:
    """One engine."""

    lanes: int
    columns: int
    array_requant: int
    vector_requant: int
    taps: int = 1
    array: Style = Style.DSP
    other: Style = Style.DSP

    def engine(self) -> Engine:
        """As the mapper takes it."""
        return Engine(
            lanes=self.lanes,
            columns=self.columns,
            array_requant=self.array_requant,
            vector_requant=self.vector_requant,
            vector_taps=self.taps,
            styles=Styles(array=self.array, vector=self.other, requant=self.other),
        )


P, L = Style.PACKED, Style.LUT
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
)
NAMES = ("lut", "ff", "dsp", "bram")


def synthesised(row: Row, folder: Path) -> dict[str, int]:
    """Counts of yosys for the engine that a row describes."""
    graph = import_model(MODEL)
    target = Target(name="any", family="ecp5", lut=1, ff=1, dsp=1, bram=1, clock_hz=1.0)
    plan = build(graph, target, row.engine(), 2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.v").write_text(verilog_text(plan, baked=False))
    for cell in sorted(CELLS.glob("*.v")):
        vendor = CELLS.parent / "ecp5" / cell.name
        chosen = vendor if vendor.is_file() else cell
        (folder / cell.name).write_text(chosen.read_text())
    script = [f"read_verilog -sv {path.name}" for path in sorted(folder.glob("*.v"))]
    script += ["synth_ecp5 -top weft_top -no-rw-check", "tee -q -o stat.json stat -json"]
    (folder / "run.ys").write_text("\n".join(script) + "\n")
    run(find_tool("yosys"), ["run.ys"], cwd=folder, log="yosys.log", timeout=3600)
    resources = read_stat(folder / "stat.json", FAMILIES["ecp5"])
    needs = predict(plan.engine)
    result = {name: getattr(resources, name) for name in NAMES}
    result |= {f"predicted_{name}": getattr(needs, name) for name in NAMES}
    return result


def main() -> None:
    """Print the table; with -o write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "resources")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    lines = ["| K x N, R, T | array, rest | LUT | FF | DSP | RAM |", "|---|---|---|---|---|---|"]
    worst = dict.fromkeys(NAMES, 0.0)
    for i, row in enumerate(ROWS):
        counts = synthesised(row, args.builds / str(i))
        cells = []
        for name in NAMES:
            real, predicted = counts[name], counts[f"predicted_{name}"]
            error = (predicted - real) / max(1, real)
            worst[name] = max(worst[name], abs(error))
            cells.append(f"{predicted:,} / {real:,} ({100 * error:+.0f} %)")
        engine = (
            f"{row.lanes} x {row.columns}, {row.array_requant} + {row.vector_requant}, {row.taps}"
        )
        lines.append(
            f"| {engine} | {row.array.value}, {row.other.value} | " + " | ".join(cells) + " |"
        )
        print(lines[-1], flush=True)
    summary = ", ".join(f"{name} {100 * error:.0f} %" for name, error in worst.items())
    page = "# Resources: predicted / yosys\n\nMade by `python bench/resources.py`. "
    page += f"Largest errors: {summary}.\n\n" + "\n".join(lines) + "\n"
    print(page)
    if args.output:
        args.output.write_text(page)


if __name__ == "__main__":
    main()
