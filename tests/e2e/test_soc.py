"""``weft_soc``: the digits network behind a Wishbone bus, driven by cocotb and by weft.h in C."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from weft.cli.main import main
from weft.gen.build_dir import read_build
from weft.gen.data import load_inputs
from weft.nn.ir.host import reference_model
from weft.sim_tb.toolchain import find_toolchain, make_flags, tool_environment

HERE = Path(__file__).resolve().parent
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
SIGNALS = ("clk", "rst", "irq", "wb_*", "s_axis_*", "m_axis_*")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of 5 bytes: two pieces each, of which the second is mostly empty."""
    folder = tmp_path_factory.mktemp("soc") / "build"
    words = ["compile", DIGITS / "digits.onnx", "--board", "ulx3s-85f", "-o", folder]
    words += ["--lanes", 5, "--columns", 4, "--requant-lanes", 1]
    assert main([str(word) for word in words]) == 0
    return folder


def sources(build: Path) -> list[Path]:
    made = read_build(build)
    return [*(build / name for name in made.manifest["soc"]["sources"]), *made.sources]


@pytest.fixture(scope="module")
def simulation(build: Path) -> Path:
    """The folder of the Verilated ``weft_soc``, also as objects."""
    folder = build.parent / "obj"
    control = build.parent / "ports.vlt"
    lines = [f'public_flat_rw -module "weft_soc" -var "{name}"\n' for name in SIGNALS]
    control.write_text("`verilator_config\n" + "".join(lines))
    environment = dict(find_toolchain().environment)
    # Building takes longer than the few runs.
    environment["MAKEFLAGS"] += f" {make_flags((('OPT_FAST', '-O1'),))}"
    with tool_environment(environment):
        get_runner("verilator").build(
            sources=[*sources(build), control],
            hdl_toplevel="weft_soc",
            build_args=["-O3", "--no-public-flat-rw", "-Wno-fatal", "-Wno-WIDTH"],
            build_dir=folder,
            log_file=build.parent / "build.log",
        )
    return folder


def test_bus_and_streams(build: Path, simulation: Path, tmp_path: Path) -> None:
    """soc_bench.py has the tests; the simulated core counts as many cycles as predicted."""
    (tmp_path / "images").symlink_to(build / "images")
    (tmp_path / "build").symlink_to(build)
    (tmp_path / "inputs.npz").symlink_to(DIGITS / "digits_test.npz")
    with tool_environment(dict(find_toolchain().environment)):
        results = get_runner("verilator").test(
            test_module="tests.e2e.soc_bench",
            hdl_toplevel="weft_soc",
            hdl_toplevel_lang="verilog",
            build_dir=simulation,
            test_dir=tmp_path,
            results_xml=str(tmp_path / "results.xml"),
            seed=0,
            log_file=tmp_path / "simulation.log",
        )
    assert get_results(results) == (5, 0), (tmp_path / "simulation.log").read_text()


def compiled(words: list[object], folder: Path) -> None:
    done = subprocess.run(list(map(str, words)), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def verilator_root() -> Path:
    tools = find_toolchain()
    done = subprocess.run(
        [tools.verilator, "--getenv", "VERILATOR_ROOT"],
        env=os.environ | dict(tools.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


def test_the_example_in_c(build: Path, simulation: Path, root: Path, tmp_path: Path) -> None:
    """The example of docs/integration.md, after an upload of all images through weft.h."""
    (example,) = re.findall("```c\n(.*?)```", (root / "docs/integration.md").read_text(), re.S)
    (tmp_path / "example.c").write_text(example)
    include = find_toolchain().verilator.replace("bin/verilator", "include")
    if not Path(include).is_dir():
        include = "/usr/share/verilator/include"
    for source in (tmp_path / "example.c", HERE / "soc_main.c"):
        compiled(
            ["cc", *STRICT, "-I", build, "-include", HERE / "soc_access.h", "-c", source], tmp_path
        )
    flags = ["-std=gnu++20", "-O1", "-I", simulation, "-I", include, "-I", f"{include}/vltstd"]
    objects = [*simulation.glob("verilated*.o"), tmp_path / "example.o", tmp_path / "soc_main.o"]
    model = [HERE / "soc_shim.cpp", simulation / "Vtop__ALL.a"]
    compiled(["g++", *flags, *model, *objects, *model[1:], "-pthread", "-o", "main"], tmp_path)

    made = read_build(build)
    inputs = load_inputs(DIGITS / "digits_test.npz", made.graph, 4)
    (image,) = inputs.values()
    image.tofile(tmp_path / "images.f32")
    (tmp_path / "images").mkdir()  # memories begin with zeros
    for path in (build / "images").glob("*.hex"):
        zeros = "".join("0" * len(line) + "\n" for line in path.read_text().split())
        (tmp_path / "images" / path.name).write_text(zeros)
    command = ["./main", "images.f32", str(build / "images" / "upload.bin")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = np.array([line.split() for line in done.stdout.splitlines()], np.float64)
    (expected,) = reference_model(made.graph, inputs).values()
    np.testing.assert_array_equal(table[:, 1:].astype(np.float32), expected)
    assert table[:, 0].tolist() == np.argmax(expected, axis=1).tolist()
