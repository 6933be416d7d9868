"""Numbers that a user may give."""

import math

import pytest

from weft.errors import ConfigError
from weft.limits import LANES, TIMEOUT


@pytest.mark.parametrize("value", [None, 1, 4096])
def test_within(value: int | None) -> None:
    LANES.check(value)


@pytest.mark.parametrize("value", [0, -3, 4097, 99_999_999, 1.5, math.nan, math.inf])
def test_beyond(value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        LANES.check(value)
    assert str(caught.value) == f"lanes must be a whole number from 1 to 4096, not {value}"


@pytest.mark.parametrize("text", ["0", "1.5", "x", "", "1e3", "9" * 4000, "inf"])
def test_text_beyond(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LANES.parse(text)
    assert str(caught.value) == f"must be a whole number from 1 to 4096, not {text[:40]!r}"


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "1e9"])
def test_seconds_beyond(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TIMEOUT.parse(text)
    assert str(caught.value) == f"must be a number from 0.001 to 604800, not {text!r}"


def test_text() -> None:
    assert LANES.parse("16") == 16
    assert TIMEOUT.parse("0.5") == 0.5
