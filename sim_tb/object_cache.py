"""A compiler launcher (make's OBJCACHE) that compiles Verilator's run-time library only once.

The library is the larger part of a small build (16 of 21 CPU seconds were measured) and the same
for every design. Called as ``python object_cache.py FOLDER COMPILER ARGUMENT...``; the folder
belongs to one version of Verilator and of the compiler. Anything but a file of the library goes
straight to the compiler. It runs as a script, outside of the package.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main(folder: Path, command: list[str]) -> int:
    """Run one compiler command, or copy its result of an earlier build. Returns the exit code."""
    source = Path(command[-1])
    if not _is_library(source) or "-o" not in command:
        return subprocess.run(command, check=False).returncode
    output = Path(command[command.index("-o") + 1])
    digest = hashlib.sha256("\0".join(command).encode())
    digest.update(source.read_bytes())
    kept = folder / f"{output.stem}-{digest.hexdigest()[:16]}.o"
    if not kept.is_file():
        code = subprocess.run(command, check=False).returncode
        if code != 0:
            return code
        folder.mkdir(parents=True, exist_ok=True)
        # Atomic, as builds may run side by side; in the build's folder, which is cleared away.
        fresh = output.with_name(f"{kept.name}.{os.getpid()}")
        shutil.copyfile(output, fresh)
        with contextlib.suppress(OSError):  # the build may be on another file system
            fresh.replace(kept)
        return 0
    shutil.copyfile(kept, output)
    return 0


def _is_library(source: Path) -> bool:
    return source.parent.name == "include" and source.name.startswith("verilated")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
