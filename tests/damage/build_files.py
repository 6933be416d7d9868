"""Builds whose graph, plan, manifest or report was changed, with a checksum that fits."""

import copy
import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests.damage import command

FILES = ("plan.json", "plan.json", "graph.json", "manifest.json", "manifest.json", "report.json")

NUMBERS = (-(1 << 63), -(1 << 31), -5, -1, 0, 1, 2, 3, 8, 255, 4095, 4096, 1 << 16, (1 << 31) - 1)
NUMBERS += (1 << 40, 1 << 62, 1 << 63, 10**30, 10**400)
ABSURD: tuple[Any, ...] = (
    *NUMBERS, *NUMBERS, math.nan, math.inf, -math.inf, 0.5, 1e-320, 1e300, 1e308, True, False, None,
    "", "x", "x" * 5000, "\ud800", "../../../etc/passwd", "/dev/zero", "\0", [], {}, [[]], [0],
    {"a": 1},
    [1] * 1000, {"_type": "Conv"}, {"_type": "Graph"}, {"dtype": "int64", "shape": [], "data": ""},
    {"dtype": "object", "shape": [1], "data": "AAAAAAAAAAA="},
)  # fmt: skip


def act(path: Path) -> str:
    """All commands that read a build, on the one that a case describes; the worst outcome."""
    case = json.loads(path.read_text())
    folder = path.with_suffix("")
    _unpack(Path(case["source"]), folder, case["name"], case["text"])
    out = str(path.with_suffix(".npz"))
    inputs = ["--inputs", str(folder / "inputs.npz")]
    try:
        results = [
            command.outcome(words)
            for words in (
                ["explain", str(folder)],
                ["reference", str(folder), *inputs, "-o", out],
                ["run", str(folder), *inputs, "--port", "/dev/null"],
                ["flash", str(folder), "--dry-run"],
                ["synth", str(folder), "--clock", "-1"],
            )
        ]
    finally:
        shutil.rmtree(folder)
    others = [text for text in results if text not in (command.DONE, command.REFUSED)]
    return others[0] if others else results[1]


def _unpack(source: Path, folder: Path, name: str, text: str) -> None:
    folder.mkdir()
    for item in source.iterdir():
        (folder / item.name).symlink_to(item)
    (folder / name).unlink()
    (folder / name).write_text(text)
    if name in ("manifest.json", "report.json"):
        return
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(text.encode()).hexdigest()
    if name == "plan.json":
        manifest["plan_hash"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def write(folder: Path, builds: list[Path], count: int, seed: int) -> list[Path]:
    """``count`` cases, builds and files in turn."""
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        source = builds[number % len(builds)]
        name = FILES[number // len(builds) % len(FILES)]
        data = json.loads((source / name).read_text())
        if name == "report.json":
            data["synthesis"] = {"timing": {"clock_mhz": 25.0}, "clock_mhz": 25.0}
        for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 5))):
            data = _changed(data, rng)
        text = json.dumps(data, indent=1) + "\n"
        if rng.random() < 0.05:
            text = _odd_text(text, rng)
        path = folder / f"case{number:05}.json"
        case = {"source": str(source), "name": name, "text": text}
        path.write_text(json.dumps(case))
        paths.append(path)
    return paths


def _odd_text(text: str, rng: np.random.Generator) -> str:
    match rng.integers(5):
        case 0:
            return text.replace(": 1,", ": " + "[" * 5000 + "]" * 5000 + ",", 1)
        case 1:
            return text.replace("{", '{"name": 1, "name": 2,', 1)
        case 2:
            return "[" * 200_000
        case 3:
            return text.replace(": 1,", ": 1" + "0" * 10_000 + ",", 1)
        case _:
            return "[" + "{}," * 2_000_000 + "0]"


def _changed(data: Any, rng: np.random.Generator) -> Any:
    """One thing somewhere replaced, left out, doubled, exchanged, or a little larger."""
    data = copy.deepcopy(data)
    holder, key = _somewhere(data, rng)
    if holder is None:
        return data
    item = holder[key]
    match rng.integers(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(int(rng.integers(len(holder) + 1)), copy.deepcopy(item))
        case 2:
            other, place = _somewhere(data, rng)
            if other is not None:
                holder[key] = copy.deepcopy(other[place])
        case 3 if isinstance(item, int | float) and not isinstance(item, bool):
            holder[key] = item * int(rng.choice([-1, 2, 10, 1000])) + int(rng.choice([-1, 0, 1]))
        case 4 if isinstance(item, int):
            holder[key] = item + int(rng.choice([-1, 1]))
        case _:
            holder[key] = ABSURD[rng.integers(len(ABSURD))]
    return data


def _somewhere(data: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A list or an object, and a place in it; ever deeper, or not."""
    holder, key = None, None
    while isinstance(data, dict | list) and data:
        if holder is not None and rng.random() < 0.1:
            break
        holder = data
        keys = list(data) if isinstance(data, dict) else range(len(data))
        key = keys[rng.integers(len(keys))]
        data = data[key]
    return holder, key
