"""The chart of the network: operators, and what flows between them."""

from collections.abc import Mapping
from typing import Any

from weft.report.vega import BOUNDS, COLOURS, Report, Spec, chart, name, number, scale, tips


def network(report: Report) -> Spec:
    """The operators from top to bottom, coloured by unit, with their bound and share of cycles."""
    drawing = report["analysis"]["drawing"]
    nodes, deepest = drawing["nodes"], max(node["layer"] for node in drawing["nodes"])
    rows = [{**node, "id": i} for i, node in enumerate(nodes)]
    edges = [
        {"edge": i, "at": at, "x": x, "y": y, "tensor": edge["tensor"], "shape": edge["shape"]}
        for i, edge in enumerate(drawing["edges"])
        for at, (x, y) in enumerate(_path(nodes[edge["from"]], nodes[edge["to"]]))
    ]
    widest = max([1, *(node["column"] for node in nodes), *(edge["x"] for edge in edges)])
    x_scale = {"domain": [-0.5, widest + 0.6], "nice": False, "zero": False}
    y_scale = {"domain": [-0.6, deepest + 0.6], "reverse": True, "nice": False, "zero": False}
    x = number("x", "", axis=None, scale=x_scale)
    y = number("y", "", axis=None, scale=y_scale)
    here = {
        "x": number("column", "", axis=None, scale=x_scale),
        "y": number("layer", "", axis=None, scale=y_scale),
    }
    share = "datum.bound ? ', ' + format(datum.share, '.0%') : ''"
    label = f"datum.name + '  ·  ' + datum.operator + ({share})"
    return chart(
        rows,
        34 * (deepest + 1),
        transform=[{"calculate": label, "as": "label"}],
        layer=[
            {
                "data": {"values": edges},
                "mark": {"type": "line", "interpolate": "basis", "strokeWidth": 1.5},
                "encoding": {
                    "x": x,
                    "y": y,
                    "detail": name("edge"),
                    "order": number("at", ""),
                    "color": {"value": "var(--muted)"},
                },
            },
            {
                "mark": {"type": "circle", "opacity": 1, "strokeWidth": 3},
                "encoding": {
                    **here,
                    "stroke": name(
                        "bound",
                        scale=scale(BOUNDS, [row["bound"] for row in rows]),
                        legend={
                            "symbolType": "circle",
                            "symbolFillColor": "transparent",
                            "title": "ring: bound by",
                            "values": sorted({row["bound"] for row in rows} - {""}),
                        },
                    ),
                    "size": number("share", "", scale={"range": [110, 700]}, legend=None),
                    "color": name("unit", scale=scale(COLOURS, [row["unit"] for row in rows])),
                    "tooltip": tips(
                        name="node", operator="operator", unit="unit", bound="bound by",
                        cycles="adds cycles#", share="of all%", macs="MACs#",
                    ),
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 18, "limit": 340},
                "encoding": {**here, "text": {"field": "label"}},
            },
        ],
    )  # fmt: skip


def _path(start: Mapping[str, Any], end: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Points of an edge; one that skips layers keeps to the left of what lies between."""
    first = (start["column"], start["layer"])
    last = (end["column"], end["layer"])
    if end["layer"] - start["layer"] < 2:
        return [first, last]
    return [first, (first[0] - 0.25, first[1] + 0.5), (last[0] - 0.25, last[1] - 0.5), last]
