"""Who may import whom: the arrows of docs/architecture.md, read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Folder -> its own siblings it may import, and the outside modules it may import (None: any).
ARROWS: dict[str, tuple[set[str], set[str] | None]] = {
    # google.protobuf: what onnx raises for a bad file; tflite: the schema of such files, which are
    # flatbuffers
    "nn": (set(), {"numpy", "onnx", "google", "tflite", "flatbuffers"}),
    "machine": ({"nn"}, {"numpy"}),
    "engines": ({"nn", "machine"}, {"numpy"}),
    "mapper": ({"nn", "machine", "engines"}, {"numpy", "ortools"}),
    "hw": ({"machine"}, {"amaranth"}),
    "gen": ({"nn", "machine", "engines", "mapper", "hw"}, None),
    "sim_tb": ({"nn", "machine", "engines", "mapper", "hw", "gen"}, None),
    "boards": ({"nn", "machine", "engines", "mapper", "hw", "gen", "sim_tb"}, None),
    "report": ({"nn", "machine", "engines", "mapper", "hw", "gen", "sim_tb", "boards"}, None),
    # The package itself: the command line and ONNX's backend stand on all others.
    "weft": (
        {"nn", "machine", "engines", "mapper", "hw", "gen", "sim_tb", "boards", "report", "cli"},
        None,
    ),
}
TOP = "cli"  # of weft's own folder, and imported by nothing below
# What every folder may use: the version, and what imports nothing of ours but errors.
GROUND = {"", "__version__", "errors", "files", "limits", "value"}
# Sub-folder -> what it may import beyond its folder.
BEYOND = {
    "nn/quantise": {"onnxruntime"},  # calibration runs the float network
    "nn/compress": {"ortools"},  # bits of each layer by integer programming
}
# An engine's own hardware, which only its ``component`` imports: planning needs no Amaranth.
RTL = "rtl.py"


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted module of each import, inside functions as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(file: str, source: str) -> list[str]:
    """The imports of one file, given by its path below the root, that its folder may not have."""
    folder = file.split("/")[0]
    siblings, outside = ARROWS[folder]
    place, _, leaf = file.rpartition("/")
    beyond = BEYOND.get(place, set())
    if folder == "engines" and leaf == RTL:
        siblings, beyond = siblings | {"hw"}, {"amaranth"}
    found = []
    for module in imports(ast.parse(source)):
        package, _, rest = module.partition(".")
        name = rest.split(".")[0]
        if package == "weft" and name in {*ARROWS, TOP}:
            allowed = name == folder or name in siblings
        elif package == "weft":
            allowed = name in GROUND
        elif package in sys.stdlib_module_names:
            allowed = True
        else:
            allowed = package not in {"", *ARROWS} and (
                outside is None or package in outside | beyond
            )
        if not allowed:
            found.append(module)
    return found


@pytest.mark.parametrize("folder", ARROWS)
def test_folder_imports_only_what_it_may(root: Path, folder: str) -> None:
    files = sorted((root / folder).rglob("*.py"))
    assert files
    names = {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in files}
    assert {f: bad for f, source in names.items() if (bad := violations(f, source))} == {}


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("nn/a.py", "import numpy as np, onnx.helper, math\nfrom weft.nn import graph", []),
        ("nn/a.py", "import onnxruntime", ["onnxruntime"]),
        ("nn/quantise/a.py", "from onnxruntime import quantization\nimport numpy", []),
        ("nn/quantise/a.py", "import torch", ["torch"]),
        ("nn/a.py", "from weft import mapper", ["weft.mapper"]),
        ("mapper/a.py", "def f():\n    from amaranth.lib import wiring", ["amaranth.lib.wiring"]),
        ("machine/a.py", "import amaranth", ["amaranth"]),
        ("machine/a.py", "import weft.engines.kinds", ["weft.engines.kinds"]),
        ("engines/a/kind.py", "import weft.hw.array", ["weft.hw.array"]),
        ("engines/a/rtl.py", "import weft.hw.array, amaranth.hdl", []),
        ("hw/a.py", "import weft.engines.kinds", ["weft.engines.kinds"]),
        ("machine/a.py", "import weft.mapper", ["weft.mapper"]),
        ("hw/a.py", "from weft.machine.plan import Unit", []),
        ("hw/a.py", "from weft.nn.ir.graph import Conv", ["weft.nn.ir.graph.Conv"]),
        ("hw/sub/a.py", "from weft.hw.array import Array", []),
        ("gen/a.py", "from ..hw import array", ["..hw.array"]),
        ("gen/a.py", "import hw.array", ["hw.array"]),
        ("gen/a.py", "def f():\n    import weft.boards", ["weft.boards"]),
        ("weft/cli/main.py", "import weft.boards.synth\nfrom weft.cli import check", []),
        ("boards/a.py", "from weft.cli.main import main", ["weft.cli.main.main"]),
        ("gen/a.py", "from weft import __version__", []),
        ("gen/a.py", "import weft.gne", ["weft.gne"]),
        ("sim_tb/a.py", "import cocotb, weft.gen.data", []),
        ("sim_tb/a.py", "import weft.boards", ["weft.boards"]),
        ("boards/a.py", "import weft.sim_tb", []),
    ],
)
def test_violations_are_seen(file: str, source: str, expected: list[str]) -> None:
    assert violations(file, source) == expected
