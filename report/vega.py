"""Parts that all charts share. Colours are names of the page's style, which has a light and a dark
set of them: Vega writes them into the SVG, and the browser looks them up.
"""

import json
from collections.abc import Mapping
from typing import Any

Spec = dict[str, Any]
Report = Mapping[str, Any]
ROW = 26  # pixels of a bar with its gap

COLOURS = {
    "array": "var(--blue)",
    "vector": "var(--orange)",
    "loads": "var(--grey)",
    "host": "var(--grey)",
}
PARTS = {
    "multiplying": "var(--blue)",
    "reading": "var(--teal)",
    "requantising": "var(--orange)",
    "loading": "var(--grey)",
    "latency": "var(--rose)",
}
BOUNDS = {
    "mac": "var(--blue)",
    "requantise": "var(--rose)",
    "read": "var(--teal)",
    "": "var(--grey)",
}

CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 170,
    },
    "axisX": {"tickCount": 8, "labelOverlap": "greedy"},
    "legend": {
        "labelColor": "var(--text)",
        "titleColor": "var(--text)",
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
        "symbolType": "square",
    },
    "text": {"color": "var(--text)", "fontSize": 12},
    "rule": {"color": "var(--muted)"},
}


def chart(rows: list[dict[str, Any]], height: int, **parts: Any) -> Spec:
    """A chart as wide as its place."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        "data": {"values": rows},
        **parts,
    }


def scale(colours: dict[str, str], used: list[str]) -> Spec:
    """The colours of those names that are used."""
    names = [name for name in colours if name in used]
    return {"domain": names, "range": [colours[name] for name in names]}


def number(field: str, title: str, **more: Any) -> Spec:
    """A field with numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def name(field: str, title: str | None = None, **more: Any) -> Spec:
    """A field with names, in the order of the rows."""
    return {"field": field, "type": "nominal", "title": title, "sort": None, **more}


def tips(**titles: str) -> list[Spec]:
    """What a hover shows, in this order; a title's end says how: '%' for shares, '#' for counts."""
    result = []
    for field, title in titles.items():
        if title.endswith(("%", "#")):
            form = ".1%" if title.endswith("%") else ",.10~f"
            result.append(number(field, title[:-1].strip(), format=form))
        else:
            result.append({"field": field, "type": "nominal", "title": title})
    return result


def step_axis(steps: Mapping[int, str]) -> Spec:
    """An axis of steps, of which several may have one name."""
    names = "{" + ",".join(f"{i}:{json.dumps(text)}" for i, text in steps.items()) + "}"
    return {
        "field": "step",
        "type": "ordinal",
        "title": None,
        "axis": {"labelExpr": f"{names}[datum.value]", "ticks": False, "domain": False},
    }


STEP_TIPS = tips(
    name="step", operator="operator", unit="unit", bound="bound by", begin="begin#", end="end#",
    cycles="adds cycles#", share="of all%", macs="MACs#", macs_per_cycle="MACs per cycle#",
    efficiency="efficiency%",
)  # fmt: skip
