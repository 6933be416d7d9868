"""report.html: one file that needs nothing else, made of report.json alone."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from weft.report.charts import charts
from weft.report.figures import figure
from weft.report.library import script

FOLDER = Path(__file__).parent


def page(report: Mapping[str, Any]) -> str:
    """The page; the same text for the same report."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = charts(report)
    return environment.get_template("page.html").render(
        report=report,
        fig=functools.partial(figure, report),
        charts=drawn,
        chart_data=_data(drawn),
        style=Markup((FOLDER / "page.css").read_text("utf-8")),
        behaviour=Markup((FOLDER / "page.js").read_text("utf-8")),
        library=Markup(script()),
    )


def _data(value: Any) -> Markup:
    """JSON that can stand in a script element."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))
