"""Verilator, run directly: for tests of cells and tops that need no cocotb."""

import os
import subprocess
from pathlib import Path

from weft.sim_tb.toolchain import find_toolchain


def verilate(folder: Path, args: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Verilator in a folder, with what it needs to compile; it must succeed."""
    done = subprocess.run(
        ["verilator", *args],
        cwd=folder,
        env={**os.environ, **dict(find_toolchain().environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
