"""Charts of where the cycles go, and of what the units could have done in them."""

from weft.report.vega import (
    COLOURS,
    PARTS,
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
