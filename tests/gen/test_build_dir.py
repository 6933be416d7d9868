"""The build directory: all or nothing, the same every time, read back or refused."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import weft
from tests.mapper.support import ENDLESS, compact, conv_graph
from weft.errors import ConfigError
from weft.gen import build_dir, hardware, output, soc
from weft.gen.build_dir import check_folder, read_build, write_build
from weft.machine.plan import Plan
from weft.mapper.build import build
from weft.mapper.search import plan
from weft.nn.ir.graph import Graph
from weft.nn.ir.window import Window

BOARD = {"name": "any"}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return conv_graph((2, 4, 4), 2, Window(kernel=(2, 2)))


@pytest.fixture(scope="module")
def made(graph: Graph) -> Plan:
    return plan(graph, ENDLESS, lanes=2, columns=2, requant_lanes=1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the seconds that Verilog takes."""
    monkeypatch.setattr(hardware, "verilog_text", lambda plan: "module weft_top;\nendmodule\n")
    monkeypatch.setattr(soc, "soc_verilog", lambda params: "module weft_soc;\nendmodule\n")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def written(graph: Graph, made: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build") / "first"
    write_build(folder, graph, made, BOARD)
    return folder


def test_what_is_in_it(written: Path, graph: Graph, made: Plan) -> None:
    assert sorted(contents(written)) == [
        "graph.json",
        "images/array_params_0.hex",
        "images/program.hex",
        "images/upload.bin",
        "images/vector.hex",
        "images/vector_params_0.hex",
        "images/weights_0.hex",
        "images/weights_1.hex",
        "manifest.json",
        "plan.json",
        "report.json",
        "rtl/cells/weft_dual_mul.v",
        "rtl/cells/weft_mul.v",
        "rtl/cells/weft_pair_add.v",
        "rtl/cells/weft_ram.v",
        "rtl/cells/weft_reg.v",
        "rtl/cells/weft_spram.v",
        "rtl/weft_soc.v",
        "rtl/weft_top.v",
        "weft.core",
        "weft.h",
    ]
    build = read_build(written)
    assert (build.graph, build.plan) == (graph, made)
    assert [path.relative_to(written).as_posix() for path in build.sources] == [
        "rtl/weft_top.v",
        "rtl/cells/weft_dual_mul.v",
        "rtl/cells/weft_mul.v",
        "rtl/cells/weft_pair_add.v",
        "rtl/cells/weft_ram.v",
        "rtl/cells/weft_reg.v",
        "rtl/cells/weft_spram.v",
    ]
    assert written.stat().st_mode & 0o777 == 0o755


def test_manifest(written: Path, made: Plan) -> None:
    manifest = json.loads((written / "manifest.json").read_text())
    files = contents(written)
    del files["manifest.json"]
    assert manifest["files"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items()
    }
    assert manifest["board_file"] == BOARD
    assert manifest["plan_hash"] == build_dir.plan_hash(made)
    assert (manifest["lanes"], manifest["input_words"]) == (2, made.inputs.words)
    assert manifest["inputs"][0] == {
        "name": "x",
        "shape": [2, 4, 4],
        "dtype": "int8",
        "stored_shape": list(made.inputs.ports[0].shape),
        "word": 0,
    }


AGAIN = """
import sys
from pathlib import Path
from tests.mapper.support import ENDLESS, conv_graph
from weft.gen.build_dir import write_build
from weft.mapper.search import plan
from weft.nn.ir.window import Window
graph = conv_graph((2, 4, 4), 2, Window(kernel=(2, 2)))
made = plan(graph, ENDLESS, lanes=2, columns=2, requant_lanes=1)
write_build(Path(sys.argv[1]), graph, made, {"name": "any"})
"""


def test_the_same_bytes_in_another_process(written: Path, tmp_path: Path, root: Path) -> None:
    """Other hash seeds, another folder, another time: byte for byte the same tree."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    subprocess.run(
        [sys.executable, "-c", AGAIN, tmp_path / "second"], check=True, env=environment, cwd=root
    )
    assert contents(tmp_path / "second") == contents(written)


def test_the_report_holds_no_time(written: Path) -> None:
    report = json.loads((written / "report.json").read_text())
    assert list(report) == ["prediction"]
    assert not {"seconds", "time", "date"} & set(report["prediction"])


@pytest.mark.usefixtures("quick")
def test_an_earlier_build_is_replaced(graph: Graph, made: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    write_build(folder, graph, made, BOARD)
    write_build(folder, graph, made.replace(macs=7), BOARD)
    assert read_build(folder).plan.macs == 7
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def fail(*args: Any) -> NoReturn:
    raise RuntimeError("out of ideas")


def no_space(*args: Any) -> NoReturn:
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("module", "name"),
    [(hardware, "verilog_text"), (build_dir, "prediction"), (build_dir, "_manifest")],
)
def test_a_failure_in_the_middle_changes_nothing(
    module: Any,
    name: str,
    graph: Graph,
    made: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "build"
    write_build(folder, graph, made, BOARD)
    before = contents(folder)
    monkeypatch.setattr(module, name, fail)
    with pytest.raises(RuntimeError, match="out of ideas"):
        write_build(folder, graph, made.replace(macs=7), BOARD)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["build"]
    with pytest.raises(RuntimeError, match="out of ideas"):
        write_build(tmp_path / "fresh", graph, made, BOARD)
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.usefixtures("quick")
def test_a_full_disk(
    graph: Graph, made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "copyfile", no_space)
    with pytest.raises(ConfigError) as caught:
        write_build(tmp_path / "build", graph, made, BOARD)
    assert str(caught.value) == f"{tmp_path / 'build'} cannot be written: No space left on device"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_the_old_build_comes_back_when_the_new_one_cannot_take_its_place(
    graph: Graph, made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "build"
    write_build(folder, graph, made, BOARD)
    before = contents(folder)
    rename = Path.rename

    def only_aside(source: Path, target: Path) -> None:
        if source.name == "new":
            no_space()
        rename(source, target)

    monkeypatch.setattr(output, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", only_aside)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        write_build(folder, graph, made.replace(macs=7), BOARD)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_other_folders_are_refused(graph: Graph, made: Plan, tmp_path: Path) -> None:
    """Also a web extension's, which has a manifest.json of its own."""
    for name, text in (("thesis.txt", "years of work"), ("manifest.json", '{"name": "web"}')):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(ConfigError) as caught:
            write_build(folder, graph, made, BOARD)
        assert str(caught.value) == (
            f"{folder} is not empty and not a build directory; choose another one with -o"
        )
        assert contents(folder) == {name: text.encode()}


@pytest.mark.usefixtures("quick")
def test_a_fixed_network(graph: Graph, made: Plan, tmp_path: Path) -> None:
    """Nothing of it may be written; nothing else of the build changes."""
    write_build(tmp_path / "free", graph, made, BOARD)
    write_build(tmp_path / "fixed", graph, made, BOARD, fixed=True)
    free, fixed = (read_build(tmp_path / name) for name in ("free", "fixed"))
    assert any(free.manifest["image_limits"])
    assert fixed.manifest["image_limits"] == [0] * len(free.manifest["image_limits"])
    assert fixed.plan == free.plan


def test_a_fixed_network_that_needs_an_upload(graph: Graph, tmp_path: Path) -> None:
    streamed = build(graph, ENDLESS, compact(2, 2, streamed=True), 0)
    with pytest.raises(ConfigError) as caught:
        write_build(tmp_path / "build", graph, streamed, BOARD, fixed=True)
    assert "cannot be fixed on" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_refused(graph: Graph, made: Plan, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(ConfigError) as caught:
        write_build(path, graph, made, BOARD)
    assert str(caught.value) == f"{path} is a file; choose another build directory with -o"
    with pytest.raises(ConfigError) as caught:
        write_build(path / "below", graph, made, BOARD)
    assert str(caught.value) == f"{path / 'below'} cannot be written: File exists"
    assert path.read_text() == "mine"


@pytest.mark.usefixtures("quick")
def test_folders_that_may_be_taken(
    graph: Graph, made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New ones, below new ones, empty ones, links to builds, and the current one."""
    write_build(tmp_path / "a" / "b", graph, made, BOARD)
    (tmp_path / "empty").mkdir()
    write_build(tmp_path / "empty", graph, made, BOARD)
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    write_build(tmp_path / "link", graph, made, BOARD)
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_build(Path("."), graph, made, BOARD)
    assert read_build(tmp_path / "here").plan == read_build(tmp_path / "link").plan == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty", "here", "link"]
    check_folder(tmp_path / "here")


Edit = Callable[[Path], None]


def text(name: str, content: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).write_text(content)

    return edit


def fitting(change: Edit) -> Edit:
    """The checksums are changed as well."""

    def edit(folder: Path) -> None:
        change(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        for name in ("graph.json", "plan.json"):
            manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return edit


def plan_field(**changes: Any) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "plan.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def drop(*names: str) -> Edit:
    def edit(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return edit


def manifest_field(**changes: Any) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def rule(what: str, message: str, *keys: Any, value: Any) -> tuple[Edit, str]:
    """One value somewhere in a file that does not fit, and a checksum that does."""

    def edit(folder: Path) -> None:
        path = folder / f"{what}.json"
        data = holder = json.loads(path.read_text())
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = value
        path.write_text(json.dumps(data))

    expected = f"{{0}}/{what}.json is not a {what} of weft {{1}} ({message}); {AGAIN_PLEASE}"
    return fitting(edit), expected


AGAIN_PLEASE = "compile the model again"
DAMAGES: list[tuple[Edit, str]] = [
    (
        drop("manifest.json"),
        "{0} is not a build directory: it has no manifest.json; "
        "make one with `weft compile MODEL.onnx --board NAME -o {0}`",
    ),
    (
        text("manifest.json", "{}"),
        "{0}/manifest.json is not a manifest of weft {1}; " + AGAIN_PLEASE,
    ),
    (text("manifest.json", "[1]"), "{0}/manifest.json must hold a JSON object; " + AGAIN_PLEASE),
    (
        text("plan.json", '{"network":'),
        "{0}/plan.json cannot be read: Expecting value: line 1 column 12 (char 11); "
        + AGAIN_PLEASE,
    ),
    (
        drop("plan.json"),
        "{0}/plan.json cannot be read: No such file or directory; " + AGAIN_PLEASE,
    ),
    (text("plan.json", "7"), "{0}/plan.json must hold a JSON object; " + AGAIN_PLEASE),
    (
        fitting(plan_field(colour="red")),
        "{0}/plan.json is not a plan of weft {1} (Plan has no field 'colour'); " + AGAIN_PLEASE,
    ),
    (
        fitting(plan_field(steps=5)),
        "{0}/plan.json is not a plan of weft {1} (steps must be a list, not 5); " + AGAIN_PLEASE,
    ),
    (
        plan_field(macs=7),
        "{0}/plan.json was changed after it was written (its checksum differs from the "
        "manifest's); " + AGAIN_PLEASE,
    ),
    (
        fitting(text("graph.json", "{}")),
        "{0}/graph.json is not a graph of weft {1} ({2}); " + AGAIN_PLEASE,
    ),
]


ROWS = ("steps", 0, "loops", "rows")
NUMBER = "steps[0].loops.rows must be an integer of at most 62 bits"
TOO_MANY = "its tensors hold 34,359,738,386 codes, more than 67,108,864"
DAMAGES += [
    rule(
        "plan",
        "steps[0].loops.rows must be an integer of at most 62 bits, not 1.5",
        *ROWS,
        value=1.5,
    ),
    rule("plan", "engines[0]: lanes must be at least 1, not 0", "engines", 0, "lanes", value=0),
    rule("plan", "a plan has at least one engine", "engines", value=[]),
    rule(
        "plan",
        "inputs: words is 15: its ports have 16; what works: 16",
        "inputs",
        "words",
        value=15,
    ),
    rule(
        "plan",
        "step 0 ('c'): after[0].gap is 0: it is the first; what works: no Drain",
        "steps",
        0,
        "after",
        value=[{"_type": "Drain", "step": -1, "gap": 0}],
    ),
    rule(
        "plan",
        "step 0 ('c'): loops.rows is 4096: out of range; what works: 1..4095",
        *ROWS,
        value=4096,
    ),
    rule("graph", "'c' reads an unknown tensor 'q'", "operators", 0, "input", value="q"),
    rule("graph", TOO_MANY, "tensors", 0, "shape", value=[2, 1 << 17, 1 << 17]),
    rule("graph", "input 'x': its steps do not lead to 'x'", "inputs", 0, "shape", value=[2, 4, 5]),
    rule("graph", "edge 'x': type 'object'", "inputs", 0, "dtype", value="object"),
    (
        manifest_field(lanes=4),
        "{0}/manifest.json is not the manifest of weft {1} (field 'lanes' is not what follows from "
        "the plan); " + AGAIN_PLEASE,
    ),
    (
        text("manifest.json", "[" * 100_000),
        "{0}/manifest.json cannot be read: it is nested too deeply; " + AGAIN_PLEASE,
    ),
    (
        text("manifest.json", '{"a": 1, "a": 2}'),
        "{0}/manifest.json cannot be read: 'a' stands twice in one object; " + AGAIN_PLEASE,
    ),
]


@pytest.mark.parametrize(("edit", "expected"), DAMAGES, ids=range(len(DAMAGES)))
def test_damaged_builds(edit: Edit, expected: str, written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    shutil.copytree(written, folder)
    read_build(folder)
    edit(folder)
    with pytest.raises(ConfigError) as caught:
        read_build(folder)
    field = str(caught.value).partition("(")[2].partition(" is missing)")[0]  # any will do
    assert str(caught.value) == expected.format(folder, weft.__version__, f"{field} is missing")


def test_not_text(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    shutil.copytree(written, folder)
    rng = np.random.default_rng(0)
    (folder / "plan.json").write_bytes(rng.bytes(1000))
    with pytest.raises(ConfigError, match=r"plan.json cannot be read: 'utf-8' codec"):
        read_build(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a build directory: it has no manifest\.json"):
        read_build(tmp_path / "nowhere")
