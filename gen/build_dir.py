"""The build directory: everything that was generated for one network and board."""

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import weft
from weft.engines.kinds import read_plan
from weft.errors import ConfigError
from weft.files import read_object
from weft.gen import fusesoc, hardware, soc
from weft.gen.build_check import check_graph, check_manifest, check_pair
from weft.gen.c_header import header
from weft.gen.drafts import NEW, draft_folder
from weft.gen.locks import using
from weft.gen.output import put_folder
from weft.gen.rebuild import MANIFEST, take_over
from weft.gen.report import prediction
from weft.machine import encode
from weft.machine.plan import Plan
from weft.nn.ir.graph import Graph

CELLS = Path(__file__).parent.parent / "hw" / "cells" / "generic"
TOOLS = ("amaranth", "numpy", "onnx", "ortools")
"""Packages whose version decides what is generated."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """A build directory that was read back."""

    folder: Path
    graph: Graph
    plan: Plan
    manifest: dict[str, Any]

    @property
    def sources(self) -> list[Path]:
        """Its Verilog files."""
        return [self.folder / name for name in self.manifest["sources"]]

    @property
    def files(self) -> list[Path]:
        """All that the manifest lists, and the manifest."""
        return [self.folder / name for name in (MANIFEST, *self.manifest["files"])]


def write_build(
    folder: Path,
    graph: Graph,
    plan: Plan,
    board: dict[str, Any],
    *,
    fixed: bool = False,
    finish: Callable[[Build], None] = lambda build: None,
) -> list[str]:
    """Write a build directory, all or nothing, in the place of an earlier build of that name.

    What stays of that one is said in ``rebuild``; returns the lines that the user has to read.
    board: the whole board file, as plain data. fixed: neither link nor bus can write the memory
    images. finish: adds to the build, which is in place and complete by then. Raises ConfigError
    when ``folder`` is there and is not a build directory, is in use, or cannot be written, or when
    a fixed network would have to be uploaded.
    """
    check_folder(folder)
    if fixed and plan.engine.has_store:
        raise ConfigError(
            f"{plan.network} cannot be fixed on {plan.target.name}: its large memories have no "
            "initial contents, so that a host must write the network; leave out --fixed"
        )
    manifest = _manifest(plan, board)
    if fixed:
        manifest["image_limits"] = [0] * len(manifest["image_limits"])
    place = folder.resolve()  # "." and links have no name of their own
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with using(folder, alone=True), draft_folder(place.parent) as holder:
            draft = holder / NEW
            draft.mkdir()
            _fill(draft, graph, plan, manifest)
            lines = take_over(place, draft, _checksum) if place.exists() else []
            put_folder(draft, place)
            written = read_object(place / MANIFEST)
            finish(Build(folder=place, graph=graph, plan=plan, manifest=written))
    except FileExistsError as error:
        what = "was made by another command meanwhile" if place.is_dir() else "cannot be written"
        raise ConfigError(f"{folder} {what}: {error.strerror}") from error
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
    return lines


def check_folder(folder: Path) -> None:
    """Raise ConfigError unless ``folder`` is free, empty or an earlier build, and not in use."""
    if folder.is_dir():
        with using(folder, alone=True):
            pass
        if any(folder.iterdir()) and not _is_build(folder):
            raise ConfigError(
                f"{folder} is not empty and not a build directory; choose another one with -o"
            )
    elif folder.exists():
        raise ConfigError(f"{folder} is a file; choose another build directory with -o")


def _is_build(folder: Path) -> bool:
    """Whether weft wrote it: other programs have a manifest.json, too."""
    try:
        return "plan_hash" in read_object(folder / MANIFEST)
    except ConfigError:
        return False


def _fill(folder: Path, graph: Graph, plan: Plan, manifest: dict[str, Any]) -> None:
    for name in ("rtl/cells", hardware.IMAGE_DIR):
        (folder / name).mkdir(parents=True)
    (folder / "graph.json").write_text(_json(graph.to_json()))
    (folder / "plan.json").write_text(_json(plan.to_json()))
    for name, text in encode.hex_files(plan):
        (folder / hardware.IMAGE_DIR / name).write_text(text)
    (folder / "rtl" / f"{hardware.TOP}.v").write_text(hardware.verilog_text(plan))
    _write_soc(folder, graph, plan, manifest)
    for cell in sorted(CELLS.glob("*.v")):
        shutil.copyfile(cell, folder / "rtl" / "cells" / cell.name)
    (folder / "report.json").write_text(_json({"prediction": prediction(plan)}))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): _checksum(path) for path in files}
    (folder / MANIFEST).write_text(_json(manifest | {"files": sums}))


def _write_soc(folder: Path, graph: Graph, plan: Plan, manifest: dict[str, Any]) -> None:
    """What docs/integration.md describes: for those who put the core into a design of their own."""
    params = soc.bus_params(plan, manifest)
    records = encode.upload_records(plan)
    (folder / "rtl" / f"{soc.TOP}.v").write_text(soc.soc_verilog(params))
    (folder / "weft.h").write_text(header(graph, plan, params))
    hex_files = sorted(path.name for path in (folder / hardware.IMAGE_DIR).glob("*.hex"))
    names = [f"{hardware.IMAGE_DIR}/{name}" for name in hex_files]
    (folder / "weft.core").write_text(fusesoc.core_file(plan.network, manifest["sources"], names))
    (folder / hardware.IMAGE_DIR / encode.UPLOAD_FILE).write_bytes(records)


def _manifest(plan: Plan, board: dict[str, Any]) -> dict[str, Any]:
    sources = [hardware.TOP, *(f"cells/{cell.stem}" for cell in sorted(CELLS.glob("*.v")))]
    return {
        "weft": weft.__version__,
        "network": plan.network,
        "plan_hash": plan_hash(plan),
        "top": hardware.TOP,
        "lanes": plan.engine.lanes,
        "input_words": plan.inputs.words,
        "output_words": plan.outputs.words,
        "image_memories": encode.image_memories(plan),  # by their numbers
        "image_limits": encode.image_limits(plan),
        "upload": plan.engine.has_store,  # no bitstream holds the store: the host writes it
        "inputs": [_port(port) for port in plan.inputs.ports],
        "outputs": [_port(port) for port in plan.outputs.ports],
        "board": plan.target.name,
        "board_file": board,
        "sources": [f"rtl/{name}.v" for name in sources],
        "soc": {"top": soc.TOP, "sources": [f"rtl/{soc.TOP}.v"], "header": "weft.h"},
        "tools": {name: importlib.metadata.version(name) for name in TOOLS},
    }


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _port(port: Any) -> dict[str, Any]:
    return {
        "name": port.edge.name,
        "shape": list(port.edge.shape),
        "dtype": port.edge.dtype,
        "stored_shape": list(port.shape),
        "word": port.offset,
    }


def plan_hash(plan: Plan) -> str:
    """SHA-256 of the plan, by which a host recognises the design it talks to."""
    return hashlib.sha256(_json(plan.to_json()).encode()).hexdigest()


def read_build(folder: Path) -> Build:
    """Read a build directory back. Raises ConfigError naming the file that is wrong."""
    if not (folder / MANIFEST).is_file():
        raise ConfigError(
            f"{folder} is not a build directory: it has no {MANIFEST}; "
            f"make one with `weft compile MODEL.onnx --board NAME -o {folder}`"
        )
    manifest = read_object(folder / MANIFEST)
    sums = manifest.get("files")
    if not isinstance(sums, dict) or not isinstance(manifest.get("sources"), list):
        raise ConfigError(
            f"{folder / MANIFEST} is not a manifest of weft {weft.__version__}; "
            "compile the model again"
        )
    with _expected(folder / "graph.json", "a graph"):
        graph = Graph.from_json(_read_sound(folder / "graph.json", sums))
        check_graph(graph)
    with _expected(folder / "plan.json", "a plan"):
        plan = read_plan(_read_sound(folder / "plan.json", sums))
        check_pair(graph, plan)
        derived = _manifest(plan, {})
    with _expected(folder / MANIFEST, "the manifest"):
        check_manifest(manifest, derived)
    return Build(folder=folder, graph=graph, plan=plan, manifest=manifest)


def _read_sound(path: Path, sums: dict[str, Any]) -> dict[str, Any]:
    """A JSON file's contents, unless it was changed after it was written."""
    data = read_object(path)
    if sums.get(path.name) != _checksum(path):
        raise ConfigError(
            f"{path} was changed after it was written (its checksum differs from the "
            "manifest's); compile the model again"
        )
    return data


@contextmanager
def _expected(path: Path, what: str) -> Iterator[None]:
    """Say of a ValueError which file is not what it should be."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(
            f"{path} is not {what} of weft {weft.__version__} ({error!s:.500}); compile "
            "the model again"
        ) from error


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"
