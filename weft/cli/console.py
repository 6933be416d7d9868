"""What the commands print: results to stdout, the log to stderr."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

# Names of nodes and files are printed as they are: no markup, no emoji.
# A file or a pipe has no width: tables there are as wide as they need.
PIPE_WIDTH = 200


class Pipe(Console):
    """A console whose reader may go away: an error like any other, not an exit in its midst."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = Pipe(
    highlight=False,
    soft_wrap=True,
    markup=False,
    emoji=False,
    width=None if sys.stdout.isatty() else PIPE_WIDTH,
)
log = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, if that is a terminal: to be called with what, done and total."""
    with Progress(console=log, transient=True, disable=not log.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def tell(message: str) -> None:
    """A line of the log: what is being done."""
    log.print(message)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value) + "\n")


def show(
    args: argparse.Namespace, figures: dict[str, Any], title: str, hidden: tuple[str, ...] = ()
) -> None:
    """One JSON object, or a table for people."""
    if args.json:
        print_json(figures)
        return
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in figures.items():
        if name not in hidden:
            text = f"{value:,}" if isinstance(value, int | float) else str(value)
            table.add_row(name, text)
    out.print(table)
