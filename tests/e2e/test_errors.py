"""What goes wrong at the command line: one clear line, the documented exit code, nothing left over.

The importer's own texts are in tests/nn/test_errors.py; here is what users meet first.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.nn.qdq_builder import Net
from weft.boards.board import BOARDS_FOLDER, list_boards
from weft.cli.main import main

CONFIG, FIT, TOOL = 1, 2, 3
Captured = pytest.CaptureFixture[str]


def small_net() -> Net:
    """Codes, DQ, a 3x3 convolution named ``conv4``, Q."""
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 6, 6)), 0.1, 3)
    weight = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    w = net.dq(net.constant(weight), 0.01, 0)
    net.output(net.q(net.node("Conv", x, w, pads=[1, 1, 1, 1]), 0.2, 1), 4)
    return net


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small network that compiles."""
    return small_net().save(tmp_path)


@pytest.fixture(scope="module")
def good_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    path = small_net().save(folder)
    words = ["--lanes", "4", "--columns", "4", "--requant-lanes", "2"]
    assert (
        main(["compile", f"{path}", "--board", "ulx3s-25f", "-o", f"{folder / 'b'}", *words]) == 0
    )
    return folder / "b"


@pytest.fixture
def build(good_build: Path, tmp_path: Path) -> Path:
    """A build directory that the test may damage."""
    return shutil.copytree(good_build, tmp_path / "build")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; folders as empty ones."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


class Shell:
    """Runs commands that must fail, and checks what all failures have in common."""

    def __init__(self, capsys: Captured, folder: Path):
        self.capsys, self.folder = capsys, folder

    def fails(self, code: int, *words: str | Path) -> str:
        """The text of the one error line; nothing on stdout, no file changed."""
        self.capsys.readouterr()
        before = tree(self.folder)
        assert main([str(word) for word in words]) == code
        shown = self.capsys.readouterr()
        assert shown.out == ""
        lines = shown.err.splitlines()
        start = f"weft {words[0]}: "
        progress = [line for line in lines if not line.startswith(start)]
        assert all(line.startswith("imported ") for line in progress), shown.err
        assert len(lines) == len(progress) + 1
        assert tree(self.folder) == before
        return lines[-1].removeprefix(start)

    def compile_fails(self, code: int, model: Path, *words: str | Path) -> str:
        """The same for ``weft compile`` into a new folder."""
        board = () if "--board" in words else ("--board", "ulx3s-25f")
        out = () if "-o" in words else ("-o", self.folder / "out")
        return self.fails(code, "compile", model, *board, *out, *words)


@pytest.fixture
def shell(capsys: Captured, tmp_path: Path) -> Shell:
    return Shell(capsys, tmp_path)


# ------------------------------------------------------------------------------------ models


def test_float_model(shell: Shell, tmp_path: Path) -> None:
    net = Net()
    weight = net.constant(np.ones((4, 3, 3, 3)), "float32")
    net.output(net.node("Conv", net.input("x", ("n", 3, 6, 6), "float32"), weight), 4, "float32")
    path = net.save(tmp_path)
    assert shell.compile_fails(CONFIG, path) == (
        f"{path} is a float model: it holds no quantisation; give samples of its inputs with "
        "--calibrate data.npz, or quantise it statically first, e.g. with "
        "onnxruntime.quantization.quantize_static"
    )


