"""The charts of the page, as Vega-Lite specifications. Their data are rows of report.json."""

from collections.abc import Callable, Mapping
from typing import Any

from weft.report.accuracy_charts import confusion, sqnr
from weft.report.vega import (
    BOUNDS,
    COLOURS,
    PARTS,
    Spec,
    chart,
    name,
    number,
    scale,
    step_axis,
    tips,
)

Report = Mapping[str, Any]
ROW = 26  # pixels of a bar with its gap

STEP_TIPS = tips(
    name="step", operator="operator", unit="unit", bound="bound by", begin="begin#", end="end#",
    cycles="adds cycles#", share="of all%", macs="MACs#", macs_per_cycle="MACs per cycle#",
    efficiency="efficiency%",
)  # fmt: skip


def timeline(report: Report) -> Spec:
    """When each unit is given taps, and when its pipelines drain; weights on their way."""
    steps = report["analysis"]["steps"]
    rows = []
    for row in steps:
        rows.append({**row, "lane": row["unit"], "from": row["begin"], "to": row["issued"]})
        rows.append(
            {**row, "lane": row["unit"], "from": row["issued"], "to": row["end"], "phase": "drain"}
        )
        if row["loads"]:
            begin = max(0, row["begin"] - row["loads"])
            rows.append({**row, "lane": "loads", "from": begin, "to": row["begin"]})
    rows = [{"phase": "taps", **row} for row in rows]
    used = [row["lane"] for row in rows]
    lanes = [lane for lane in ("array", "vector", "loads") if lane in used]
    bar = {"type": "bar", "height": {"band": 0.62}, "cornerRadius": 2}
    whole = {"domain": [0, report["prediction"]["cycles"]], "nice": False}
    return chart(
        rows,
        40 * len(lanes) + 20,
        params=[
            {
                "name": "zoom",
                "select": {"type": "interval", "encodings": ["x"]},
                "bind": "scales",
            }
        ],
        mark={**bar, "stroke": "var(--card)", "strokeWidth": 1, "clip": True},
        encoding={
            "x": number("from", "cycle", axis={"format": ",d"}, scale=whole),
            "x2": {"field": "to"},
            "y": name("lane", sort=lanes),
            "color": name("lane", scale=scale(COLOURS, lanes), legend=None),
            "opacity": {
                "field": "phase",
                "type": "ordinal",
                "scale": {"domain": ["taps", "drain"], "range": [1, 0.35]},
                "legend": {"symbolFillColor": "var(--text)", "symbolStrokeWidth": 0},
            },
            "tooltip": [*STEP_TIPS, *tips(phase="phase")],
        },
    )


def parts(report: Report) -> Spec:
    """What the cycles that each step adds go to."""
    rows = [
        {"name": row["name"], "step": i, "part": part, "cycles": cycles, "share": row["share"]}
        for i, row in enumerate(report["analysis"]["steps"])
        for part, cycles in row["parts"].items()
        if cycles
    ]
    steps = {row["step"]: row["name"] for row in rows}
    return chart(
        rows,
        ROW * len(steps) + 10,
        mark={"type": "bar", "height": {"band": 0.7}, "cornerRadius": 2},
        encoding={
            "x": number("cycles", "cycles that the step adds", axis={"format": ",d"}),
            "y": step_axis(steps),
            "color": name("part", scale=scale(PARTS, [row["part"] for row in rows])),
            "tooltip": tips(name="step", part="part", cycles="cycles#", share="step's share%"),
        },
    )


