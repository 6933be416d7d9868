"""weft.h: strict compilers take it, its functions pack and round as Python does."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.mapper.support import ENDLESS, conv_graph
from weft.gen.c_header import c_float, c_string, header
from weft.gen.data import random_inputs
from weft.hw.bus.params import BusParams
from weft.hw.bus.registers import REGISTERS
from weft.machine.layout import pack_inputs
from weft.machine.plan import Plan
from weft.mapper.search import plan
from weft.nn.ir.graph import Graph
from weft.nn.ir.host_steps import quantize
from weft.nn.ir.window import Window

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
MAIN = Path(__file__).parent / "header_main.c"


def write_header(graph: Graph, made: Plan, folder: Path) -> None:
    params = BusParams(
        lanes=made.engine.lanes,
        n_in=made.inputs.words,
        n_out=made.outputs.words,
        image_limits=8 * (0,),
        predicted_cycles=123,
        plan_hash=bytes(range(16)),
    )
    (folder / "weft.h").write_text(header(graph, made, params))


def compile_main(folder: Path) -> None:
    command = ["cc", "-std=c99", *STRICT, "-I.", str(MAIN), "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run_main(folder: Path, data: bytes, *words: str) -> bytes:
    return subprocess.run(
        ["./main", *words], cwd=folder, input=data, capture_output=True, check=True
    ).stdout


PAD, STRIDE = (1, 1, 1, 1), (2, 2)
WINDOWS = [
    (1, (2, 3, 3), Window(kernel=(2, 2))),
    (2, (3, 5, 4), Window(kernel=(3, 3), pads=PAD)),
    (3, (3, 5, 7), Window(kernel=(3, 3), pads=(0, 1, 1, 0), stride=STRIDE)),
    (5, (2, 9, 8), Window(kernel=(3, 2), pads=PAD, dilation=(2, 3))),
    (16, (1, 6, 5), Window(kernel=(3, 3), pads=PAD, stride=STRIDE)),
    (16, (5, 4, 4), Window(kernel=(1, 3), pads=(0, 2, 0, 0))),
    (4, (7, 3, 2), Window(kernel=(1, 1))),
]


@pytest.mark.parametrize(("lanes", "shape", "window"), WINDOWS)
def test_packing(lanes: int, shape: tuple[int, int, int], window: Window, tmp_path: Path) -> None:
    """Folded and plain inputs, words of any size: piece for piece what the core takes."""
    graph = conv_graph(shape, 3, window)
    made = plan(graph, ENDLESS, lanes=lanes, columns=2, requant_lanes=1)
    write_header(graph, made, tmp_path)
    compile_main(tmp_path)
    codes = random_inputs(graph, 1)
    words = pack_inputs(made.inputs, codes, lanes)[0].view(np.uint8)
    padded = np.pad(words, [(0, 0), (0, -lanes % 4)])
    sent = run_main(tmp_path, b"".join(array.tobytes() for array in codes.values()))
    assert sent == padded.tobytes()


def test_some_windows_are_folded() -> None:
    """Else the test above shows less than it says."""
    made = [plan(conv_graph(s, 3, w), ENDLESS, lanes=k, columns=2) for k, s, w in WINDOWS]
    folds = [made.inputs.ports[0].fold for made in made]
    assert {fold.rows > 1 for fold in folds if fold} == {False, True}
    assert None in folds


def test_quantize(tmp_path: Path) -> None:
    """Every code, every tie, its neighbours, and what lies beyond."""
    graph = conv_graph((1, 2, 2), 1, Window(kernel=(1, 1)))
    made = plan(graph, ENDLESS, lanes=2, columns=1)
    write_header(graph, made, tmp_path)
    compile_main(tmp_path)
    tensor = graph.tensor(graph.inputs[0].tensor)
    ties = (np.arange(-300, 300, 0.5)).astype(np.float32) * np.float32(tensor.scale)
    near = [np.nextafter(ties, np.float32(end)) for end in (-np.inf, np.inf)]
    rest = np.array([np.inf, -np.inf, 3e38, -3e38, 1e-40, -0.0], np.float32)
    values = np.concatenate([ties, *near, rest])
    expected = quantize(values, tensor.scale, tensor.zero_point, "int8")
    actual = np.frombuffer(run_main(tmp_path, values.tobytes(), "floats"), np.int8)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("compiler", [["cc", "-std=c99"], ["c++", "-std=c++11", "-x", "c++"]])
def test_strict_compilers(compiler: list[str], tmp_path: Path) -> None:
    """Also with names that try to leave their string."""
    graph = conv_graph((3, 4, 4), 2, Window(kernel=(2, 2)))
    edge = graph.inputs[0].replace(name='a"; */ ??/\\\n%s é')
    graph = graph.replace(inputs=(edge,), name='evil"\n#error')
    made = plan(graph, ENDLESS, lanes=2, columns=2)
    write_header(graph, made, tmp_path)
    (tmp_path / "use.c").write_text(
        '#include "weft.h"\n#include "weft.h"\n'
        "const char *weft_names[] = {WEFT_NETWORK, WEFT_INPUT_0_NAME, WEFT_OUTPUT_0_NAME};\n"
        "uint32_t weft_numbers[] = {"
        + ", ".join(f"WEFT_REG_{register.name}" for register in REGISTERS)
        + "};\n"
    )
    done = subprocess.run(
        [*compiler, *STRICT, "-c", "use.c"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_registers_have_their_offsets(tmp_path: Path) -> None:
    graph = conv_graph((3, 4, 4), 2, Window(kernel=(2, 2)))
    write_header(graph, plan(graph, ENDLESS, lanes=2, columns=2), tmp_path)
    lines = dict(
        line.split()[1:3]
        for line in (tmp_path / "weft.h").read_text().splitlines()
        if line.startswith("#define WEFT_") and len(line.split()) > 2
    )
    for register in REGISTERS:
        assert int(lines[f"WEFT_REG_{register.name}"].strip("u"), 16) == register.offset
        for field in register.fields:
            assert int(lines[f"WEFT_{register.name}_{field.name}"].strip("u"), 16) == field.mask


def test_literals() -> None:
    assert c_string('a"\\?\n') == '"a\\042\\134\\077\\012"'
    floats = {1.0: "1.0f", 0.1: "0.100000001f", 1e-12: "9.99999996e-13f", 3e20: "3.00000006e+20f"}
    assert {value: c_float(value) for value in floats} == floats
