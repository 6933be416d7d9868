"""The build directory: everything that was generated for one network and board."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import weft
from weft.gen import fusesoc, hardware, soc
from weft.gen.c_header import header
from weft.gen.report import prediction
from weft.machine import encode as images
from weft.machine.plan import Plan
from weft.nn.errors import ConfigError
from weft.nn.graph import Graph

CELLS = Path(__file__).parent.parent / "hw" / "cells" / "generic"
MANIFEST = "manifest.json"
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


def write_build(
    folder: Path, graph: Graph, plan: Plan, board: dict[str, Any], *, fixed: bool = False
) -> None:
    """Write a build directory, all or nothing; an earlier build of that name is replaced.

    board: the whole board file, as plain data. fixed: neither link nor bus can write the memory
    images. Raises ConfigError when ``folder`` is there and is not a build directory, or cannot be
    written, or when a fixed network would have to be uploaded.
    """
    check_folder(folder)
    if fixed and plan.engine.streamed:
        raise ConfigError(
            f"{plan.network} cannot be fixed on {plan.target.name}: its large memories have no "
            "initial contents, so that a host must write the network; leave out --fixed"
        )
    manifest = _manifest(plan, board)
    if fixed:
        manifest["image_limits"] = [0] * len(manifest["image_limits"])
    try:
        _write(folder.resolve(), graph, plan, manifest)  # "." and links have no name of their own
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error


def _write(folder: Path, graph: Graph, plan: Plan, manifest: dict[str, Any]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    draft, old = work / "new", work / "old"
    try:
        draft.mkdir()
        _fill(draft, graph, plan, manifest)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(draft, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_folder(folder: Path) -> None:
    """Raise ConfigError unless ``folder`` is free, empty or an earlier build."""
    if folder.is_dir():
        if any(folder.iterdir()) and not _is_build(folder):
            raise ConfigError(
                f"{folder} is not empty and not a build directory; choose another one with -o"
            )
    elif folder.exists():
        raise ConfigError(f"{folder} is a file; choose another build directory with -o")


def _is_build(folder: Path) -> bool:
    """Whether weft wrote it: other programs have a manifest.json, too."""
    try:
        return "plan_hash" in _load(folder / MANIFEST)
    except ConfigError:
        return False


def _fill(folder: Path, graph: Graph, plan: Plan, manifest: dict[str, Any]) -> None:
    for name in ("rtl/cells", hardware.IMAGE_DIR):
        (folder / name).mkdir(parents=True)
    (folder / "graph.json").write_text(_json(graph.to_json()))
    (folder / "plan.json").write_text(_json(plan.to_json()))
    for name, text in images.hex_files(plan):
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
    records = images.upload_records(plan)
    (folder / "rtl" / f"{soc.TOP}.v").write_text(soc.soc_verilog(params))
    (folder / "weft.h").write_text(header(graph, plan, params))
    hex_files = sorted(path.name for path in (folder / hardware.IMAGE_DIR).glob("*.hex"))
    names = [f"{hardware.IMAGE_DIR}/{name}" for name in hex_files]
    (folder / "weft.core").write_text(fusesoc.core_file(plan.network, manifest["sources"], names))
    (folder / hardware.IMAGE_DIR / images.UPLOAD_FILE).write_bytes(records)


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
        "image_limits": images.image_limits(plan),
        "upload": plan.engine.streamed,  # no bitstream holds the store: the host writes it
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
    manifest = _load(folder / MANIFEST)
    sums = manifest.get("files")
    if not isinstance(sums, dict) or not isinstance(manifest.get("sources"), list):
        raise ConfigError(
            f"{folder / MANIFEST} is not a manifest of weft {weft.__version__}; "
            "compile the model again"
        )
    values = []
    for name, kind in (("graph.json", Graph), ("plan.json", Plan)):
        data = _load(folder / name)
        try:
            values.append(kind.from_json(data))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{folder / name} is not a {kind.__name__.lower()} of weft {weft.__version__} "
                f"({error}); compile the model again"
            ) from error
        if sums.get(name) != _checksum(folder / name):
            raise ConfigError(
                f"{folder / name} was changed after it was written (its checksum differs from the "
                "manifest's); compile the model again"
            )
    return Build(folder=folder, graph=values[0], plan=values[1], manifest=manifest)


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; compile the model again") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a JSON object; compile the model again")
    return data


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"
