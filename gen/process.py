"""Outside tools: none outlives the block that started it, nor this process, however that ends.

Nor do their temporary files: those lie in a folder that the next command removes at the latest.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weft.gen.drafts import draft_folder

# It ends its group as soon as its stdin does: the other end is only open in this process.
KEEPER = ("/bin/sh", "-c", "read -r _; kill -KILL 0")


@contextmanager
def tool_group() -> Iterator[int]:
    """A process group; what is started with ``process_group=`` of it ends with the block.

    So do the tools' own children. A keeper in the group sees to it if this process is killed.
    """
    keeper = subprocess.Popen(
        KEEPER,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield keeper.pid
    finally:
        os.killpg(keeper.pid, signal.SIGKILL)
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait()


def call(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """As ``subprocess.run``, in a process group and with temporary files of its own."""
    env = options.pop("env", None)
    with _temporary_folder() as folder, tool_group() as group:
        env = _with_temporary_files(folder, env)
        return subprocess.run(words, process_group=group, env=env, **options)


@contextmanager
def libraries_tools() -> Iterator[None]:
    """For libraries that start tools by themselves (Amaranth: yosys; cocotb's runner: all of them).

    They cannot be told a group, nor a folder for temporary files, so ``subprocess`` is, as long as
    the block: for one thread at a time.
    """
    plain = subprocess.Popen
    with _temporary_folder() as folder, tool_group() as group:

        class Grouped(plain):
            def __init__(self, *args: Any, **options: Any):
                options["env"] = _with_temporary_files(folder, options.get("env"))
                super().__init__(*args, **({"process_group": group} | options))

        subprocess.Popen = Grouped
        try:
            yield
        finally:
            subprocess.Popen = plain


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with draft_folder(Path(tempfile.gettempdir())) as folder:
        folder.chmod(0o700)
        yield folder


def _with_temporary_files(folder: Path, env: Mapping[str, str] | None) -> dict[str, str]:
    """The environment ``env`` (None: this process') of a tool that keeps them in ``folder``."""
    return {**(os.environ if env is None else env), "TMPDIR": str(folder)}
