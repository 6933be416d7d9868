"""No damaged input, of any kind, does anything but be refused with one message, or work.

No traceback, no hang and no flood of memory: the marks are those of docs/fuzzing.md. ``-s`` shows
what became of the cases.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests.damage import board_files, build_files, limits, npz_files, replies
from tests.damage.command import DONE, REFUSED
from tests.damage.sample_builds import write_samples

SECONDS, PEAK_BYTES = 10, 1 << 30
WAITING = 4
"""Children side by side for cases that wait for most of their time."""


def check(
    act: limits.Act,
    paths: list[Path],
    folder: Path,
    also: tuple[str, ...] = (),
    children: int = 1,
) -> None:
    found = limits.run_all(act, paths, folder, SECONDS, children)
    assert len(found) == len(paths)
    wrong = {k: x.text for k, x in found.items() if x.text not in (DONE, REFUSED, *also)}
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in list(wrong.items())[:10])
    assert max(x.peak_bytes for x in found.values()) < PEAK_BYTES
    kinds = Counter(x.text for x in found.values())
    slowest = max(x.seconds for x in found.values())
    peak = max(x.peak_bytes for x in found.values()) >> 20
    print(f"{act.__module__}: {dict(kinds)}; at most {slowest:.1f} s and {peak} MB")
    assert kinds[REFUSED] > len(paths) // 3
    assert kinds[DONE] > 0


def counts(some: int, many: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [some, pytest.param(many, marks=pytest.mark.slow)])


@counts(120, 5000)
def test_inputs(tmp_path: Path, count: int) -> None:
    write_samples(tmp_path)
    paths = npz_files.write(tmp_path, count, count)
    check(npz_files.act, [*paths, *npz_files.write_rare(tmp_path, 1, count)], tmp_path)


@counts(90, 5000)
def test_boards(tmp_path: Path, count: int) -> None:
    check(board_files.act, board_files.write(tmp_path, count, count), tmp_path)


@counts(60, 2000)
def test_builds(tmp_path: Path, count: int) -> None:
    builds = write_samples(tmp_path)
    check(build_files.act, build_files.write(tmp_path, builds, count, count), tmp_path)


@counts(36, 2000)
def test_replies(tmp_path: Path, count: int) -> None:
    """A reply of right form may lie about an output: only ``--check`` finds that."""
    builds = write_samples(tmp_path)
    paths = replies.write(tmp_path, builds, count, count)
    check(replies.act, paths, tmp_path, also=(replies.LIE,), children=WAITING)


def faulty(path: Path) -> str:
    raise IndexError(f"of {path.name}")


def hanging(path: Path) -> str:
    while True:
        pass


def test_the_limits_are_kept(tmp_path: Path) -> None:
    """What is looked for is found: a traceback, a case that does not end."""
    found = limits.run_all(faulty, [tmp_path / "a"], tmp_path, SECONDS)
    assert "IndexError: of a" in found[str(tmp_path / "a")].text
    found = limits.run_all(hanging, [tmp_path / "b"], tmp_path, 1)
    assert found[str(tmp_path / "b")].text == "hung"
