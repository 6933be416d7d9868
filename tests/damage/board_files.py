"""Damaged and absurd board files."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.damage import command
from tests.damage.sample_builds import DIGITS
from tests.nn.fuzz import BYTEWISE
from weft.boards.board import BOARDS_FOLDER


def act(path: Path) -> str:
    """``weft check`` for such a board, on a small pinned engine."""
    words = ["check", str(DIGITS), "--board", str(path), "--lanes", "2", "--columns", "2"]
    return command.outcome(words)


def write(folder: Path, count: int, seed: int) -> list[Path]:
    """``count`` files, boards and kinds of damage in turn."""
    rng = np.random.default_rng(seed)
    texts = [path.read_text() for path in sorted(BOARDS_FOLDER.glob("*.yaml"))]
    paths = []
    for number in range(count):
        path = folder / f"{number:05}.yaml"
        KINDS[number % len(KINDS)](path, texts[number % len(texts)], rng)
        paths.append(path)
    return paths


Kind = Callable[[Path, str, np.random.Generator], None]

ABSURD = (
    "2001-99-99", "2001-02-30", "0000-00-00", "2001-12-14t21:59:43.10-99:99", "12:99:99", "1:2:3.4",
    "-1", "0", "1", "7", "+0", "1_0", "0x_", "0b_", "0b2", "0o8", "08", "1e400", ".inf", "-.inf",
    ".nan",
    "9" * 18, "9" * 30, "9" * 6000, "-" + "9" * 19, "1e5", "3.5", "true", "null", "~", "on", "''",
    '""',
    "[]", "{}", "[[]]", "{a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}", "[" * 20 + "]" * 20,
    "[" * 3000, "[" * 3000 + "]" * 3000, "{a: " * 3000, "- " * 3000, "? " * 3000, "&a [*a]", "&a x",
    "*b", "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!set {a}",
    "!!binary aGk=", "!!binary '%'", "!!timestamp 2001-99-99", "!!int x", "!!float x", "!!bool x",
    "!!omap [a]", "!!pairs [a]", "!!null x", "!x y", "!<tag:x> y", "? {a: b}", "? [a]", "{[a]: b}",
    "{{a: b}: c}", "{<<: {a: 1}}", "{<<: 3}", "{<<: [1, 2]}", "{name: a, name: b}", "=",
    "|\n  text",
    ">-\n  text", "'open", '"open', '"\\x"', '"\\ud800"', '"\\0"', "\t", "\x07", "\x85", "\u2028",
    "%",
    "@", "`", "a: b: c", "---", "...", "--- a\n--- b", "%YAML 9.9", "%TAG ! x", "ecp5", "ice40",
    "gowin",
    "low", "x" * 70_000, "'" + "long " * 2000 + "'", "[" + "a, " * 5000 + "]", "\U0001f600",
    "../../etc",
)  # fmt: skip


def _bytes(path: Path, text: str, rng: np.random.Generator) -> None:
    path.write_bytes(BYTEWISE[rng.integers(len(BYTEWISE))](text.encode(), rng))


def _value(path: Path, text: str, rng: np.random.Generator) -> None:
    """One or two values replaced."""
    lines = text.splitlines()
    for _ in range(rng.integers(1, 3)):
        place = int(rng.integers(len(lines)))
        key = lines[place].partition(":")[0]
        lines[place] = f"{key}: {ABSURD[rng.integers(len(ABSURD))]}"
    path.write_text("\n".join(lines))


def _number(path: Path, text: str, rng: np.random.Generator) -> None:
    """Budgets and clocks of another board, or of none: what is still a board file."""
    numbers = (0, 1, 3, 12, 100, 999, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9, 10**10, 10**18)

    def other(found: re.Match[str]) -> str:
        return f": {numbers[rng.integers(len(numbers))]}" if rng.random() < 0.4 else found[0]

    path.write_text(re.sub(r": \d+", other, text))


def _lines(path: Path, text: str, rng: np.random.Generator) -> None:
    """Lines left out, twice, exchanged, indented differently."""
    lines = text.splitlines()
    for _ in range(rng.integers(1, 4)):
        a, b = rng.integers(0, len(lines), 2)
        match rng.integers(5):
            case 0:
                del lines[a]
            case 1:
                lines.insert(b, lines[a])
            case 2:
                lines[a], lines[b] = lines[b], lines[a]
            case 3:
                lines[a] = " " * int(rng.integers(0, 9)) + lines[a].lstrip()
            case _:
                lines.insert(a, ABSURD[rng.integers(len(ABSURD))])
    path.write_text("\n".join(lines))


def _whole(path: Path, text: str, rng: np.random.Generator) -> None:
    """Files that are something else altogether."""
    match rng.integers(9):
        case 0:  # a billion laughs
            lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
            lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
            path.write_text("\n".join(lines))
        case 1:
            path.mkdir()
        case 2:
            os.mkfifo(path)
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            path.touch()
        case 5:
            path.write_bytes(rng.bytes(500))
        case 6:
            path.write_text(ABSURD[rng.integers(len(ABSURD))])
        case 7:
            path.write_text(text * int(rng.integers(2, 100)))
        case _:
            path.write_bytes(text.encode("utf-16"))


KINDS: tuple[Kind, ...] = (_bytes, _bytes, _value, _value, _value, _value, _number, _lines, _whole)
