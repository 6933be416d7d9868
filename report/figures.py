"""Figures of report.json as text: each says where it comes from, so that none can be made up."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

ABSENT = "-"


def lookup(report: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as ``analysis.steps.3.cycles``. Raises KeyError, IndexError."""
    value: Any = report
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _significant(value: float) -> str:
    """Three or four digits; whole numbers whole."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.3g}"


FORMATS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "int": lambda value: f"{value:,}",
    "num": _significant,
    "pct": lambda value: f"{100 * value:.1f} %",
    "pct0": lambda value: f"{100 * value:.0f} %",
    "gain": lambda value: f"{-100 * value:+.1f} %" if abs(value) >= 0.0005 else "same",
    "db": lambda value: f"{value:.1f} dB",
    "shape": lambda value: " x ".join(map(str, value)),
    "pair": lambda value: " + ".join(map(str, value)),
    "yes": lambda value: "yes" if value else "no",
    "list": lambda value: ", ".join(map(str, value)),
}
"""How a value is written; None is written as a dash."""


def figure(report: Mapping[str, Any], path: str, form: str = "text") -> Markup:
    """The figure at a path, as an element that names path and form."""
    value = lookup(report, path)
    text = ABSENT if value is None else FORMATS[form](value)
    return Markup('<span data-path="{}" data-form="{}">{}</span>').format(path, form, text)
