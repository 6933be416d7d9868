"""The table behind ``weft ops``."""

from weft.nn.onnx.table import BY_NAME, SUPPORTED


def test_table() -> None:
    names = [item.name for item in SUPPORTED]
    assert names == sorted(names)
    assert len(BY_NAME) == len(SUPPORTED)
    assert {item.runs for item in SUPPORTED} == {"array", "vector", "host", "none"}


def test_every_handler_says_what_it_does() -> None:
    assert all(item.handler.__doc__ for item in SUPPORTED)
