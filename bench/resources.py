"""The resource model against yosys: predicted and synthesised counts of the core alone.

    python bench/resources.py [-o docs/resources.md]

Each row plans the digits network on a pinned engine and synthesises ``weft_top`` with all its
ports, so that no memory becomes a constant. Rows whose sources
have not changed since the last run are not synthesised again.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from weft.boards.families.lookup import FAMILIES
from weft.boards.synth_report import read_stat
from weft.boards.toolchain import RunError, find_tool, run
from weft.gen.build_dir import CELLS
from weft.gen.hardware import verilog_text
from weft.machine.engine import Engine, Style, Styles
from weft.machine.target import Target
from weft.mapper.build import build
from weft.mapper.resources import predict_for
from weft.nn.onnx.importer import import_model

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "digits" / "digits.onnx"


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
    family: str = "ecp5"

    def __str__(self) -> str:
        engine = f"{self.lanes} x {self.columns}"
        if self.compact:
            return engine + ", compact" + ", SPRAM" * self.large
        return f"{engine}, {self.array_requant} + {self.vector_requant}, {self.taps}"

    def engine(self) -> Engine:
        """As the mapper takes it."""
        dual = self.other is Style.DUAL
        return Engine(
            lanes=self.lanes,
            columns=self.columns,
            array_requant=self.array_requant,
            vector_requant=self.vector_requant,
            vector_taps=self.taps,
            compact=self.compact,
            single_port=self.large,
            streamed=self.large,
            styles=Styles(
                array=self.array,
                vector=self.other,
                requant=Style.DSP if dual else self.other,
            ),
        )


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
    Row(1, 2, array=L, other=L, compact=True, family="ice40"),
    Row(2, 4, array=D, other=D, compact=True, family="ice40"),
    Row(2, 6, array=D, other=D, compact=True, large=True, family="ice40"),
    Row(2, 8, array=D, other=L, compact=True, large=True, family="ice40"),
    Row(4, 3, array=D, other=D, compact=True, family="ice40"),
    Row(2, 4, compact=True, family="gowin"),
    Row(4, 8, compact=True, family="gowin"),
    Row(4, 4, family="gowin"),
    Row(8, 8, family="gowin"),
    Row(16, 8, 4, 4, other=L),
    Row(16, 16, 4, 4, taps=3, array=P, other=L),
)
NAMES = ("lut", "ff", "dsp", "bram")


SCRIPTS = {
    "ecp5": "synth_ecp5 -top weft_top -no-rw-check",
    "ice40": "synth_ice40 -top weft_top -device u -no-rw-check",
    "gowin": "synth_gowin -top weft_top -family gw2a -no-rw-check",
}


def synthesised(row: Row, folder: Path) -> dict[str, int]:
    """Counts of yosys and of the model for the engine that a row describes."""
    graph = import_model(MODEL)
    target = Target(name="any", family=row.family, lut=1, ff=1, dsp=1, bram=1, clock_hz=1.0)
    plan = build(graph, target, row.engine(), 2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.v").write_text(verilog_text(plan, baked=False))
    for cell in sorted(CELLS.glob("*.v")):
        vendor = CELLS.parent / row.family / cell.name
        chosen = vendor if vendor.is_file() else cell
        (folder / cell.name).write_text(chosen.read_text())
    sources = sorted(folder.glob("*.v"))
    script = [f"read_verilog -sv {path.name}" for path in sources]
    script += [SCRIPTS[row.family], "tee -q -o stat.json stat -json"]
    (folder / "run.ys").write_text("\n".join(script) + "\n")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, folder / "run.ys"]))
    done = folder / "done.json"
    if not done.is_file() or json.loads(done.read_text()) != digest.hexdigest():
        arguments = ["-q", "-l", "yosys.log", "-s", "run.ys"]
        run(find_tool("yosys"), arguments, cwd=folder, log="yosys.out", timeout=3600)
        done.write_text(json.dumps(digest.hexdigest()))
    resources = read_stat(folder / "stat.json", FAMILIES[row.family])
    needs = predict_for(target, plan.engine)
    result = {name: getattr(resources, name) for name in NAMES}
    return result | {f"predicted_{name}": getattr(needs, name) for name in NAMES}


def main() -> None:
    """Print the table; with -o write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--builds", type=Path, default=ROOT / "build" / "resources")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    lines = ["| K x N, R, T | family | array, rest | LUT | FF | DSP | RAM |", "|---" * 7 + "|"]
    worst = dict.fromkeys(NAMES, 0.0)
    for i, row in enumerate(ROWS):
        styles = f"{row.array.value}, {row.other.value}"
        cells = [str(row), row.family, styles]
        try:
            counts = synthesised(row, args.builds / str(i))
        except RunError as error:
            print(error)
            lines.append("| " + " | ".join([*cells, *(["yosys failed"] * len(NAMES))]) + " |")
            continue
        for name in NAMES:
            real, predicted = counts[name], counts[f"predicted_{name}"]
            error = (predicted - real) / max(1, real)
            worst[name] = max(worst[name], abs(error))
            cells.append(f"{predicted:,} / {real:,} ({100 * error:+.0f} %)")
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    summary = ", ".join(f"{name} {100 * error:.0f} %" for name, error in worst.items())
    page = "# Resources: predicted / yosys\n\nMade by `python bench/resources.py`. "
    page += f"Largest errors: {summary}.\n\n" + "\n".join(lines) + "\n"
    print(page)
    if args.output:
        args.output.write_text(page)


if __name__ == "__main__":
    main()
