"""Outside tools: none outlives the block that started it, nor this process, however that ends."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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
    """As ``subprocess.run``, in a process group of its own."""
    with tool_group() as group:
        return subprocess.run(words, process_group=group, **options)


@contextmanager
def libraries_tools() -> Iterator[None]:
    """For libraries that start tools by themselves (Amaranth: yosys; cocotb's runner: all of them).

    They cannot be told a group, so ``subprocess`` is, as long as the block: for one thread at a
    time.
    """
    plain = subprocess.Popen
    with tool_group() as group:

        class Grouped(plain):
            def __init__(self, *args: Any, **options: Any):
                super().__init__(*args, **({"process_group": group} | options))

        subprocess.Popen = Grouped
        try:
            yield
        finally:
            subprocess.Popen = plain
