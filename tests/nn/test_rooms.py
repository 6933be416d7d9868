"""Which rooms of nn may import which: what an operator's file needs stands below it."""

import ast
from pathlib import Path

import pytest

# Room -> the rooms it may import, itself included where its files build on each other.
ROOMS: dict[str, set[str]] = {
    "ir": {"ir", "ir/ops"},
    "ir/ops": {"ir"},
    "passes": {"passes", "ir", "ir/ops"},
    "onnx/pending": {"onnx/pending", "onnx", "ir", "ir/ops"},
    "onnx/ops": {"onnx/pending", "onnx", "ir", "ir/ops"},
    "onnx": {"onnx", "onnx/ops", "onnx/pending", "forms", "passes", "ir", "ir/ops"},
    "forms": {"forms", "onnx", "onnx/ops", "onnx/pending", "ir", "ir/ops"},
    "quantise": {"quantise", "forms", "onnx", "ir", "ir/ops"},
    "compress": {"compress", "quantise", "forms", "onnx", "ir", "ir/ops"},
}


def rooms_read(source: str, root: Path) -> set[str]:
    """The rooms whose files a source imports."""
    found = set()
    for item in ast.walk(ast.parse(source)):
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith("weft.nn."):
            place = "/".join((item.module or "").split(".")[2:])
            is_room = (root / "nn" / place).is_dir()
            found.add(place if is_room else place.rpartition("/")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_it_may(root: Path, room: str) -> None:
    files = sorted((root / "nn" / room).glob("*.py"))
    assert files
    read = {file.name: rooms_read(file.read_text("utf-8"), root) for file in files}
    assert {name: rooms - ROOMS[room] for name, rooms in read.items() if rooms - ROOMS[room]} == {}


def test_every_folder_is_a_room(root: Path) -> None:
    found = {path.parent.relative_to(root / "nn").as_posix() for path in root.glob("nn/*/**/*.py")}
    assert found == set(ROOMS)
