"""Board files that are no plain YAML: one message, with the line."""

from pathlib import Path

import pytest

from weft.boards.board import load_board
from weft.errors import ConfigError

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, ", line 1: not valid YAML: anchors and aliases are not used in board files"),
        ("a: 1\na: 2", ", line 2: not valid YAML: key 'a' stands twice"),
        ("a: !!python/name:os.system", ", line 1: not valid YAML: tag 'tag:yaml.org,2002:"),
        ("[" * 5000, ", line 1: not valid YAML: it nests more than 8 deep"),
        ("a: 0x_", ", line 1: not valid YAML: '0x_' is no number"),
        ("a: " + "9" * 5000, ", line 1: not valid YAML: a number of more than 20 digits"),
        ("? [a]\n: b", ", line 1: not valid YAML: a key must be a word"),
        ("x" * 70_000, " has 70,000 bytes, more than 65,536"),
        ("name: 2001-99-99", ": field 'title' is missing"),  # a text, no impossible date
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_board(path)
    assert str(caught.value).startswith(f"board file {path}{message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lut: 24288", "lut: 999999999", "budget.lut must be at most 100000000, not 999999999"),
        ("hz: 25000000", "hz: 7", "clock.hz must be 1000 to 10000000000 Hz, not 7"),
        ("pin: P3", 'pin: "P\\x07"', "field 'clock.pin' must be at most 1000 printable"),
        ("pin: P3", f"pin: {'P' * 1001}", "field 'clock.pin' must be at most 1000 printable"),
    ],
)
def test_values_out_of_range(tmp_path: Path, old: str, new: str, message: str) -> None:
    root = Path(__file__).resolve().parents[2]
    text = (root / "boards/data/colorlight-i5.yaml").read_text()
    assert old in text
    path = tmp_path / "b.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_board(path)
    assert str(caught.value).startswith(f"board file {path}: {message}")
