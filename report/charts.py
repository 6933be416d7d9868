"""The charts of the page, as Vega-Lite specifications. Their data are rows of report.json."""

from collections.abc import Callable

from weft.report.accuracy_charts import confusion, sqnr
from weft.report.efficiency_charts import gap, parts, roofline
from weft.report.network_chart import network
from weft.report.vega import (
    COLOURS,
    ROW,
    STEP_TIPS,
    Report,
    Spec,
    chart,
    name,
    number,
    scale,
    step_axis,
    tips,
)


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