def test_dynamically_quantised_model(shell: Shell, tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", ("n", 3, 6, 6), "float32")
    net.node("DynamicQuantizeLinear", x)
    net.nodes[-1].output.extend(["scale", "zero"])
    weight = net.constant(np.ones((4, 3, 3, 3)), "int8")
    total = net.node("ConvInteger", net.nodes[-1].output[0], weight, "zero")
    net.output(net.node("Mul", net.node("Cast", total, to=1), "scale"), 4, "float32")
    path = net.save(tmp_path)
    assert shell.compile_fails(CONFIG, path) == (
        "node 'dynamicquantizelinear0' (DynamicQuantizeLinear): "
        f"{path} is quantised dynamically (scales computed at run time); "
        "quantise statically, e.g. with onnxruntime.quantization.quantize_static"
    )


def test_unsupported_operator(shell: Shell, tmp_path: Path) -> None:
    net = Net()
    x = net.dq(net.input("x", ("n", 3, 6, 6)), 0.1, 3)
    net.output(net.q(net.node("LRN", x, size=3), 0.2, 1), 4)
    assert shell.compile_fails(CONFIG, net.save(tmp_path)) == (
        "node 'lrn1' (LRN): operator LRN is not supported; train with BatchNormalization instead, "
        "which folds into the convolution before it"
    )


def test_truncated_file(shell: Shell, model: Path) -> None:
    """Cut at any length: refused as a file, never anything else."""
    whole = model.read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        model.write_bytes(whole[:length])
        line = shell.compile_fails(CONFIG, model)
        assert line.startswith(f"{model}: not an ONNX file, or a damaged one: "), line


def test_no_file(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    line = shell.compile_fails(CONFIG, path)
    assert line == f"{path}: cannot be read: No such file or directory"
    assert shell.compile_fails(CONFIG, tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


# ------------------------------------------------------------------------------------ boards


@pytest.fixture
def board_file(tmp_path: Path) -> Callable[..., Path]:
    """``board_file(bram=3)``: a board like the ULX3S-25F with another budget."""

    def write(**budget: int) -> Path:
        text = (BOARDS_FOLDER / "ulx3s-25f.yaml").read_text().replace("ulx3s-25f", "tiny")
        lines = [
            f"  {name}: {budget[name]}" if name in budget else line
            for line in text.splitlines()
            for name in [line.strip().partition(":")[0]]
        ]
        path = tmp_path / "tiny.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_board_too_small(shell: Shell, model: Path, board_file: Callable[..., Path]) -> None:
    line = shell.compile_fails(FIT, model, "--board", board_file(lut=400))
    assert re.fullmatch(
        r"net does not fit tiny: it needs \d+ LUTs with 1 lane and 1 column, "
        r"the board has 300 for it; try a larger board, such as ecp5-evn",
        line,
    )
    assert shell.compile_fails(FIT, model, "--board", board_file(dsp=0)) == (
        "no engine fits tiny: it needs 1 DSP multiplier with 1 lane and 1 column, "
        "the board has 0; try a larger board, such as ecp5-evn"
    )
    pinned = ("--lanes", "8", "--columns", "8")
    line = shell.compile_fails(FIT, model, "--board", board_file(lut=2000), *pinned)
    assert re.fullmatch(
        r"net does not fit tiny: it needs \d+ LUTs with 8 lanes and 8 columns, the board has 1500 "
        r"for it; try a larger board, such as ecp5-evn; fewer --lanes and --columns may do",
        line,
    )


def test_unknown_board(shell: Shell, model: Path, tmp_path: Path) -> None:
    assert shell.compile_fails(CONFIG, model, "--board", "ulx3s-86f") == (
        "unknown board 'ulx3s-86f'; did you mean 'ulx3s-85f'? "
        f"Known boards: {', '.join(list_boards())}; or give the path of a board file (.yaml)"
    )
    missing = tmp_path / "mine.yaml"
    assert shell.compile_fails(CONFIG, model, "--board", missing) == (
        f"board file {missing} cannot be read: No such file or directory"
    )


# ------------------------------------------------------------------------------------ options


def test_absurd_sizes(shell: Shell, model: Path) -> None:
    assert shell.compile_fails(FIT, model, "--lanes", "4096") == (
        "no engine fits ulx3s-25f: it needs 4096 DSP multipliers with 4096 lanes and 1 column, "
        "the board has 28; no board that weft knows is large enough (on ecp5-evn, the largest, it "
        "needs 4096 DSP multipliers with 4096 lanes and 1 column, the board has 156); weft check "
        "--external-memory says what memory outside the chip would have to give; fewer --lanes and "
        "--columns may do"
    )
    line = shell.compile_fails(FIT, model, "--lanes", "4096", "--columns", "4096")
    assert line.startswith("net does not fit ulx3s-25f: it needs ")
    assert "with 4096 lanes and 4096 columns" in line
    assert shell.compile_fails(CONFIG, model, "--requant-lanes", "3") == (
        "requantise lanes must divide lanes and columns: 3 goes with none of the sizes tried "
        "(1, 2, 4, 8, 16, 32); pin --lanes and --columns, too"
    )
    sizes = ("--lanes", "3", "--columns", "7", "--requant-lanes", "3")
    assert shell.compile_fails(CONFIG, model, *sizes) == (
        "requantise lanes must divide lanes and columns: 3 does not divide both 3 and 7"
    )


def test_odd_sizes_work(model: Path, tmp_path: Path, capsys: Captured) -> None:
    words = ["--lanes", "3", "--columns", "7", "--json"]
    assert (
        main(["compile", f"{model}", "--board", "ulx3s-25f", "-o", f"{tmp_path / 'b'}", *words])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    sizes = ("lanes", "columns", "array_requant")
    assert [found[name] for name in sizes] == [3, 7, 1]


def test_output_folder(shell: Shell, model: Path, tmp_path: Path) -> None:
    assert shell.compile_fails(CONFIG, model, "-o", model) == (
        f"{model} is a file; choose another build directory with -o"
    )
    assert shell.compile_fails(CONFIG, model, "-o", tmp_path) == (
        f"{tmp_path} is not empty and not a build directory; choose another one with -o"
    )
    below = model / "build"
    pinned = ("--lanes", "2", "--columns", "2")
    assert shell.compile_fails(CONFIG, model, "-o", below, *pinned) == (
        f"{below} cannot be written: File exists"
    )
    nowhere = Path("/proc/weft/build")  # nobody may write there, not even root
    line = shell.compile_fails(CONFIG, model, "-o", nowhere, *pinned)
    assert line == f"{nowhere} cannot be written: No such file or directory"


# ------------------------------------------------------------------------------------ builds


@pytest.mark.parametrize("command", ["simulate", "explain", "reference"])
def test_not_a_build(command: str, shell: Shell, tmp_path: Path) -> None:
    more = ("--inputs", "x.npz", "-o", "y.npz") if command == "reference" else ()
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert shell.fails(CONFIG, command, folder, *more) == (
            f"{folder} is not a build directory: it has no manifest.json; "
            f"make one with `weft compile MODEL.onnx --board NAME -o {folder}`"
        )


def test_corrupted_plan(shell: Shell, build: Path) -> None:
    path = build / "plan.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    line = shell.fails(CONFIG, "simulate", build)
    assert line.startswith(f"{path} cannot be read: ")
    assert line.endswith("; compile the model again")
    path.write_bytes(whole.replace(b'"param_base": 0', b'"param_base": 1', 1))
    assert shell.fails(CONFIG, "simulate", build) == (
        f"{path} was changed after it was written (its checksum differs from the manifest's); "
        "compile the model again"
    )


def test_missing_tool(shell: Shell, build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    shell.capsys.readouterr()
    assert main(["simulate", str(build), "--json"]) == TOOL
    shown = shell.capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == (
        "weft simulate: g++ was not found on PATH (a C++20 compiler that builds the simulation); "
        "on Debian or Ubuntu: apt install g++ make perl"
    )


# ------------------------------------------------------------------------------------ inputs

X = np.zeros((4, 3, 6, 6), np.int8)
INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "shape": (
        {"x": X[:, :2]},
        "{0}: array 'x' has shape [4, 2, 6, 6], input 'x' needs [n, 3, 6, 6]",
    ),
    "type": (
        {"x": X + 0.5},
        "{0}: array 'x' is float64 and has 0.5 at [0, 0, 0, 0], which is no int8; round it first: "
        "array.astype(np.int8)",
    ),
    "key": (
        {"image": X[0], "label": np.zeros(4)},
        "{0} has no array for input 'x'; it has: image, label",
    ),
    "none": ({}, "{0} has no array for input 'x'; it has: none"),
}


@pytest.mark.parametrize("command", ["simulate", "reference"])
@pytest.mark.parametrize("case", INPUTS)
def test_inputs(case: str, command: str, shell: Shell, build: Path, tmp_path: Path) -> None:
    arrays, expected = INPUTS[case]
    path = tmp_path / "in.npz"
    np.savez(path, **arrays)
    out = ("-o", tmp_path / "y.npz") if command == "reference" else ()
    line = shell.fails(CONFIG, command, build, "--inputs", path, *out)
    assert line == expected.format(path)


def test_damaged_inputs(shell: Shell, build: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "in.npz", tmp_path / "y.npz"
    np.savez(path, x=X)
    path.write_bytes(path.read_bytes()[:200])
    line = shell.fails(CONFIG, "reference", build, "--inputs", path, "-o", out)
    assert line == f"{path} is not a readable .npz file: File is not a zip file"
    np.savez(path, x=X)
    words = ("--inputs", path, "-o", out, "--samples", "5")
    line = shell.fails(CONFIG, "reference", build, *words)
    assert line == f"{path} has 4 samples, fewer than --samples 5"
    line = shell.fails(CONFIG, "reference", build, "--inputs", path, "-o", tmp_path)
    assert line == f"{tmp_path} is a folder; name a file"


def test_values_that_are_no_numbers(shell: Shell, tmp_path: Path) -> None:
    """A network with float input: NaN and infinity have no code."""
    net = small_net()
    net.inputs.clear()
    net.nodes[0].input[0] = net.q(net.input("x", ("n", 3, 6, 6), "float32"), 0.1, 3)
    net.nodes.insert(0, net.nodes.pop())
    board = ("--board", "ulx3s-25f", "--lanes", "2", "--columns", "2")
    build = tmp_path / "build"
    assert main(["compile", f"{net.save(tmp_path)}", "-o", f"{build}", *board]) == 0
    x = np.zeros((2, 3, 6, 6), np.float32)
    x[1, 2, 3, 4] = np.nan
    np.savez(tmp_path / "in.npz", x=x)
    words = ("--inputs", tmp_path / "in.npz", "-o", tmp_path / "y.npz")
    assert shell.fails(CONFIG, "reference", build, *words) == (
        f"{tmp_path / 'in.npz'}: array 'x' has the value nan at [1, 2, 3, 4]; "
        "finite numbers are needed"
    )