def gap(report: Report) -> Spec:
    """Each step as wide as its share of the cycles and as high as its efficiency: the area is work,
    what is missing from the whole is the gap."""
    rows, at = [], 0
    for row in report["analysis"]["steps"]:
        rows.append({**row, "from": at, "to": at + row["cycles"]})
        at += row["cycles"]
    back = {"type": "rect", "fill": "var(--line)", "opacity": 0.45, "stroke": "var(--card)"}
    bars = {"type": "rect", "stroke": "var(--card)", "strokeWidth": 1}
    x = number(
        "from",
        "cycles that the steps add, one after the other",
        axis={"format": ",d"},
        scale={"domain": [0, at], "nice": False},
    )
    return chart(
        rows,
        220,
        encoding={"x": x, "x2": {"field": "to"}, "tooltip": STEP_TIPS},
        layer=[
            {"mark": back, "encoding": {"y": {"datum": 0}, "y2": {"datum": 1}}},
            {
                "mark": bars,
                "encoding": {
                    "y": number(
                        "efficiency",
                        "efficiency of its unit",
                        axis={"format": "%"},
                        scale={"domain": [0, 1]},
                    ),
                    "y2": {"datum": 0},
                    "color": name("unit", scale=scale(COLOURS, [row["unit"] for row in rows])),
                },
            },
        ],
    )


def roofline(report: Report) -> Spec:
    """MACs per cycle against MACs per byte of activations that is read, under each unit's roof."""
    engine = report["analysis"]["engine"]
    steps = [row for row in report["analysis"]["steps"] if row["macs"]]
    peaks = {row["unit"]: row["peak"] for row in steps}
    widest = 2 * max([peak / engine["lanes"] for peak in peaks.values()], default=1)
    least = min([row["intensity"] for row in steps], default=1) / 2
    roofs = [
        {"unit": unit, "x": x, "y": min(peak, x * engine["lanes"])}
        for unit, peak in peaks.items()
        for x in (least, peak / engine["lanes"], widest)
    ]
    log = {"scale": {"type": "log", "nice": False, "padding": 12}, "axis": {"grid": False}}
    colour = name("unit", scale=scale(COLOURS, list(peaks)))
    return chart(
        steps,
        280,
        layer=[
            {
                "data": {"values": roofs},
                "mark": {"type": "line", "strokeWidth": 2, "strokeDash": [5, 3]},
                "encoding": {
                    "x": number("x", "MACs per byte of activations read", **log),
                    "y": number("y", "MACs per cycle", **log),
                    "color": colour,
                },
            },
            {
                "mark": {"type": "circle", "opacity": 0.85, "stroke": "var(--card)"},
                "encoding": {
                    "x": number("intensity", "MACs per byte of activations read", **log),
                    "y": number("macs_per_cycle", "MACs per cycle", **log),
                    "size": number(
                        "share", "share of cycles", scale={"range": [60, 900]}, legend=None
                    ),
                    "color": colour,
                    "tooltip": [*STEP_TIPS, *tips(intensity="MACs per byte#")],
                },
            },
        ],
    )


def memory(report: Report, bank: int) -> Spec:
    """One bank of activation memory: addresses over cycles."""
    rows = [row for row in report["analysis"]["buffers"] if row["bank"] == bank]
    rows = [{**row, "top": row["offset"] + row["words"]} for row in rows]
    colours = ("var(--blue)", "var(--teal)", "var(--orange)", "var(--violet)", "var(--rose)")
    whole = {"domain": [0, report["prediction"]["cycles"]], "nice": False}
    return chart(
        rows,
        190,
        encoding={
            "x": number("begin", "cycle", axis={"format": ",d"}, scale=whole),
            "x2": {"field": "end"},
            "y": number("offset", "word", axis={"format": ",d"}),
            "y2": {"field": "top"},
        },
        layer=[
            {
                "mark": {
                    "type": "rect",
                    "opacity": 0.75,
                    "stroke": "var(--card)",
                    "cornerRadius": 2,
                },
                "encoding": {
                    "color": name("tensor", scale={"range": colours}, legend=None),
                    "tooltip": tips(
                        tensor="tensor", offset="first word#", words="words#", bytes="bytes#",
                        begin="written from cycle#", end="read until cycle#",
                    ),
                },
            },
        ],
    )  # fmt: skip


