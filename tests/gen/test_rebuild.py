"""Compiling into an earlier build: what stays, what goes, what is said."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.gen.test_build_dir import BOARD, contents, graph, made, quick
from weft.errors import ConfigError
from weft.gen.build_dir import Build, read_build, write_build
from weft.machine.plan import Plan
from weft.nn.ir.graph import Graph

__all__ = ["graph", "made", "quick"]  # fixtures
DERIVED = (
    *("bitstream.bit", "synth/weft_top.json", "synth/yosys.log", "synth/nextpnr-1.log"),
    *("synth/cells/weft_mul.v", "sim/cache/0123/weft_tb", "sim/run/jobs.json", "sim/run-2/a"),
    *("sim/board_top.v", "sim/netlist.v"),
)
MINE = (
    *("thesis.txt", "bitstream.bit.backup", "synth/notes", "sim/wave.fst", "rtl/mine.v"),
    *("images/a.png", "deep/er/file", ".git/config"),
)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def folder(graph: Graph, made: Plan, tmp_path: Path) -> Path:
    """A build with bitstream, simulation and files of the user."""
    folder = tmp_path / "build"
    write_build(folder, graph, made, BOARD)
    for name in (*DERIVED, *MINE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("nowhere")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps(report | {"synthesis": {"lut": 1}}))
    return folder


def check_mine(folder: Path) -> None:
    for name in MINE:
        assert (folder / name).read_text() == name
    assert list((folder / "empty").iterdir()) == []
    assert os.readlink(folder / "link") == "nowhere"
    assert (folder / "linked").resolve() == folder.parent
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert [path.name for path in folder.parent.iterdir()] == ["build"]


def test_the_same_design(folder: Path, graph: Graph, made: Plan) -> None:
    before = contents(folder)
    lines = write_build(folder, graph, made, BOARD)
    assert lines == ["kept, as the design is the same: bitstream.bit, sim, synth"]
    check_mine(folder)
    after = contents(folder)
    report = json.loads(after.pop("report.json"))
    assert report == json.loads(before.pop("report.json"))
    assert report["synthesis"] == {"lut": 1}
    assert after == before


def test_what_was_found_out_stays_with_the_design(folder: Path, graph: Graph, made: Plan) -> None:
    found = {"simulation": {"samples": 1}, "evaluation": {}, "commands": {"simulate": "weft"}}
    report = json.loads((folder / "report.json").read_text())
    old = {"changes": {"rows": []}, "answer": {"cycles": 1}}
    (folder / "report.json").write_text(json.dumps(report | found | old))
    (folder / "report.html").write_text("the page of the old report")
    seen = {}

    def finish(build: Build) -> None:
        seen.update(json.loads((build.folder / "report.json").read_text()))
        (build.folder / "report.html").write_text("new")

    lines = write_build(folder, graph, made, BOARD, finish=finish)
    assert lines == ["kept, as the design is the same: bitstream.bit, sim, synth"]
    assert set(seen) == {"prediction", "synthesis", *found}
    assert (folder / "report.html").read_text() == "new"
    write_build(folder, graph, made, BOARD)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("change", ["plan", "board", "fixed"])
def test_another_design(folder: Path, graph: Graph, made: Plan, change: str) -> None:
    plan = made.replace(network="other") if change == "plan" else made
    board = {"name": "other"} if change == "board" else BOARD
    lines = write_build(folder, graph, plan, board, fixed=change == "fixed")
    assert lines == ["removed, as they belong to another design: bitstream.bit, sim, synth"]
    check_mine(folder)
    assert not any((folder / name).exists() for name in DERIVED)
    assert list(json.loads((folder / "report.json").read_text())) == ["prediction"]
    assert write_build(folder, graph, plan, board, fixed=change == "fixed") == []


def test_edited_files_are_named(folder: Path, graph: Graph, made: Plan) -> None:
    (folder / "weft.h").write_text("/* mine */")
    lines = write_build(folder, graph, made, BOARD)
    assert lines[1:] == ["replaced, though edited since weft wrote them: weft.h"]
    assert "mine" not in (folder / "weft.h").read_text()


def test_modes_stay(folder: Path, graph: Graph, made: Plan, tmp_path: Path) -> None:
    modes = {".": 0o750, "rtl": 0o700, "deep": 0o555, "weft.h": 0o600, "thesis.txt": 0o444}
    for name, mode in modes.items():
        (folder / name).chmod(mode)
    write_build(folder, graph, made, BOARD)
    assert {name: stat.S_IMODE((folder / name).stat().st_mode) for name in modes} == modes
    (tmp_path / "empty").mkdir(0o700)
    write_build(tmp_path / "empty", graph, made, BOARD)
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700


def test_without_hard_links(
    folder: Path, graph: Graph, made: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path, *, follow_symlinks: bool) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(ConfigError) as caught:
        write_build(folder, graph, made, BOARD)
    assert str(caught.value) == (
        f"{folder / 'pipe'} cannot be kept (Operation not permitted); move it"
    )
    (folder / "pipe").unlink()
    write_build(folder, graph, made, BOARD)
    os.mkfifo(folder / "pipe")
    check_mine(folder)


def test_a_file_of_the_user_in_the_way(folder: Path, graph: Graph, made: Plan) -> None:
    """As if weft wrote it only since: its manifest does not list it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["weft.h"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    before = contents(folder)
    with pytest.raises(ConfigError) as caught:
        write_build(folder, graph, made, BOARD)
    assert str(caught.value) == (
        f"{folder / 'weft.h'} was not made by weft and has the name of a file of the build; move it"
    )
    assert contents(folder) == before


def test_a_build_in_use(folder: Path, graph: Graph, made: Plan) -> None:
    from weft.gen.locks import using

    before = contents(folder)
    with using(folder), pytest.raises(ConfigError, match="is in use by another weft command"):
        write_build(folder, graph, made, BOARD)
    assert contents(folder) == before
    assert read_build(folder).plan == made
