"""Ctrl-C, SIGTERM and SIGHUP: one line and one exit code, from the first moment to the last.

Nothing heavy is imported here: this comes before everything else.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType

INTERRUPTED = 130
Handler = Callable[[int, FrameType | None], object] | signal.Handlers
IMPORT = "<frozen importlib._bootstrap>"
"""The file of the frames in which Python imports."""
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Its stdin is written to when a signal comes, and ends when process $1 does.
WATCH = """
head -c 1 > /dev/null
timeout 1 cat > /dev/null; [ $? = 124 ] || exit
echo
timeout 0.5 cat > /dev/null; [ $? = 124 ] && kill -KILL $1
"""


def end_at_once(number: int = 0, frame: FrameType | None = None) -> None:
    """End this process; what it leaves, its tools' keepers and the next command clear away."""
    os.write(2, b"weft: interrupted\n")
    os._exit(INTERRUPTED)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; end this process where that would fall into an import.

    Libraries in C++ are not made for it while they load: they abort, or fail in words of their own.
    """
    while frame is not None:
        if frame.f_code.co_filename == IMPORT:
            end_at_once()
        frame = frame.f_back
    raise KeyboardInterrupt


def with_nothing_begun() -> None:
    """From here on a signal ends the process at once, Ctrl-C without a traceback.

    The others are left to the system: Python would take them only when a library is loaded.
    """
    _take(dict.fromkeys(ENDINGS, signal.SIG_DFL) | {signal.SIGINT: end_at_once})


def while_running() -> None:
    """From here on a signal is a KeyboardInterrupt, so that what was begun is cleared away.

    Commands import what they need as they go: see ``interrupt``.
    """
    _take(dict.fromkeys(ENDINGS, interrupt))


def insist() -> None:
    """End the process if it goes on for long after a signal: 1 s, 1.5 s if it must be killed.

    Python acts on signals between two of its own instructions: a solver's call may take minutes.
    Loading a library lets no other thread run either, so another process keeps the time.
    """
    import atexit
    import subprocess

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watch = subprocess.Popen(
        ("/bin/sh", "-c", WATCH, "sh", str(os.getpid())),
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,  # out of the reach of the terminal's Ctrl-C
    )
    os.close(reader)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        assert watch.stdout is not None
        with watch.stdout as late:
            if late.read(1):
                end_at_once()

    def dismiss() -> None:
        signal.set_wakeup_fd(-1)
        os.close(writer)
        watch.wait()

    threading.Thread(target=wait, daemon=True).start()
    atexit.register(dismiss)


def leave() -> None:
    """End at once after a KeyboardInterrupt, if this is a process of the command line.

    To be called before the exception is dropped: a half-built design has hundreds of thousands of
    objects, and Amaranth warns about each component as it goes.
    """
    if signal.set_wakeup_fd(-1) != -1:  # see insist
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


OURS = (signal.SIG_DFL, signal.default_int_handler, end_at_once, interrupt)


def _take(handlers: Mapping[signal.Signals, Handler]) -> None:
    """Instead of each other and of the usual ones: what nohup ignores stays ignored."""
    for number, handler in handlers.items():
        if signal.getsignal(number) in OURS:
            signal.signal(number, handler)