def weights(report: Report) -> Spec:
    """How many weights each layer has, and how wide they are."""
    rows = [{**row, "step": i} for i, row in enumerate(report["analysis"]["weights"])]
    bits = sorted({row["bits"] for row in rows})
    fades = [round(0.25 + 0.75 * (i + 1) / len(bits), 3) for i in range(len(bits))]
    legend = {"title": "bits that the weights need", "symbolFillColor": "var(--violet)"}
    return chart(
        rows,
        ROW * len(rows) + 10,
        mark={"type": "bar", "color": "var(--violet)", "height": {"band": 0.7}, "cornerRadius": 2},
        encoding={
            "x": number("weights", "weights", axis={"format": ",d"}),
            "y": step_axis({row["step"]: row["layer"] for row in rows}),
            "opacity": {
                "field": "bits",
                "type": "ordinal",
                "scale": {"domain": bits, "range": fades},
                "legend": {**legend, "symbolStrokeWidth": 0},
            },
            "tooltip": tips(
                layer="layer", weights="weights#", bits="bits#", min="least#", max="largest#",
                values="different values#", zeros="zeros#",
            ),
        },
    )  # fmt: skip


def resources(report: Report) -> Spec:
    """Shares of the device: predicted, synthesised, and what the core may take."""
    synthesis = report.get("synthesis") or {}
    rows = []
    for row in report["analysis"]["resources"]:
        found = {"predicted": row["predicted"], "synthesised": synthesis.get(row["resource"])}
        for by, used in found.items():
            if used is not None and row["device"]:
                limits = {"device": row["device"], "allowed": row["allowed"]}
                rows.append({"resource": row["resource"], "by": by, "used": used, **limits})
    names = list(dict.fromkeys(row["resource"] for row in rows))
    colours = {"predicted": "var(--blue)", "synthesised": "var(--teal)"}
    axis = number(
        "share", "of the device", axis={"format": "%"}, scale={"domain": [0, 1]}, stack=None
    )
    return chart(
        rows,
        {True: 50, False: 32}[bool(synthesis)] * len(names) + 10,
        transform=[
            {"calculate": "datum.used / datum.device", "as": "share"},
            {"calculate": "datum.allowed / datum.device", "as": "limit"},
        ],
        encoding={"y": name("resource", sort=names, axis={"labelExpr": "upper(datum.label)"})},
        layer=[
            {
                "mark": {"type": "bar", "cornerRadius": 2, "height": {"band": 0.8}, "clip": True},
                "encoding": {
                    "x": axis,
                    "yOffset": name("by", sort=list(colours)),
                    "color": name("by", scale=scale(colours, [row["by"] for row in rows])),
                    "tooltip": tips(
                        resource="resource", by="by", used="used#", share="of the device%",
                        allowed="the core may take#", device="the device has#",
                    ),
                },
            },
            {
                "mark": {"type": "tick", "color": "var(--text)", "thickness": 2, "size": 30},
                "encoding": {"x": number("limit", "of the device")},
            },
        ],
    )  # fmt: skip


def energy(report: Report) -> Spec:
    """The energy of an inference under the assumptions."""
    rows = report["analysis"]["energy"]["rows"]
    return chart(
        rows,
        ROW * len(rows) + 10,
        mark={"type": "bar", "color": "var(--teal)", "height": {"band": 0.7}, "cornerRadius": 2},
        encoding={
            "x": number("nanojoules", "nJ per inference, as assumed"),
            "y": name("access", axis={"labelLimit": 260, "ticks": False, "domain": False}),
            "tooltip": tips(
                access="access", picojoules="pJ each#", count="count#", nanojoules="nJ#"
            ),
        },
    )


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
                        legend={"symbolType": "circle", "title": "ring: bound by"},
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


CHARTS: dict[str, Callable[[Report], Spec]] = {
    "network": network,
    "timeline": timeline,
    "parts": parts,
    "gap": gap,
    "roofline": roofline,
    "memory0": lambda report: memory(report, 0),
    "memory1": lambda report: memory(report, 1),
    "weights": weights,
    "resources": resources,
    "energy": energy,
    "sqnr": sqnr,
    "confusion": confusion,
}


def charts(report: Report) -> dict[str, Spec]:
    """All charts for which there are data, by name."""
    made = {name: make(report) for name, make in CHARTS.items()}
    return {name: spec for name, spec in made.items() if spec["data"]["values"]}
