"""The charts of an evaluation, as Vega-Lite specifications."""

from weft.report.vega import ROW, Report, Spec, chart, name, number, step_axis, tips

CELL = 26  # pixels of a class


def sqnr(report: Report) -> Spec:
    """How far the error of each layer lies below its signal."""
    layers = (report.get("evaluation") or {}).get("layers", ())
    rows = [{**row, "step": i} for i, row in enumerate(layers) if row["sqnr_db"] is not None]
    return chart(
        rows,
        ROW * len(rows) + 10,
        mark={"type": "bar", "color": "var(--teal)", "height": {"band": 0.7}, "cornerRadius": 2},
        encoding={
            "x": number("sqnr_db", "dB, against the float network"),
            "y": step_axis({row["step"]: row["layer"] for row in rows}),
            "tooltip": tips(
                layer="layer", sqnr_db="SQNR, dB#", lost_db="below what it reads, dB#",
                differ="codes unlike ONNX Runtime's%",
            ),
        },
    )  # fmt: skip


def confusion(report: Report) -> Spec:
    """Classes by label and by weft's answer."""
    counts = (report.get("evaluation") or {}).get("confusion") or []
    rows = [
        {"label": i, "answer": j, "samples": n, "share": n / max(1, sum(row))}
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
    ]
    axis = {"grid": False, "ticks": False, "domain": False, "labelAngle": 0}
    small = len(counts) <= 20
    text = {
        "mark": {"type": "text", "fontSize": 11},
        "encoding": {"text": {"field": "samples"}, "opacity": {"value": 0.85}},
    }
    squares = {
        "mark": {"type": "rect", "stroke": "var(--line)", "fill": "var(--blue)"},
        "encoding": {
            "fillOpacity": number("share", "", scale={"range": [0, 0.85]}, legend=None),
            "tooltip": tips(label="label", answer="weft says", samples="samples#"),
        },
    }
    return chart(
        rows,
        CELL * len(counts) + 10,
        encoding={
            "x": name("answer", "weft says", axis=axis),
            "y": name("label", "label", axis=axis),
        },
        layer=[
            squares,
            *([{**text, "transform": [{"filter": "datum.samples > 0"}]}] if small else []),
        ],
    )
