"""``weft_soc``: the digits network behind a Wishbone bus, driven by cocotb and by weft.h in C."""

from pathlib import Path

import pytest
from cocotb_tools.runner import get_results, get_runner

from weft.gen.build_dir import read_build
from weft.gen.cli import main
from weft.sim_tb.toolchain import find_toolchain, tool_environment

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


def run_folder(build: Path, folder: Path) -> Path:
    """A folder to simulate in."""
    folder.mkdir()
    (folder / "images").symlink_to(build / "images")
    (folder / "build").symlink_to(build)
    (folder / "inputs.npz").symlink_to(DIGITS / "digits_test.npz")
    return folder


def test_bus_and_streams(build: Path, tmp_path: Path) -> None:
    """soc_bench.py has the tests; the simulated core counts as many cycles as predicted."""
    control = tmp_path / "ports.vlt"
    lines = [f'public_flat_rw -module "weft_soc" -var "{name}"\n' for name in SIGNALS]
    control.write_text("`verilator_config\n" + "".join(lines))
    runner = get_runner("verilator")
    folder = run_folder(build, tmp_path / "run")
    with tool_environment(dict(find_toolchain().environment)):
        runner.build(
            sources=[*sources(build), control],
            hdl_toplevel="weft_soc",
            build_args=["-O3", "--no-public-flat-rw", "-Wno-fatal", "-Wno-WIDTH"],
            build_dir=tmp_path / "obj",
            log_file=tmp_path / "build.log",
        )
        results = runner.test(
            test_module="tests.e2e.soc_bench",
            hdl_toplevel="weft_soc",
            hdl_toplevel_lang="verilog",
            build_dir=tmp_path / "obj",
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
            seed=0,
            log_file=folder / "simulation.log",
        )
    assert get_results(results) == (5, 0), (folder / "simulation.log").read_text()
