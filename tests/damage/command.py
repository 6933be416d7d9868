"""A command line in this process, and what it came to."""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from weft.cli.main import main

DONE, REFUSED = "done", "refused"
REFUSALS = (1, 2, 3)
MAX_MESSAGE = 3000


def outcome(words: Sequence[str]) -> str:
    """DONE, REFUSED (with one message of some length), or what else happened, in full."""
    out, log = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(log):
        try:
            code = main(words)
        except SystemExit as error:  # words that the parser refuses
            code = error.code
    text = log.getvalue()
    messages = [line for line in text.splitlines() if line.startswith(f"weft {words[0]}: ")]
    short = len(messages) == 1 and len(messages[0]) < MAX_MESSAGE and "Traceback" not in text
    if code == 0 and not messages:
        return DONE
    if code in REFUSALS and short:
        return REFUSED
    return f"exit code {code}: {text[-5000:]}"
