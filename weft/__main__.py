"""The command line: ``weft``, and ``python -m weft``."""

import sys

from weft.cli import interrupt


def main() -> int:
    """Run the command of ``sys.argv``; returns the exit code."""
    interrupt.with_nothing_begun()
    from weft.cli.main import main as command

    interrupt.insist()
    try:
        return command()
    finally:
        interrupt.with_nothing_begun()  # nothing is left to clear away


if __name__ == "__main__":
    sys.exit(main())
