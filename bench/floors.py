"""How the files build on each other: floors, circles, and pairs of files that import each other.

A file that imports none of ours stands on floor 1, any other one floor above the highest file that
it imports. `make lint` runs this over the tree; it fails where files import each other in a circle.

    python bench/floors.py            # the table, by folder
    python bench/floors.py --files    # every file with its floor
    python bench/floors.py --tree DIR # of another checkout
"""

import argparse
import ast
import graphlib
from collections.abc import Mapping
from pathlib import Path

FOLDERS = ("nn", "machine", "engines", "mapper", "hw", "gen", "sim_tb", "boards", "report", "weft")

Imports = Mapping[str, set[str]]
"""For each file, by its dotted name below the root, the files of ours that it imports."""


def files(root: Path) -> dict[str, Path]:
    """Every file by its dotted name; what weft/ only links to is found in its own folder."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[0] == "weft" and parts[1] in FOLDERS:
                continue
            if parts[-1] != "__init__":
                found[".".join(parts if parts[0] == "weft" else ("weft", *parts))] = path
    return found


def imports(root: Path) -> dict[str, set[str]]:
    """The imports between files, those in functions and for type checks included."""
    known = files(root)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        read = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                read |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            elif isinstance(node, ast.Import):
                read |= {alias.name for alias in node.names}
        found[name] = {item for item in read if item in known} - {name}
    return found


def circles(graph: Imports) -> list[tuple[str, ...]]:
    """The circles of imports, each once, as far as they have no file in common."""
    left = {name: set(read) for name, read in graph.items()}
    found = []
    while True:
        try:
            graphlib.TopologicalSorter(left).prepare()
        except graphlib.CycleError as error:
            ring = tuple(error.args[1][:-1])
            found.append(ring)
            left = {n: read - set(ring) for n, read in left.items() if n not in ring}
        else:
            return found


def floors(graph: Imports) -> dict[str, int]:
    """The floor of every file; files of a circle are taken as if they did not import each other."""
    rings = [set(ring) for ring in circles(graph)]
    cut = {
        name: {item for item in read if not any({name, item} <= ring for ring in rings)}
        for name, read in graph.items()
    }
    height: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(cut).static_order():
        height[name] = 1 + max((height[item] for item in cut[name]), default=0)
    return height


def by_folder(height: Mapping[str, int]) -> dict[str, list[int]]:
    """The floors of each top folder's files."""
    found: dict[str, list[int]] = {}
    for name, floor in height.items():
        found.setdefault(name.split(".")[1], []).append(floor)
    return found


def within(graph: Imports, folder: str) -> dict[str, set[str]]:
    """The imports between the files of one top folder."""
    names = {name for name in graph if name.split(".")[1] == folder}
    return {name: graph[name] & names for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", action="store_true", help="every file with its floor")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parent.parent)
    args = parser.parse_args()
    graph = imports(args.tree)
    height = floors(graph)
    if args.files:
        for name, floor in sorted(height.items(), key=lambda item: (item[1], item[0])):
            print(f"{floor:3} {name}")
    print("folder    files  floors  of its own")
    for folder, found in by_folder(height).items():
        own = max(floors(within(graph, folder)).values())
        print(f"{folder:10}{len(found):5}{max(found):8}{own:12}")
    pairs = [(a, b) for a in sorted(graph) for b in sorted(graph[a]) if a < b and a in graph[b]]
    rings = circles(graph)
    print(f"files that import each other: {2 * len(pairs)}; circles: {len(rings)}")
    for ring in rings:
        print("  " + " -> ".join(ring))
    return 1 if rings else 0


if __name__ == "__main__":
    raise SystemExit(main())
